"""Which worker may make the trial request of a target that was ejected, when there is one to be made.

Rules

- One worker at a time.  It may begin the trial for ``GRANT`` seconds; if it does not, because it has no
  request to try with or is stuck, the next one is asked ``GRANT`` seconds later: what it sent at the last
  moment has arrived by then.  When its holder dies, the next one is asked at once.
- Workers take turns, for each target; whoever is new comes last.
- Only the holder of a permission can start a trial, and while one is under way only who makes it is heard.
  When it dies, the trial is to be abandoned.
- No two permissions for a target end at the same time: a worker that has used one knows it again.

Everything is decided by values and ``now``, monotonic seconds that all processes share.  This module does not
know how workers are told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf, nextafter

from twistedgate.balancing.health import State
from twistedgate.upstream.judging import Standing

GRANT = 1.0
"""Seconds in which the holder of a permission may begin; and after which it is taken to have not."""


@dataclass(slots=True)
class _Trial:
    """A trial that is to be made, or is under way."""

    turns: deque[int] = field(default_factory=deque)
    """Workers, the next one to be asked first."""
    holder: int | None = None
    until: float = -inf
    is_under_way: bool = False

    def grant(self, until: float) -> None:
        """Ask the next worker, if there is one."""
        self.is_under_way = False
        self.holder = self.turns[0] if self.turns else None
        self.turns.rotate(-1)
        self.until = until if self.holder is not None else -inf


class Grants:
    """The permissions for all trials of all upstreams; a target is known by the names of both."""

    def __init__(self) -> None:
        self._workers: deque[int] = deque()
        self._trials: dict[tuple[str, str], _Trial] = {}
        self._latest = -inf

    def __repr__(self) -> str:
        held = {f"{'/'.join(place)}": trial.holder for place, trial in self._trials.items()}
        return f"<Grants {held} of {list(self._workers)}>"

    def join(self, worker: int, now: float) -> set[str]:
        """A worker is there; returns the upstreams of which somebody is to be told otherwise."""
        self._workers.append(worker)
        for trial in self._trials.values():
            trial.turns.append(worker)
        return self.expire(now)

    def retire(self, worker: int, now: float) -> set[str]:
        """A worker is to end: it is asked no more, but heard of its trial; returns what ``join`` does."""
        if worker not in self._workers:
            return set()
        self._workers.remove(worker)
        changed: set[str] = set()
        for (upstream, _), trial in self._trials.items():
            trial.turns.remove(worker)
            if trial.holder == worker and not trial.is_under_way:
                trial.grant(self._end(now))
                changed.add(upstream)
        return changed

    def leave(self, worker: int, now: float) -> tuple[set[str], list[tuple[str, str]]]:
        """A worker is gone: returns what ``join`` does, and the trials under way there, to be abandoned."""
        changed = self.retire(worker, now)
        orphans: list[tuple[str, str]] = []
        for place, trial in self._trials.items():
            if trial.holder == worker:
                orphans.append(place)
                trial.holder = None
        return changed, orphans

    def hear(self, upstream: str, standings: Iterable[Standing], now: float) -> None:
        """Take notice of how all targets of an upstream stand."""
        standing = {one.name: one for one in standings}
        for place in [place for place in self._trials if place[0] == upstream]:
            one = standing.get(place[1])
            if one is None or one.state != State.TRIAL:
                del self._trials[place]
        for one in standing.values():
            if one.is_trial:
                self._open((upstream, one.name), now)

    def forget(self, upstream: str) -> None:
        """An upstream is gone."""
        self.hear(upstream, (), 0.0)

    def _open(self, place: tuple[str, str], now: float) -> None:
        """A trial is to be made, for the first time or again."""
        trial = self._trials.get(place)
        if trial is None:
            trial = self._trials[place] = _Trial(self._workers.copy())
            # or the trials of many targets would all be asked of one worker
            self._workers.rotate(-1)
        elif not trial.is_under_way:
            return
        trial.grant(self._end(now))

    def _end(self, now: float) -> float:
        self._latest = max(now + GRANT, nextafter(self._latest, inf))
        return self._latest

    def expire(self, now: float) -> set[str]:
        """Let time act: ask the next worker where one did not begin; returns what ``join`` does."""
        changed: set[str] = set()
        for (upstream, _), trial in self._trials.items():
            if not trial.is_under_way and trial.turns and now >= trial.until + GRANT:
                trial.grant(self._end(now))
                changed.add(upstream)
        return changed

    def start(self, upstream: str, target: str, worker: int) -> bool:
        """Note that a trial began; ``False`` if that worker was not the one to begin it."""
        trial = self._trials.get((upstream, target))
        if trial is None or trial.is_under_way or trial.holder != worker:
            return False
        trial.is_under_way = True
        return True

    def is_heard(self, upstream: str, target: str, worker: int) -> bool:
        """Tell whether it makes a difference what became of a worker's requests."""
        trial = self._trials.get((upstream, target))
        return trial is None or not trial.is_under_way or trial.holder == worker

    def seen_by(self, worker: int, upstream: str, standing: Standing) -> Standing:
        """Return how a target stands for a worker: one on trial is another's, or its own for a while."""
        if not standing.is_trial:
            return standing
        trial = self._trials.get((upstream, standing.name))
        if trial is None or trial.holder != worker:
            return replace(standing, may_pick=False, is_trial=False)
        return replace(standing, trial_until=trial.until)
