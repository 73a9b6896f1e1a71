"""Jobs in the memory of the one process that there is: they are gone with it.

Rules
- Each step costs the logarithm of what is kept, at most; what becomes too old leaves in small numbers, with
  each submission and each sweep, so that thousands that expire at once hold nobody up.
- Nothing waits here, and nobody is told but by the functions that ``watch`` and ``on_work`` were given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from twistedgate.jobs.agenda import Agenda
from twistedgate.jobs.job import (
    FINAL,
    Callback,
    Claim,
    Counts,
    End,
    EndedJob,
    Head,
    Job,
    Limits,
    NewJob,
    Page,
    Room,
    State,
    Submission,
    Swept,
    Verdict,
)
from twistedgate.jobs.ledger import Ledger, weight
from twistedgate.jobs.record import Record
from twistedgate.jobs.store import REQUEST, RESULT

AT_ONCE = 4
"""Jobs that leave with each one that comes: each leaves in two steps, and so there is never an old stock."""

IN_A_SWEEP = 5000
"""Steps of leaving with one sweep at most: some hundredths of a second."""

TELLING = 60.0
"""Seconds in which a callback that was taken is to be reported."""


class Telling:
    """Somebody who is to be told of an end."""

    __slots__ = ("attempts", "fence", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.attempts = 0
        self.fence = 0


class Memory:
    """What several stores may stand on, as several workers would: jobs, who runs them, who listens."""

    def __init__(self, state_max: int) -> None:
        self.ledger = Ledger(state_max)
        self.timeouts: Agenda[float, Record] = Agenda()
        self.callbacks: Agenda[float, Telling] = Agenda()
        self.tellings: dict[str, Telling] = {}
        self.living: set[str] = set()
        self.running: dict[str, dict[str, Record]] = {}
        """What runs, by runner and id."""
        self.watches: dict[str, dict[object, Callable[[], object]]] = {}
        self.works: list[Callable[[], object]] = []
        self._fence = 0

    def next_fence(self) -> int:
        """Return a number that was never given."""
        self._fence += 1
        return self._fence

    def tell(self, job: str) -> None:
        """Say that a job has changed."""
        watches = self.watches.get(job)
        if watches is not None:
            for changed in tuple(watches.values()):
                changed()

    def tell_work(self) -> None:
        """Say that there may be something to run."""
        for work in tuple(self.works):
            work()


class MemoryStore:
    """Keeps jobs in memory, ``state_max`` bytes of them; ``memory`` is another store's, to share it."""

    def __init__(self, runner: str, state_max: int, memory: Memory | None = None) -> None:
        self.runner = runner
        self.memory = Memory(state_max) if memory is None else memory
        self._ledger = self.memory.ledger

    async def start(self) -> None:
        """Begin to run jobs."""
        self.memory.living.add(self.runner)

    async def stop(self) -> None:
        """Run nothing any more."""
        self.memory.living.discard(self.runner)

    # bodies in pieces

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece of a body; one of an answer that nobody waits for any more is let fall."""
        record = self._ledger.records.get(job)
        if record is None or record.state is State.RUNNING:
            self._ledger.put_piece(job, kind, number, piece)

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece, or a small body as the only one."""
        record = self._ledger.records.get(job)
        inline = None if record is None else record.body if kind == REQUEST else record.result
        if inline is not None:
            return inline if number == 0 else None
        return self._ledger.pieces.get(job, kind, number)

    async def drop_pieces(self, job: str, kind: str) -> None:
        """Throw a body away."""
        self._ledger.used -= self._ledger.pieces.drop(job, kind)

    # the life of a job

    async def submit(self, job: NewJob, limits: Limits, now: float) -> Submission:
        """Keep a job, or say why not."""
        ledger = self._ledger
        known = ledger.with_key(job, now)
        if known is not None:
            if known.fingerprint != job.fingerprint:
                return Submission(Verdict.MISMATCH)
            return Submission(Verdict.REPLAYED, known.job(now))
        ledger.expire(now, AT_ONCE)
        lane = ledger.lane(job.route)
        starts = lane.starts(job.terms.priority, limits.concurrency, now)
        refused = None if starts else lane.refuses(job.caller, limits)
        if refused is not None:
            return Submission(refused)
        record = ledger.add(job, now)
        if starts:
            claim = self._begin(record, now)
            return Submission(Verdict.ACCEPTED, claim.job, claim)
        self._queue(record, now)
        return Submission(Verdict.ACCEPTED, record.job(now))

    async def claim(self, rooms: Sequence[Room], now: float) -> list[Claim]:
        """Take jobs that are due, the highest priority's oldest of each route first."""
        claims: list[Claim] = []
        for room in rooms:
            lane = self._ledger.lane(room.route)
            for _ in range(room.wanted):
                record = lane.take(room.concurrency, now)
                if record is None:
                    break
                self.memory.timeouts.strike(record)
                claims.append(self._begin(record, now))
                self.memory.tell(record.id)
        return claims

    async def finish(self, claim: Claim, end: End, now: float) -> bool:
        """Say how a run ended; raises ``StoreFull``, and nothing changes, where its answer has no place."""
        record = self._claimed(claim)
        if record is None:
            return False
        if end.state is State.SUCCEEDED and end.head is not None:
            self._keep_answer(record, end.head, end.body)
        self._end(record, end.state, end.reason, now)
        return True

    async def put_back(self, claim: Claim, due: float, now: float) -> bool:
        """Queue a job again, to be run from ``due`` on."""
        record = self._claimed(claim)
        if record is None:
            return False
        self._put_back(record, due, now)
        return True

    async def cancel(self, job: str, now: float) -> Job | None:
        """Cancel a job that is queued or running."""
        record = self._find(job, now)
        if record is None or record.state in FINAL:
            return None if record is None else record.job(now)
        self._end(record, State.CANCELLED, "", now)
        return replace(record.job(now), was_ended_now=True)

    async def forget(self, job: str, now: float) -> Job | None:
        """Throw the bodies of a finished job away."""
        record = self._find(job, now)
        if record is None:
            return None
        if record.state in FINAL and not record.is_forgotten and not record.is_gone(now):
            self._ledger.forget(record)
            self.memory.tell(job)
        return record.job(now)

    async def retry(self, job: str, now: float) -> Job | None:
        """Queue a failed or cancelled job again, whose request is still kept."""
        record = self._find(job, now)
        if record is None:
            return None
        is_ended = record.state is State.FAILED or record.state is State.CANCELLED
        if is_ended and not record.is_forgotten and not record.is_gone(now):
            self._ledger.ends.strike(record)
            self._tell_nobody(record)
            record.wait(now, now)
            self._queue(record, now)
            self.memory.tell(job)
        return record.job(now)

    async def find(self, job: str, now: float) -> Job | None:
        """Return a job, ``is_gone`` for as long again as its ttl, then ``None``."""
        record = self._find(job, now)
        return None if record is None else record.job(now)

    async def list_jobs(
        self, owner: str | None, state: State | None, limit: int, cursor: str, now: float
    ) -> Page:
        """Return an owner's jobs, or everybody's, newest first."""
        if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
            raise ValueError("a cursor that was never given")
        records, following = self._ledger.roll(owner).page(
            int(cursor) if cursor else None,
            limit,
            lambda record: (state is None or record.state is state) and not record.is_gone(now),
        )
        jobs = tuple(record.job(now) for record in records)
        return Page(jobs, "" if following is None else str(following))

    # time, and what is known

    async def renew(self, now: float) -> None:
        """Nothing has to be said: this process is alive."""

    async def sweep(self, routes: Collection[str] | None, now: float) -> Swept:
        """Let time act: queue timeouts, ttls, and the death of others that share the memory."""
        expired = self._end_overdue(now)
        interrupted, put_back = self._end_dead(now)
        gone = [] if routes is None else self._end_routes(routes, now)
        ledger = self._ledger
        ledger.expire(now, IN_A_SWEEP)
        ledger.used -= ledger.pieces.drop_orphans(now)
        forgotten, ledger.forgotten = ledger.forgotten, 0
        ended = (*expired, *interrupted, *gone)
        return Swept(len(expired), len(interrupted), put_back, forgotten, ended)

    async def counts(self, now: float) -> dict[str, Counts]:
        """Return what is not finished, by route."""
        counts = {route: lane.counts() for route, lane in self._ledger.lanes.items()}
        return {route: count for route, count in counts.items() if count.queued or count.running}

    def watch(self, job: str, changed: Callable[[], object]) -> Callable[[], None]:
        """Call ``changed``, in the same breath, when a job changes; returns how to stop."""
        token = object()
        self.memory.watches.setdefault(job, {})[token] = changed
        return partial(self._unwatch, job, token)

    def on_work(self, work: Callable[[], object]) -> None:
        """Call ``work`` when there may be something to claim."""
        self.memory.works.append(work)

    # callbacks

    async def due_callbacks(self, limit: int, now: float) -> list[Callback]:
        """Take callbacks that are due, for a minute each."""
        memory = self.memory
        taken: list[Callback] = []
        while len(taken) < limit and (telling := memory.callbacks.pop_until(now)) is not None:
            telling.fence = memory.next_fence()
            record = telling.record
            taken.append(Callback(record.job(now), record.callback, telling.attempts, telling.fence))
            telling.attempts += 1
            memory.callbacks.put(now + TELLING, telling)
        return taken

    async def callback_ended(self, callback: Callback, next_try: float | None, now: float) -> None:
        """Say that a callback was delivered or given up (``None``), or when it is tried again."""
        telling = self.memory.tellings.get(callback.job.id)
        if telling is None or telling.fence != callback.fence:
            return
        telling.fence = 0
        if next_try is None:
            self._tell_nobody(telling.record)
        else:
            self.memory.callbacks.put(next_try, telling)

    # one step of a job

    def _find(self, job: str, now: float) -> Record | None:
        record = self._ledger.records.get(job)
        return None if record is None or record.is_unknown(now) else record

    def _claimed(self, claim: Claim) -> Record | None:
        """Return the job of a claim that is still valid."""
        record = self._ledger.records.get(claim.job.id)
        return record if record is not None and record.fence == claim.fence else None

    def _begin(self, record: Record, now: float) -> Claim:
        memory = self.memory
        fence = memory.next_fence()
        record.begin(self.runner, fence, now)
        memory.running.setdefault(self.runner, {})[record.id] = record
        self._ledger.lanes[record.route].running += 1
        return Claim(record.job(now), record.body, fence)

    def _queue(self, record: Record, now: float) -> None:
        self._ledger.lanes[record.route].join(record, now)
        self.memory.timeouts.put(record.queue_ends, record)
        if record.due <= now:
            self.memory.tell_work()

    def _leave(self, record: Record) -> None:
        """A job is neither queued nor running any more."""
        lane = self._ledger.lanes[record.route]
        if record.state is State.QUEUED:
            lane.leave(record)
            self.memory.timeouts.strike(record)
        else:
            lane.running -= 1
            del self.memory.running[record.runner][record.id]

    def _put_back(self, record: Record, due: float, now: float) -> None:
        self._leave(record)
        self._ledger.drop_body(record, RESULT)
        record.wait(due, now)
        self._queue(record, now)
        if record.due > now and self._ledger.lanes[record.route].queued > 1:
            self.memory.tell_work()
        self.memory.tell(record.id)

    def _keep_answer(self, record: Record, head: Head, body: bytes | None) -> None:
        """Keep an answer in the place of the request, which is not needed any more."""
        ledger = self._ledger
        size = weight(head.headers) + len(head.phrase) + len(body or b"")
        spare = len(record.body or b"") + ledger.pieces.size(record.id, REQUEST)
        ledger.charge(size - spare)
        ledger.used += spare
        ledger.drop_body(record, REQUEST)
        record.cost += size
        record.head, record.status, record.result = head, head.status, body

    def _end(self, record: Record, state: State, reason: str, now: float) -> None:
        was_running = record.state is State.RUNNING
        self._leave(record)
        record.end(state, reason, now)
        if record.status is None:
            self._ledger.drop_body(record, RESULT)
        self._ledger.ends.put(now + record.terms.ttl, record)
        if record.callback:
            telling = self.memory.tellings[record.id] = Telling(record)
            self.memory.callbacks.put(now, telling)
        self.memory.tell(record.id)
        if was_running and self._ledger.lanes[record.route].queued:
            self.memory.tell_work()

    def _tell_nobody(self, record: Record) -> None:
        telling = self.memory.tellings.pop(record.id, None)
        if telling is not None:
            self.memory.callbacks.strike(telling)

    # what time and others did

    def _end_overdue(self, now: float) -> list[EndedJob]:
        ended: list[EndedJob] = []
        while len(ended) < IN_A_SWEEP and (record := self.memory.timeouts.pop_until(now)) is not None:
            ended.append(self._fail(record, "expired-in-queue", now))
        return ended

    def _fail(self, record: Record, reason: str, now: float) -> EndedJob:
        self._end(record, State.FAILED, reason, now)
        return EndedJob(record.id, record.route, reason)

    def _end_dead(self, now: float) -> tuple[list[EndedJob], int]:
        ended, put_back = [], 0
        for runner in self.memory.running.keys() - self.memory.living:
            for record in list(self.memory.running[runner].values()):
                if record.outlives_runner:
                    self._put_back(record, now, now)
                    put_back += 1
                else:
                    ended.append(self._fail(record, "interrupted", now))
            del self.memory.running[runner]
        return ended, put_back

    def _end_routes(self, routes: Collection[str], now: float) -> list[EndedJob]:
        gone = [lane for route, lane in self._ledger.lanes.items() if route not in routes]
        waiting = [record for lane in gone for record in lane.waiting()]
        return [self._fail(record, "route-gone", now) for record in waiting]

    def _unwatch(self, job: str, token: object) -> None:
        watches = self.memory.watches.get(job)
        if watches is not None and watches.pop(token, None) is not None and not watches:
            del self.memory.watches[job]
