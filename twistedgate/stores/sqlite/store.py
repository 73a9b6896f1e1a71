"""Jobs in a file of SQLite, as the reactor's thread sees them: the port ``JobStore``.

Rules: no method touches the file; each hands a step to the thread and waits for its commit.  Changes are told
to those who watch here at once, and to other processes by ``announce``, if there is a way to them; beneath
that, the file itself is asked again and again whether others changed it.  A claim that nobody waits for any
more is put back: a job is never running without a runner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from twistedgate.jobs.job import (
    Callback,
    Claim,
    Counts,
    End,
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
from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.stores.sqlite import bodies, owning, running, submitting, sweeping, telling
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.lives import is_dead
from twistedgate.stores.sqlite.rows import write_call
from twistedgate.stores.sqlite.thread import Clock, Thread
from twistedgate.stores.sqlite.watching import Watchers, look

T = TypeVar("T")

SOON: Final = 0.1
"""Seconds between two looks at what other processes changed, while somebody here wants to know."""

LATER: Final = 1.0
"""Seconds between them when nobody does, or when other processes announce what they change."""

GIVEN_BACK: Final = 10
"""Transactions of one sweep that give room back to the disk; the next sweep goes on."""

JOB: Final = "job"
"""Announced when a job changed, with its id."""

WORK: Final = "work"
"""Announced when there may be something to claim, with the route."""


class StoreReactor(Clock, Protocol):
    """What is needed of the reactor."""

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 -- Twisted's own word
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        """Call later."""


class SqliteStore:
    """Keeps jobs in the file at ``path``; ``name`` begins the name of this runner, which nobody else has."""

    def __init__(self, path: Path, reactor: StoreReactor, name: str = "runner") -> None:
        self.runner = f"{name}.{token_hex(8)}"
        self.announce: Callable[[str, str], object] | None = None
        """Called with ``JOB`` or ``WORK`` and an id, for other processes to ``hear``."""
        self._reactor = reactor
        self._thread = Thread(path, self.runner, reactor, self._kept)
        self._watchers = Watchers()
        self._last = -1
        self._look: IDelayedCall | None = None
        self._is_looking = False

    async def start(self) -> None:
        """Open the file; raises ``UnusableFile``, a ``StoreAway`` that says what to do."""
        await self._thread.start()
        self._look_later()

    async def stop(self) -> None:
        """Close it; whatever this runner still has is free for a sweep of others."""
        look, self._look = self._look, None
        if look is not None and look.active():
            look.cancel()
        await self._thread.stop()

    # bodies in pieces

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece of a body; raises ``StoreFull`` too."""
        await self._thread.perform(lambda ledger: bodies.put_piece(ledger, job, kind, number, piece))

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece, ``None`` behind the last one."""
        return await self._read(lambda ledger: bodies.get_piece(ledger, job, kind, number))

    async def drop_pieces(self, job: str, kind: str) -> None:
        """Throw a body away."""
        await self._write(lambda ledger: bodies.drop_body(ledger, job, kind))

    # the life of a job

    async def submit(self, job: NewJob, limits: Limits, now: float) -> Submission:
        """Keep a job, or say why not; when this returns, it is on the disk."""
        call = write_call(job.call)
        was_refused = False

        def undo(late: Submission) -> None:
            if was_refused and late.verdict is Verdict.ACCEPTED and not job.key:
                # with a key the next attempt finds it; without one nobody knows of it
                self._thread.perform(lambda ledger: submitting.withdraw(ledger, job.id)).addErrback(_ignore)
            elif late.claim is not None:
                self._unclaim([late.claim], now)

        try:
            submission = await self._thread.perform_together(
                submitting.submit, submitting.Handed(job, call, limits, now), late=undo
            )
        except StoreAway:
            was_refused = True
            raise
        self._watchers.note(submission.job)
        return submission

    async def claim(self, rooms: Sequence[Room], now: float) -> list[Claim]:
        """Take jobs that are due."""
        return await self._write(
            lambda ledger: running.claim(ledger, rooms, now), lambda late: self._unclaim(late, now)
        )

    async def finish(self, claim: Claim, end: End, now: float) -> bool:
        """Say how a run ended."""
        with _trying_again():
            return await self._thread.perform_together(running.finish, running.Ended(claim, end, now))

    async def put_back(self, claim: Claim, due: float, now: float) -> bool:
        """Queue a job again."""
        return await self._write(lambda ledger: running.put_back(ledger, claim, due, now))

    async def cancel(self, job: str, now: float) -> Job | None:
        """Cancel a job that is queued or running."""
        return await self._write(lambda ledger: owning.cancel(ledger, job, now))

    async def forget(self, job: str, now: float) -> Job | None:
        """Throw the result of a finished job away."""
        return await self._write(lambda ledger: owning.forget(ledger, job, now))

    async def retry(self, job: str, now: float) -> Job | None:
        """Queue a failed or cancelled job again."""
        return await self._write(lambda ledger: owning.retry(ledger, job, now))

    async def find(self, job: str, now: float) -> Job | None:
        """Return a job."""
        found = await self._thread.perform_together(owning.find_all, (job, now), is_write=False)
        self._watchers.note(found)
        return found

    async def list_jobs(
        self, owner: str | None, state: State | None, limit: int, cursor: str, now: float
    ) -> Page:
        """Return an owner's jobs, or everybody's, newest first; raises ``ValueError`` for a bad cursor."""
        before = owning.read_cursor(cursor)
        return await self._read(lambda ledger: owning.list_jobs(ledger, (owner, state), limit, before, now))

    # time, and what is known

    async def renew(self, now: float) -> None:
        """Take the lock of this runner's life anew, should its file have been removed."""
        life = self._thread.life
        await self._read(lambda _: life.renew())

    async def sweep(self, routes: Collection[str] | None, now: float) -> Swept:
        """Let time act, in as many transactions as it takes."""
        directory = self._thread.directory
        sweep = sweeping.Sweep(routes, lambda runner: is_dead(directory, runner), now)
        total, is_more = Swept(), True
        while is_more:
            swept, is_more = await self._write(sweep.step)
            total = _sum(total, swept)
        for _ in range(GIVEN_BACK):
            if not await self._write(sweeping.give_back):
                break
        return total

    async def counts(self, now: float) -> dict[str, Counts]:
        """Return what is not finished, by route."""
        return await self._read(owning.counts)

    def watch(self, job: str, changed: Callable[[], object]) -> Callable[[], None]:
        """Call ``changed`` when a job may have changed; returns how to stop."""
        stop = self._watchers.watch(job, changed)
        self._look_sooner()
        return stop

    def on_work(self, work: Callable[[], object]) -> None:
        """Call ``work`` when there may be something to claim."""
        self._watchers.on_work(work)
        self._look_sooner()

    def hear(self, kind: str, name: str) -> None:
        """Take what another process announced."""
        if kind == WORK:
            self._watchers.tell_work()
        else:
            self._watchers.tell_changed((name,))

    # callbacks

    async def due_callbacks(self, limit: int, now: float) -> list[Callback]:
        """Take callbacks that are due, for a minute each."""
        return await self._write(lambda ledger: telling.due_callbacks(ledger, limit, now))

    async def callback_ended(self, callback: Callback, next_try: float | None, now: float) -> None:
        """Say that a callback was delivered or given up (``None``), or when it is tried again."""
        await self._write(lambda ledger: telling.callback_ended(ledger, callback, next_try))

    # within

    def _read(self, step: Callable[[Ledger], T]) -> Deferred[T]:
        return self._thread.perform(step, is_write=False)

    async def _write(self, step: Callable[[Ledger], T], late: Callable[[T], object] | None = None) -> T:
        with _trying_again():
            return await self._thread.perform(step, late=late)

    def _unclaim(self, claims: list[Claim], now: float) -> None:
        def put_back(ledger: Ledger) -> None:
            for claim in claims:
                running.put_back(ledger, claim, now, now)

        # if that fails too, the jobs are free when this runner ends
        self._thread.perform(put_back).addErrback(_ignore)

    def _kept(self, jobs: list[str], routes: list[str]) -> None:
        """Tell what a transaction changed."""
        if self.announce is not None:
            for job in jobs:
                self.announce(JOB, job)
            for route in dict.fromkeys(routes):
                self.announce(WORK, route)
        self._watchers.tell_changed(jobs)
        if routes:
            self._watchers.tell_work()

    # what other processes changed

    def _pause(self) -> float:
        return SOON if self._watchers and self.announce is None else LATER

    def _look_later(self) -> None:
        self._look = self._reactor.callLater(self._pause(), self._look_now)

    def _look_sooner(self) -> None:
        look = self._look
        if look is not None and look.active() and look.getTime() > self._reactor.seconds() + self._pause():
            look.reset(self._pause())

    def _look_now(self) -> None:
        self._look_later()
        self._thread.expire()
        if self._is_looking:
            return
        self._is_looking = True
        last = -1 if self._watchers.is_unseen else self._last
        seen = self._watchers.seen()
        self._read(lambda ledger: look(ledger, last, seen)).addCallbacks(self._looked, self._not_looked)

    def _looked(self, found: tuple[int, list[tuple[str, int]], bool]) -> None:
        self._is_looking = False
        self._last, versions, is_work = found
        self._watchers.found(versions)
        if is_work:
            self._watchers.tell_work()

    def _not_looked(self, _: object) -> None:
        # it is told to those who ask for jobs
        self._is_looking = False


def _ignore(_: object) -> None:
    """Nobody waits for it any more."""


@contextmanager
def _trying_again() -> Iterator[None]:
    """Say of a full disk that the store is away: what is there already is to be tried again."""
    try:
        yield
    except StoreFull as full:
        raise StoreAway(str(full)) from full


def _sum(one: Swept, other: Swept) -> Swept:
    return Swept(
        one.expired_in_queue + other.expired_in_queue,
        one.interrupted + other.interrupted,
        one.put_back + other.put_back,
        one.forgotten + other.forgotten,
        one.ended + other.ended,
    )
