"""Performs jobs: claims what is due, sends each call as live traffic is sent, and keeps what comes of it.

Rules
- A call goes through the action of its route by the configuration of now: balancers, health and limits are
  those of every other request.  Its own retries are off; the job's rules stand instead.
- What a run comes to is told to the store with the fence of its claim: whoever lost the job changes nothing.
- A store that is away does not end a run; what came of it is told when the store is back.
- Each run is written down once, whatever became of it, and each end is told once, by whoever made it.
- A cancelled job's call is cut.  A runner that is to end claims nothing more, finishes what it has for a
  while, and gives the rest back, or ends it as interrupted where it must not be sent twice.

This module knows neither clients nor where jobs are kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from twistedgate.background.patient import PatientPieces
from twistedgate.background.run import Answer, RunExchange, Runnable, answer_of, request_of
from twistedgate.errors import ClientGone
from twistedgate.jobs.job import Claim, Delivery, End, Head, Job, Room, State
from twistedgate.jobs.observer import UNOBSERVED, JobsObserver, outcome_of
from twistedgate.jobs.schedule import Outcome, RunAgain, Succeed, follow
from twistedgate.jobs.store import JobStore, StoreAway, StoreFull
from twistedgate.net.task import Task

RENEW = 10.0
"""Seconds between two signs of life to the store."""

SWEEP = 1.0
"""Seconds between two looks at what time does to jobs."""

TOLD_WITHIN = 1.0
"""Seconds that a store has to hear of runs which are given up; of what it does not hear, its lease ends."""

AGAIN = 0.5
"""Seconds until a store that is away is tried again."""

_log = Logger()


class TimedOut(BaseException):
    """The run took longer than ``async_timeout``; no broad catch may take it for a fault."""


class Interrupted(BaseException):
    """The run is given up: the process ends, or the job is not this one's any more."""


@dataclass(slots=True)
class _Run:
    """A call under way."""

    claim: Claim
    task: Task | None = None
    stop_watching: Callable[[], None] = field(default=lambda: None)
    is_interrupted: bool = False
    is_over: bool = False
    """The call has ended, and its job ends by that."""
    why: str = "interrupted"
    """Why it was cut, if it was."""


class Runner:
    """Performs jobs in this process."""

    def __init__(
        self,
        reactor: Any,
        store: JobStore,
        find: Callable[[str], Runnable | None],
        wall: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """``find`` returns how a route's jobs are performed now; ``wall`` gives seconds since 1970."""
        self.store = store
        self.wall = wall
        self.observer: JobsObserver = UNOBSERVED
        """Who is told what becomes of jobs."""
        self.on_callback: Callable[[], object] = lambda: None
        """Called when a job has ended of which somebody is to be told."""
        self._reactor = reactor
        self._find = find
        self._chance = chance
        self._bodies = PatientPieces(store, reactor, AGAIN)
        self._rooms: dict[str, int] = {}
        self._coming: frozenset[str] = frozenset()
        self._is_configured = False
        self._runs: dict[str, _Run] = {}
        self._is_claiming = False
        self._is_wanted = False
        self._has_looked = False
        self._is_ending = False
        self._is_over = False
        self._looping = [self._loop(self._renew, RENEW), self._loop(self._sweep, SWEEP)]

    def __repr__(self) -> str:
        return f"<Runner {self.store.runner} running={len(self._runs)}>"

    def _loop(self, call: Callable[[], object], interval: float) -> tuple[LoopingCall, float]:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        return loop, interval

    # the life of it

    def configure(self, rooms: Mapping[str, int]) -> None:
        """Perform the jobs of these routes, so many of each at once everywhere; those of others are ended."""
        self._rooms = dict(rooms)
        self._coming = frozenset()
        self._is_configured = True
        self.wake()

    def expect(self, routes: Iterable[str]) -> None:
        """End no jobs of these routes: others may have them already, and this process is about to."""
        self._coming = frozenset(routes)

    def start(self) -> None:
        """Begin to perform jobs; the store is open.  Nothing is claimed before time has acted on it."""
        self.store.on_work(self.wake)
        for loop, interval in self._looping:
            loop.start(interval, now=True).addErrback(
                lambda failure: _log.failure("jobs stand still", failure)
            )

    async def drain(self, timeout: float) -> None:
        """Claim nothing more, and let runs end for so many seconds; give back what is left."""
        self._is_ending = True
        if self._runs:
            _log.info(
                "calls of jobs under way: {count}; {most:g} s to end", count=len(self._runs), most=timeout
            )
        await self._idle(timeout)
        for run in list(self._runs.values()):
            self._interrupt(run)
        await self._idle(TOLD_WITHIN)
        for run in list(self._runs.values()):
            self._cut(run)
        self._is_over = True

    async def _idle(self, seconds: float) -> None:
        """Wait until no call is under way, nor a claim, for so many seconds at most."""
        over: Deferred[None] = deferLater(self._reactor, seconds)
        while (self._runs or self._is_claiming) and not over.called:
            await deferLater(self._reactor, SWEEP / 10)
        over.addErrback(lambda cancelled: None).cancel()

    def stop(self) -> None:
        """Do nothing any more; runs under way are forgotten, and whoever comes after finds them."""
        self._is_ending = True
        for loop, _ in self._looping:
            if loop.running:
                loop.stop()

    def has(self, job: str) -> bool:
        """Whether the call of a job is under way here."""
        return job in self._runs

    @property
    def running(self) -> int:
        """Calls under way here."""
        return len(self._runs)

    # time

    def _renew(self) -> None:
        self._apart(self.store.renew(self.wall()))

    def _sweep(self) -> None:
        self._apart(self._sweep_once())

    async def _sweep_once(self) -> None:
        try:
            # one who ends knows no routes but those of his time: others may have newer ones
            knows = self._is_configured and not self._is_ending
            routes = self._rooms.keys() | self._coming if knows else None
            swept = await self.store.sweep(routes, self.wall())
        finally:
            self._has_looked = True
        for job in swept.ended:
            self.observer.finished(job.route, job.reason)
        if swept.interrupted or swept.put_back:
            _log.warn(
                "a runner is gone: {put_back} jobs are queued again, {interrupted} are interrupted",
                put_back=swept.put_back,
                interrupted=swept.interrupted,
            )
        self.wake()

    def _apart(self, coroutine: Any) -> None:
        """Do something whose end nobody waits for; a store that is away says so, and is tried again."""

        async def apart() -> None:
            # what is told each second hides the one line that matters
            with contextlib.suppress(StoreAway):
                await coroutine

        Task(apart(), lambda: None).step()

    # claims

    def wake(self) -> None:
        """There may be something to do."""
        self._is_wanted = True
        if self._has_looked and not self._is_claiming and not self._is_ending and self._rooms:
            self._is_claiming = True
            Task(self._claim(), self._claimed).step()

    async def _claim(self) -> None:
        while self._is_wanted and not self._is_ending:
            self._is_wanted = False
            rooms = [Room(route, most, most) for route, most in self._rooms.items() if self._find(route)]
            try:
                claims = await self.store.claim(rooms, self.wall())
            except StoreAway:
                return
            for claim in claims:
                self._take(claim)

    def _claimed(self) -> None:
        self._is_claiming = False
        if self._is_wanted and not self._is_ending:
            self.wake()

    def _take(self, claim: Claim) -> None:
        """Perform a job that was waiting; whoever has begun to end since he asked for it does not."""
        if self._is_ending:
            self._apart(self._give_back(claim))
        else:
            self.run(claim)

    def run(self, claim: Claim) -> None:
        """Perform a job that was claimed for this process; too late, it is given back at once."""
        if self._is_over:
            self._apart(self._give_back(claim))
            return
        run = self._runs[claim.job.id] = _Run(claim)
        run.stop_watching = self.store.watch(claim.job.id, lambda: self._look_after(run))
        run.task = Task(self._perform(run), lambda: self._ended(run))
        run.task.step()

    async def _give_back(self, claim: Claim) -> None:
        await self.store.put_back(claim, self.wall(), self.wall())

    def _ended(self, run: _Run) -> None:
        run.stop_watching()
        if self._runs.get(run.claim.job.id) is run:
            del self._runs[run.claim.job.id]
        self.wake()

    def _look_after(self, run: _Run) -> None:
        """The job has changed: if it is not this run's any more, the call is cut."""
        self._apart(self._check(run))

    async def _check(self, run: _Run) -> None:
        job = await self.store.find(run.claim.job.id, self.wall())
        # by the number of the run: a fence may count otherwise
        number = run.claim.job.attempts
        is_ours = job is not None and job.state == State.RUNNING and job.attempts == number
        if not is_ours and not run.is_over and run.task is not None and not run.task.is_done:
            if job is not None and job.state == State.CANCELLED:
                run.why = "job-cancelled"
            self._cut(run)

    def _interrupt(self, run: _Run) -> None:
        """Give a call up; one that has ended is told of as it ended."""
        if not run.is_over:
            run.is_interrupted = True
            self._cut(run)

    @staticmethod
    def _cut(run: _Run) -> None:
        if run.task is not None:
            run.task.throw(Interrupted())

    # one run

    async def _perform(self, run: _Run) -> None:
        try:
            await self._perform_and_tell(run)
        except Interrupted:
            _log.warn("the store did not hear in time how job {id} ended", id=run.claim.job.id)

    async def _perform_and_tell(self, run: _Run) -> None:
        """Send the call, and tell the store what came of it."""
        runnable = self._find(run.claim.job.route)
        if runnable is None:
            await self._tell(run, End(State.FAILED, reason="route-gone"), None)
            return
        timer = self._reactor.callLater(runnable.timeout, self._time_out, run)
        outcome, head, body = Outcome(reason="interrupted"), None, None
        try:
            outcome, head, body = await self._call(run, runnable)
        except (Interrupted, ClientGone):
            if not run.is_interrupted:
                return
        finally:
            if timer.active():
                timer.cancel()
        await self._decide(run, runnable, outcome, (head, body))

    @staticmethod
    def _time_out(run: _Run) -> None:
        if run.task is not None:
            run.task.throw(TimedOut())

    async def _call(self, run: _Run, runnable: Runnable) -> Answer:
        """Return what the upstream answered, or why it did not, and have it written down."""
        job = run.claim.job
        exchange = RunExchange(run.claim, request_of(run.claim, self._bodies), self._reactor)
        exchange.pipeline = runnable.pipeline
        exchange.response_timeout = runnable.timeout
        is_first = job.attempts == 1
        self.observer.began(job.route, exchange.opened - job.submitted if is_first else None)
        try:
            answered = await answer_of(exchange, runnable, self._bodies)
            exchange.reason = exchange.reason or answered[0].reason
        except TimedOut:
            exchange.reason = "timeout"
            return Outcome(reason="timeout"), None, None
        except (Interrupted, ClientGone):
            exchange.reason = run.why
            raise
        else:
            return answered
        finally:
            run.is_over = True
            runnable.action.finish(exchange)
            exchange.finished = self._reactor.seconds()
            self.observer.ran(job.route, exchange.finished - exchange.started)
            runnable.observe(exchange)

    async def _decide(
        self, run: _Run, runnable: Runnable, outcome: Outcome, answer: tuple[Head | None, bytes | None]
    ) -> None:
        """Go by the job's rules."""
        job = run.claim.job
        if run.is_interrupted:
            if job.terms.delivery == Delivery.AT_LEAST_ONCE:
                await self._tell(run, None, self.wall())
            else:
                await self._tell(run, End(State.FAILED, reason="interrupted"), None)
            return
        following = follow(outcome, job, runnable.backoff, self._chance)
        if isinstance(following, Succeed):
            head, body = answer
            await self._tell(run, End(State.SUCCEEDED, head, body), None)
        elif isinstance(following, RunAgain):
            await self._tell(run, None, self.wall() + following.delay)
            self._reactor.callLater(following.delay, self.wake)
        else:
            await self._tell(run, End(State.FAILED, reason=following.reason), None)

    async def _tell(self, run: _Run, end: End | None, due: float | None) -> None:
        """Tell the store until it has heard it."""
        while True:
            try:
                if end is not None:
                    if await self.store.finish(run.claim, end, self.wall()):
                        self._finished(run.claim.job, end)
                else:
                    assert due is not None
                    await self.store.put_back(run.claim, due, self.wall())
            except StoreAway:
                await deferLater(self._reactor, AGAIN)
            except StoreFull:
                end = End(State.FAILED, reason="result-too-large")
            else:
                return

    def _finished(self, job: Job, end: End) -> None:
        self.observer.finished(job.route, outcome_of(end))
        if job.callback:
            self.on_callback()
