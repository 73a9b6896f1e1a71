"""The one judge of all workers: what they say of requests is heard, and each is told how the targets stand.

What a worker is told is how the targets stand for it: a trial is one worker's at a time.  It is told when
that is not as it was told before, and not between the moment at which a new configuration begins to be judged
and the one in which ``standings_for`` is asked for what it has to know of it: what it is told is of the
configuration that it has.  This module does not know how workers are reached, nor what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twistedgate.config.model import UpstreamConfig
from twistedgate.upstream.judges import Judges
from twistedgate.upstream.judging import Judging, Standing, Watching
from twistedgate.workers.grants import Grants
from twistedgate.workers.nudges import Row, standing_row, take_outcomes

Tell = Callable[[str, list[Row]], object]
"""Called with the name of an upstream and the rows of how its targets stand."""


class _Listener:
    """One worker, and what it was told last."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.told: dict[str, list[Row]] = {}
        self.is_waiting = True
        """Whether it has yet to be told everything."""
        self.is_new = True
        """Whether it has not been told anything at all, and so can make no trial."""


class Court:
    """Judges for workers, each known by its number."""

    def __init__(self, watching: Watching) -> None:
        self.judges = Judges(watching, self._published)
        self._now = watching.now
        self._grants = Grants()
        self._listeners: dict[int, _Listener] = {}

    def __repr__(self) -> str:
        return f"<Court of {sorted(self._listeners)}, {self._grants}>"

    def __contains__(self, worker: int) -> bool:
        """Tell whether a worker is told and heard."""
        return worker in self._listeners

    # configurations

    def prepare(self, configs: Mapping[str, UpstreamConfig]) -> dict[str, Judging]:
        """Return who is to judge by a new configuration; nothing is started, the old ones stay in use."""
        return self.judges.prepare(configs)

    def commit(self, prepared: Mapping[str, Judging]) -> None:
        """Judge by the prepared configuration; every worker has to be told by ``standings_for``, too."""
        for listener in self._listeners.values():
            listener.is_waiting = True
        gone = self.judges.judgings.keys() - prepared.keys()
        self.judges.commit(prepared)
        for upstream in gone:
            self._grants.forget(upstream)

    # workers

    def join(self, worker: int, tell: Tell) -> None:
        """A worker is there; it is told everything by ``standings_for``, and changes by ``tell``."""
        self._listeners[worker] = _Listener(tell)

    def standings_for(self, worker: int) -> dict[str, list[Row]]:
        """Return all that a worker has to know now, by upstream: it goes with the configuration."""
        listener = self._listeners[worker]
        if listener.is_new:
            listener.is_new = False
            self._announce(self._grants.join(worker, self._now()))
        listener.is_waiting = False
        listener.told = {
            upstream: self._rows(worker, upstream, standings)
            for upstream, standings in self.judges.standings().items()
        }
        return dict(listener.told)

    def retire(self, worker: int) -> None:
        """A worker is to end: it makes no trial any more, but is told and heard as long as it is there."""
        self._announce(self._grants.retire(worker, self._now()))

    def leave(self, worker: int) -> None:
        """A worker is gone: its trials are another's."""
        if self._listeners.pop(worker, None) is None:
            return
        now = self._now()
        changed, orphans = self._grants.leave(worker, now)
        self._announce(changed)
        for upstream, target in orphans:
            self.judges.port(upstream).trial_abandoned(target, now)

    def take(self, worker: int, rows: list[Row]) -> None:
        """Hear what a worker says of its requests; one that serves by another configuration is not heard."""
        if worker in self._listeners:
            take_outcomes(self.judges.judgings.get, self._grants, worker, rows, self._now())

    # time

    def sweep(self, now: float) -> None:
        """Let time act, at least a few times a second."""
        self.judges.sweep(now)
        self._announce(self._grants.expire(now))

    def stop(self) -> None:
        """End every look-up and check, and tell nobody anything any more."""
        self._listeners.clear()
        self.judges.stop()

    # what is said

    def _published(self, upstream: str, standings: tuple[Standing, ...]) -> None:
        self._grants.hear(upstream, standings, self._now())
        self._announce({upstream})

    def _announce(self, upstreams: set[str]) -> None:
        """Tell the workers how the targets of these upstreams stand, if they were told otherwise."""
        for upstream in upstreams:
            standings = self.judges.judgings[upstream].standings
            for worker, listener in list(self._listeners.items()):
                rows = self._rows(worker, upstream, standings)
                if not listener.is_waiting and listener.told.get(upstream) != rows:
                    listener.told[upstream] = rows
                    listener.tell(upstream, rows)

    def _rows(self, worker: int, upstream: str, standings: tuple[Standing, ...]) -> list[Row]:
        return [standing_row(self._grants.seen_by(worker, upstream, one)) for one in standings]
