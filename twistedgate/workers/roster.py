"""Which workers there should be, which there are, and what to do next.

There are ``wanted`` slots, each with one worker that serves; a worker that is being replaced serves until the
next one is ready, and then drains.  A worker is known by its row of the scoreboard, which is free again when
the process is dead and what it counted is folded.  A worker that dies early is replaced with growing delays,
and after five in a row its slot is given up, until somebody wants another try.  Steps are to be taken in
order, at once; a ``Spawn`` that fails is a death.  Times are monotonic seconds and come in as ``now``.  This
module does not know what a process is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

READY_WITHIN = 30.0
"""Seconds that a worker may take to be ready: its configuration is loaded already, so this is generous."""

STUCK_AFTER = 10.0
"""Seconds without a heartbeat after which an event loop is not going to turn any more."""

EARLY = 2.0
"""Seconds of readiness; a worker that dies before has not shown that it can serve."""

FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
"""Seconds before an early death is followed by another try: doubled each time, between these two."""

MOST_EARLY_DEATHS = 5
"""In a row, after which a slot is given up: whatever is wrong does not go away by itself."""

REPLACED_WITHIN = 60.0
"""Seconds after which a stuck worker counts as one that could not be replaced."""

ROWS = range(2, 128)
"""The rows of workers in the scoreboard; those before are the retired ones and the supervisor."""

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker."""

    slot: int
    row: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Have a worker end when what it has under way has ended."""

    row: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker by force; its death is still to be told."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Say loudly that there will be no further try for a slot."""

    slot: int
    deaths: int
    goes_on: bool
    """Whether an older worker serves there still."""


@dataclass(frozen=True, slots=True)
class End:
    """Nobody serves any more: end the supervisor, as failed."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Call ``look`` at that time, unless other steps come first; always the last step, if it is there."""

    until: float


Step = Spawn | Drain | Kill | GiveUp | End | Wait


class Stage(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    KILLED = "killed"
    DEAD = "dead"
    """Until its row is folded."""


@dataclass(slots=True)
class Worker:
    """One process; to be read only."""

    slot: int
    row: int
    stage: Stage
    since: float
    """When it came to its stage."""
    deadline: float = NEVER
    """When it is killed if it is in the same stage still."""


@dataclass(slots=True)
class _Slot:
    number: int
    current: Worker | None = None
    old: Worker | None = None
    """Serves until ``current`` is ready."""
    deaths: int = 0
    not_before: float = 0.0
    is_given_up: bool = False
    stuck_since: float | None = None


@dataclass(slots=True)
class Roster:
    """Says what to do next; every event returns the steps that it calls for."""

    wanted: int
    rows: range = ROWS
    workers: dict[int, Worker] = field(default_factory=dict)
    """By their rows, dead ones included until they are folded."""
    _slots: list[_Slot] = field(default_factory=list)
    _stale: list[int] = field(default_factory=list)
    """Slots whose workers are to be replaced, one at a time."""
    _is_ending: bool = False
    _has_ended: bool = False
    _looked: float = -NEVER
    _awake_since: float = -NEVER

    def __post_init__(self) -> None:
        self._slots = [_Slot(number) for number in range(self.wanted)]

    # what happens

    def take_over(self, slot: int, row: int, now: float, until: float | None = None) -> None:
        """There is a worker already, which outlived the program that started it; it serves.

        With ``until`` it drains, and is killed then.
        """
        worker = self.workers[row] = Worker(slot, row, Stage.READY, now)
        if until is None:
            self._slots[slot].current = worker
        else:
            worker.stage, worker.deadline = Stage.DRAINING, until

    def look(self, now: float, beats: Mapping[int, float] | None = None) -> list[Step]:
        """Return what is due; to be called every second.  ``beats`` are the last heartbeats, by row."""
        if now - self._looked > STUCK_AFTER / 2:
            # the supervisor itself was held up (a frozen machine), and its workers perhaps with it
            self._awake_since = now
        self._looked = now
        return [*self._overdue(now), *self._stuck(now, beats or {}), *self._next(now)]

    def ready(self, row: int, now: float) -> list[Step]:
        """A worker serves."""
        worker = self.workers.get(row)
        if worker is None or worker.stage is not Stage.STARTING:
            return self._next(now)
        worker.stage, worker.since, worker.deadline = Stage.READY, now, NEVER
        slot = self._slots[worker.slot]
        slot.stuck_since = None
        steps: list[Step] = []
        if slot.old is not None:
            steps.append(self._drain(slot.old, now))
            slot.old = None
        if slot.number in self._stale:
            self._stale.remove(slot.number)
        return [*steps, *self._next(now)]

    def draining(self, row: int, until: float, now: float) -> list[Step]:
        """A worker serves nobody new, whoever told it so; at ``until`` it is killed."""
        worker = self.workers.get(row)
        if worker is None or worker.stage not in {Stage.STARTING, Stage.READY, Stage.DRAINING}:
            return self._next(now)
        if worker.stage is not Stage.DRAINING:
            self._vacate(worker)
            worker.stage, worker.since = Stage.DRAINING, now
        worker.deadline = until
        return self._next(now)

    def stuck(self, row: int, now: float) -> list[Step]:
        """A worker does not answer."""
        return [*self._kill_stuck(row, now), *self._next(now)]

    def died(self, row: int, now: float) -> list[Step]:
        """A worker's process is gone, or could not be started."""
        worker = self.workers.get(row)
        if worker is None or worker.stage is Stage.DEAD:
            return self._next(now)
        steps = self._lose(worker, now)
        worker.stage, worker.since, worker.deadline = Stage.DEAD, now, NEVER
        return [*steps, *self._next(now)]

    def folded(self, row: int, now: float) -> list[Step]:
        """What a dead worker counted is kept elsewhere: its row is free."""
        if row in self.workers and self.workers[row].stage is Stage.DEAD:
            del self.workers[row]
        return self._next(now)

    # what is wanted

    def retry(self, now: float) -> list[Step]:
        """Try slots again that were given up: a reload may have made them work."""
        for slot in self._slots:
            slot.is_given_up, slot.deaths, slot.not_before = False, 0, now
        self._has_ended = False
        return self._next(now)

    def renew(self, now: float) -> list[Step]:
        """Replace every worker, one after the other, none before its successor is ready."""
        self._stale = [slot.number for slot in self._slots]
        return self.retry(now)

    def shut_down(self, now: float) -> list[Step]:
        """Have every worker drain, and start none; it is over when ``is_empty``."""
        self._is_ending = True
        self._stale = []
        steps: list[Step] = []
        for worker in self.workers.values():
            if worker.stage is Stage.READY:
                steps.append(self._drain(worker, now))
            elif worker.stage is Stage.STARTING:
                steps.append(self._kill(worker, "the gateway is shutting down", now))
        for slot in self._slots:
            slot.current = slot.old = None
        return [*steps, *self._next(now)]

    # what is known

    @property
    def is_empty(self) -> bool:
        """Whether no process is left."""
        return all(worker.stage is Stage.DEAD for worker in self.workers.values())

    @property
    def serving(self) -> list[Worker]:
        """The workers that accept connections, by slot."""
        found = (worker for slot in self._slots for worker in (slot.old, slot.current))
        return [worker for worker in found if worker is not None and worker.stage is Stage.READY]

    @property
    def given_up(self) -> list[int]:
        """The slots for which there is no further try."""
        return [slot.number for slot in self._slots if slot.is_given_up]

    @property
    def is_renewing(self) -> bool:
        """Whether workers are still to be replaced."""
        return bool(self._stale)

    def watchdog_ok(self, now: float) -> bool:
        """Whether every worker that was stuck has a successor, or will have one yet."""
        return not any(
            slot.stuck_since is not None and (slot.is_given_up or now - slot.stuck_since > REPLACED_WITHIN)
            for slot in self._slots
        )

    # what follows

    def _overdue(self, now: float) -> list[Step]:
        steps: list[Step] = []
        for worker in self.workers.values():
            if worker.deadline > now:
                continue
            was = worker.stage
            reason = "it was not ready in time" if was is Stage.STARTING else "its drain took too long"
            lost = self._lose(worker, now)
            steps += [self._kill(worker, reason, now), *lost]
        return steps

    def _stuck(self, now: float, beats: Mapping[int, float]) -> list[Step]:
        steps: list[Step] = []
        for worker in self.workers.values():
            last = max(worker.since, self._awake_since, beats.get(worker.row, 0.0))
            if worker.stage in {Stage.READY, Stage.DRAINING} and now - last > STUCK_AFTER:
                steps += self._kill_stuck(worker.row, now)
        return steps

    def _kill_stuck(self, row: int, now: float) -> list[Step]:
        worker = self.workers.get(row)
        if worker is None or worker.stage in {Stage.KILLED, Stage.DEAD}:
            return []
        slot = self._slots[worker.slot]
        if worker is slot.current and slot.stuck_since is None:
            slot.stuck_since = now
        lost = self._lose(worker, now)
        return [self._kill(worker, "its event loop does not answer", now), *lost]

    def _kill(self, worker: Worker, reason: str, now: float) -> Kill:
        worker.stage, worker.since, worker.deadline = Stage.KILLED, now, NEVER
        return Kill(worker.row, reason)

    def _drain(self, worker: Worker, now: float) -> Drain:
        worker.stage, worker.since = Stage.DRAINING, now
        return Drain(worker.row)

    def _vacate(self, worker: Worker) -> None:
        """The worker is nobody's any more."""
        slot = self._slots[worker.slot]
        if slot.current is worker:
            slot.current = None
        if slot.old is worker:
            slot.old = None

    def _lose(self, worker: Worker, now: float) -> list[Step]:
        """A worker serves no more; whether it was the slot's own, and when there is another try."""
        slot = self._slots[worker.slot]
        was_current = slot.current is worker
        self._vacate(worker)
        if not was_current:
            return []
        if worker.stage is Stage.READY and now - worker.since >= EARLY:
            slot.deaths, slot.not_before = 0, now
            return []
        slot.deaths += 1
        slot.not_before = now + min(FIRST_DELAY * 2 ** (slot.deaths - 1), LONGEST_DELAY)
        return [] if slot.deaths < MOST_EARLY_DEATHS else self._give_up(slot)

    def _give_up(self, slot: _Slot) -> list[Step]:
        """Keep the old worker if there is one, and replace no others: they would fare no better."""
        slot.current, slot.old = slot.old, None
        slot.is_given_up = slot.current is None
        self._stale = []
        return [GiveUp(slot.number, slot.deaths, slot.current is not None)]

    def _next(self, now: float) -> list[Step]:
        """Return what the slots lack, and when to look again."""
        if self._is_ending:
            return [*self._wait([])]
        steps: list[Step] = []
        due: list[float] = []
        self._begin_renewal()
        for slot in self._slots:
            if slot.current is not None or slot.is_given_up:
                continue
            if slot.not_before > now:
                due.append(slot.not_before)
            elif (row := self._free_row()) is not None:
                slot.current = Worker(slot.number, row, Stage.STARTING, now, now + READY_WITHIN)
                self.workers[row] = slot.current
                steps.append(Spawn(slot.number, row))
        if self._slots and all(slot.is_given_up for slot in self._slots) and not self._has_ended:
            self._has_ended = True
            steps.append(End())
        return [*steps, *self._wait(due)]

    def _begin_renewal(self) -> None:
        """Make room for the next worker of one slot, when no other slot is being renewed."""
        if not self._stale:
            return
        slot = self._slots[self._stale[0]]
        if slot.old is None and slot.current is not None and slot.current.stage is Stage.READY:
            slot.old, slot.current = slot.current, None
            slot.deaths = 0

    def _free_row(self) -> int | None:
        return next((row for row in self.rows if row not in self.workers), None)

    def _wait(self, due: list[float]) -> Iterator[Wait]:
        times = [*due, *(worker.deadline for worker in self.workers.values() if worker.deadline < NEVER)]
        if times:
            yield Wait(min(times))
