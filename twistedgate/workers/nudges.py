"""What workers tell the one judge of requests, and what it tells them of targets: as values and as rows.

Rules

- A worker says nothing at once: what happened in one turn of the reactor leaves in one batch.
- The order of what became of one target's requests is kept as far as it makes a difference: failures in a row
  are one row with their number and the last reason.  In a flood of failures and successes by turns the first
  and the last failures in a row are kept, and of those between them the most that there were in a row.  So a
  batch has a bound however long the turn, and the judge counts no failures in a row that were not.
- Rows are made of JSON's own types.  A row that came from the other side is believed: it is the same code.

This module does not know how rows travel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, isinf
from typing import Any, Protocol

from twistedgate.balancing.health import State
from twistedgate.upstream.judging import Standing

Row = list[Any]
"""A standing or a nudge, for the channel."""


class Kind(StrEnum):
    """What a worker tells."""

    FAILED = "failed"
    SUCCEEDED = "succeeded"
    TRIAL_STARTED = "trial-started"
    TRIAL_ABANDONED = "trial-abandoned"


@dataclass(frozen=True, slots=True)
class Nudge:
    """What became of requests to one target."""

    upstream: str
    target: str
    kind: Kind
    reason: str = ""
    """Why the last of those that failed did."""
    count: int = 1
    """How many failed in a row."""

    @property
    def row(self) -> Row:
        """The nudge in JSON's own types."""
        return [self.upstream, self.target, self.kind.value, self.reason, self.count]

    @classmethod
    def of(cls, row: Row) -> Nudge:
        """Return the nudge of a row."""
        upstream, target, kind, reason, count = row
        return cls(upstream, target, Kind(kind), reason, count)


def standing_row(standing: Standing) -> Row:
    """Return a standing in JSON's own types, which know no infinity."""
    return [
        standing.name,
        standing.address,
        standing.place,
        standing.state.value,
        standing.weight,
        standing.may_pick,
        standing.is_trial,
        standing.is_suspected,
        standing.since,
        standing.last_error,
        None if isinf(standing.trial_until) else standing.trial_until,
    ]


def standing_of(row: Row) -> Standing:
    """Return the standing of a row."""
    name, address, place, state, *rest = row
    rest[-1] = inf if rest[-1] is None else rest[-1]
    return Standing(name, address, place, State(state), *rest)


class Nudges:
    """What a worker has to tell, until the end of the reactor's turn."""

    def __init__(
        self, send: Callable[[list[Row]], object], later: Callable[[Callable[[], None]], object]
    ) -> None:
        """``send`` gets the rows of a batch; ``later`` calls in the reactor's next turn."""
        self._send = send
        self._later = later
        self._waiting: dict[tuple[str, str], list[Nudge]] = {}

    def __repr__(self) -> str:
        return f"<Nudges {sum(map(len, self._waiting.values()))} to be sent>"

    def port(self, upstream: str) -> RemoteJudge:
        """Return whom to tell of requests to an upstream."""
        return RemoteJudge(self, upstream)

    def add(self, nudge: Nudge) -> None:
        """Tell this in the next turn."""
        if not self._waiting:
            self._later(self.flush)
        told = self._waiting.setdefault((nudge.upstream, nudge.target), [])
        if told and told[-1].kind == nudge.kind == Kind.FAILED:
            told[-1] = replace(nudge, count=told[-1].count + nudge.count)
        elif not told or told[-1].kind != nudge.kind:
            told.append(nudge)
            _shorten(told)

    def flush(self) -> None:
        """Tell everything now."""
        waiting, self._waiting = self._waiting, {}
        rows = [nudge.row for told in waiting.values() for nudge in told]
        if rows:
            self._send(rows)


_SHORT = [Kind.SUCCEEDED, Kind.FAILED, Kind.SUCCEEDED, Kind.FAILED, Kind.SUCCEEDED]


def _shorten(told: list[Nudge]) -> None:
    """Of two runs of failures between successes keep the longer one."""
    if [nudge.kind for nudge in told[-len(_SHORT) :]] == _SHORT:
        _, first, _, second, _ = told[-len(_SHORT) :]
        told[-4:-1] = [max(first, second, key=lambda nudge: nudge.count)]


class RemoteJudge:
    """A ``JudgePort`` in a worker: the judge is in another process."""

    def __init__(self, nudges: Nudges, upstream: str) -> None:
        self._nudges = nudges
        self._upstream = upstream

    def failed(self, target: str, reason: str, now: float) -> None:
        """A request came to nothing."""
        self._nudges.add(Nudge(self._upstream, target, Kind.FAILED, reason))

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered, after failures."""
        self._nudges.add(Nudge(self._upstream, target, Kind.SUCCEEDED))

    def trial_started(self, target: str, now: float) -> None:
        """The one request of a trial is under way."""
        self._nudges.add(Nudge(self._upstream, target, Kind.TRIAL_STARTED))

    def trial_abandoned(self, target: str, now: float) -> None:
        """The trial ended without a verdict."""
        self._nudges.add(Nudge(self._upstream, target, Kind.TRIAL_ABANDONED))


class CountingJudge(Protocol):
    """Who judges an upstream, and can be told of several failures in a row at once."""

    def failed(self, target: str, reason: str, now: float, count: int = 1) -> None:
        """So many requests in a row came to nothing."""

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered, after failures."""

    def trial_started(self, target: str, now: float) -> None:
        """The one request of a trial is under way."""

    def trial_abandoned(self, target: str, now: float) -> None:
        """The trial ended without a verdict."""


class Permissions(Protocol):
    """Knows which worker may make a trial request, and which one is making it."""

    def start(self, upstream: str, target: str, worker: int) -> bool:
        """Note that a trial began; ``False`` if that worker was not the one to begin it."""

    def is_heard(self, upstream: str, target: str, worker: int) -> bool:
        """Tell whether it makes a difference what became of a worker's requests."""


def take_outcomes(
    find: Callable[[str], CountingJudge | None],
    permissions: Permissions,
    worker: int,
    rows: Iterable[Row],
    now: float,
) -> None:
    """Tell the judges, each found by its upstream's name, what a worker says of its requests.

    A trial that the worker may not make is none, and while one is under way only who makes it is heard: what
    others say is of requests from before the ejection.
    """
    for nudge in map(Nudge.of, rows):
        judge = find(nudge.upstream)
        place = nudge.upstream, nudge.target, worker
        if judge is None or not permissions.is_heard(*place):
            continue
        match nudge.kind:
            case Kind.FAILED:
                judge.failed(nudge.target, nudge.reason, now, nudge.count)
            case Kind.SUCCEEDED:
                judge.succeeded(nudge.target, now)
            case Kind.TRIAL_STARTED:
                if permissions.start(*place):
                    judge.trial_started(nudge.target, now)
            case Kind.TRIAL_ABANDONED:
                judge.trial_abandoned(nudge.target, now)
