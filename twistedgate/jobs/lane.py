"""The queue of one route: who is next, who must wait for his time, and for whom there is no place."""

from __future__ import annotations

from twistedgate.jobs.agenda import Agenda
from twistedgate.jobs.job import Counts, Limits, Verdict
from twistedgate.jobs.record import Record


class Lane:
    """What is not finished of one route."""

    __slots__ = ("_ages", "_callers", "_later", "_ready", "running")

    def __init__(self) -> None:
        self.running = 0
        """Calls under way."""
        self._ready: Agenda[tuple[int, int], Record] = Agenda()
        self._later: Agenda[float, Record] = Agenda()
        self._ages: Agenda[int, Record] = Agenda()
        """All that is queued, whatever it waits for."""
        self._callers: dict[str, int] = {}

    @property
    def queued(self) -> int:
        """Jobs that are recorded and do not run."""
        return len(self._ages)

    def counts(self) -> Counts:
        """Return what is not finished."""
        oldest = self._ages.first()
        return Counts(self.queued, self.running, None if oldest is None else oldest.submitted)

    def starts(self, priority: int, concurrency: int, now: float) -> bool:
        """Whether a job that comes now is to be run at once: a slot is free, and nothing comes before it."""
        if self.running >= concurrency:
            return False
        before = self._next(now)
        return before is None or before.terms.priority < priority

    def refuses(self, caller: str, limits: Limits) -> Verdict | None:
        """Say why there is no place for one more that waits, ``None`` if there is one."""
        if self._callers.get(caller, 0) >= limits.max_queued_per_caller:
            return Verdict.CALLER_FULL
        return Verdict.QUEUE_FULL if self.queued >= limits.max_queued else None

    def join(self, record: Record, now: float) -> None:
        """Let a job wait."""
        self._ages.put(record.number, record)
        caller = record.caller
        self._callers[caller] = self._callers.get(caller, 0) + 1
        if record.due > now:
            self._later.put(record.due, record)
        else:
            self._ready.put((-record.terms.priority, record.number), record)

    def leave(self, record: Record) -> None:
        """A job waits no more, for whatever reason."""
        self._ages.strike(record)
        self._ready.strike(record)
        self._later.strike(record)
        caller = record.caller
        left = self._callers[caller] - 1
        if left:
            self._callers[caller] = left
        else:
            del self._callers[caller]

    def take(self, concurrency: int, now: float) -> Record | None:
        """Take the next job out of the queue, if it may be run."""
        record = self._next(now) if self.running < concurrency else None
        if record is not None:
            self.leave(record)
        return record

    def waiting(self) -> list[Record]:
        """Return all that is queued, in no order."""
        return list(self._ages)

    def _next(self, now: float) -> Record | None:
        """Return the highest priority's oldest; what waited too long is left to whoever ends it."""
        while (due := self._later.pop_until(now)) is not None:
            self._ready.put((-due.terms.priority, due.number), due)
        while (record := self._ready.first()) is not None and record.queue_ends <= now:
            self._ready.strike(record)
        return record
