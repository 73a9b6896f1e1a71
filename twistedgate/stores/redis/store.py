"""Jobs in a Redis that many machines share: ``state = redis://...``.

Each change of state is one script, which Redis runs whole or not at all; times are by Redis' own clock, and
what a method is told of ``now`` only serves to know how long ``due`` is away.  Redis is there and answers
within a second, or ``StoreAway`` is raised; only the end of a call waits until it is heard.  Several stores,
in as many processes on as many machines, are one: limits hold over all of them.

It imports txredisapi, and so the global reactor: only once the one that is to run is installed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.config.redis_address import RedisAddress
from twistedgate.jobs.job import (
    Callback,
    Claim,
    Counts,
    Delivery,
    End,
    EndedJob,
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
from twistedgate.jobs.store import UNREADABLE, StoreAway, StoreFull
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.ear import Ear
from twistedgate.stores.redis.line import Lost
from twistedgate.stores.redis.lua import Scripts
from twistedgate.stores.redis.pieces import Pieces
from twistedgate.stores.redis.records import (
    Argument,
    end_record,
    listed_job,
    milliseconds,
    octets,
    read_claim,
    read_job,
    remembered_job,
    submit_record,
    submitted_job,
)
from twistedgate.stores.redis.session import Session
from twistedgate.stores.redis.spool import Spool, SpoolFull

START_WAIT = 1.0
"""Seconds that a start waits for Redis; the gateway starts without it, and says so."""

STOP_WAIT = 5.0
"""Seconds that a stop waits for what is still to be said."""

LIST_AT_ONCE = 100
"""Jobs that one script shows."""

_CURSOR = re.compile("[0-9]{1,16}", re.ASCII)

T = TypeVar("T")

_log = Logger()


class RedisStore:
    """Keeps jobs in a Redis; raises ``ValueError`` if the ``tls_ca`` of its address cannot be used.

    ``name`` is told to operators as a part of ``runner``; ``prefix`` is that of all keys.
    """

    def __init__(
        self,
        reactor: Any,
        address: RedisAddress,
        password: str = "",
        name: str = "runner",
        prefix: str = "twistedgate",
    ) -> None:
        dial = Dial(reactor, address, password)
        self._clock = reactor
        self.scripts = Scripts(prefix)
        self._session = Session(dial, self.scripts, name)
        self._pieces = Pieces(dial, self.scripts, self._session.fence_of)
        self._ear = Ear(dial, self.scripts.prefix)
        self._spool = Spool(self._session.link.chance)
        self.runner = self._session.runner
        self.stop_wait = STOP_WAIT

    @property
    def is_up(self) -> bool:
        """Whether Redis is there."""
        return self._session.link.is_up and self._pieces.link.is_up and self._ear.is_up

    async def start(self) -> None:
        """Connect; a Redis that is away is waited for only a moment, and found later."""
        for part in (self._session.link, self._pieces.link, self._ear):
            part.start()
        await self._wait(lambda: self.is_up, START_WAIT)

    async def stop(self) -> None:
        """Close it; what is left under way is for the next sweep, whoever does it."""
        await self._wait(lambda: not self._spool.waiting, self.stop_wait)
        # where Redis is away the lease ends by itself
        with contextlib.suppress(StoreAway, StoreFull):
            await self._run("leave", self.runner)
        await self.abandon()

    async def abandon(self) -> None:
        """Close it without a word: what is still to be said is not said, and the lease ends by itself."""
        for part in (self._session.link, self._pieces.link, self._ear):
            await part.stop()

    # bodies in pieces

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece; one of a result waits while Redis is away."""
        await self._pieces.put(job, kind, number, piece)

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece; a small body is one."""
        return await self._pieces.get(job, kind, number)

    async def drop_pieces(self, job: str, kind: str) -> None:
        """Throw a body away; what the end of a run has kept stays."""
        await self._pieces.drop(job, kind)

    # the life of a job

    async def submit(self, job: NewJob, limits: Limits, now: float) -> Submission:
        """Keep a job; when nobody waits for the answer any more, a claim is given back."""
        return await _unwanted(
            self._submit(job, limits), lambda submission: self._give_back(submission.claim)
        )

    async def claim(self, rooms: Sequence[Room], now: float) -> list[Claim]:
        """Take jobs that are due; when nobody waits for the answer any more, they are given back."""
        return await _unwanted(self._claim(rooms), lambda claims: self._give_back(*claims))

    async def finish(self, claim: Claim, end: End, now: float) -> bool:
        """Say how a run ended, until it is heard; a result that finds no room meanwhile is given up."""
        body = end.body or b""
        try:
            return await self._end("finish", claim, *end_record(end), len_of=len(body))
        except SpoolFull:
            if claim.job.terms.delivery is Delivery.AT_LEAST_ONCE:
                return await self._end("put_back", claim, 0)
            return await self._end("finish", claim, *end_record(End(State.FAILED, reason="interrupted")))

    async def put_back(self, claim: Claim, due: float, now: float) -> bool:
        """Queue a job again, until it is heard."""
        return await self._end("put_back", claim, max(0, milliseconds(due - now)))

    async def cancel(self, job: str, now: float) -> Job | None:
        """Cancel a job that is not finished."""
        did, view = await self._told("cancel", job)
        found = None if view is None else read_job(view)
        return found if found is None or not did else replace(found, was_ended_now=True)

    async def forget(self, job: str, now: float) -> Job | None:
        """Throw the result of a finished job away."""
        view = await self._told("forget", job)
        return None if view is None else read_job(view)

    async def retry(self, job: str, now: float) -> Job | None:
        """Queue a failed or cancelled job again."""
        view = await self._told("retry", job)
        return None if view is None else read_job(view)

    async def find(self, job: str, now: float) -> Job | None:
        """Return a job."""
        view = await self._run("find", job)
        return None if view is None else read_job(view)

    async def list_jobs(
        self, owner: str | None, state: State | None, limit: int, cursor: str, now: float
    ) -> Page:
        """Return jobs, newest first; a cursor is the age of the last one."""
        if cursor and not _CURSOR.fullmatch(cursor):
            raise ValueError("the cursor is not one that was given out")
        index = b"all" if owner is None else b"owner:" + octets(owner)
        jobs: list[Job] = []
        below: Argument = cursor or "+inf"
        is_all = False
        while not is_all and len(jobs) < limit:
            wanted = min(limit - len(jobs), LIST_AT_ONCE)
            below, is_all, views = await self._run("list", index, below, state or "", wanted)
            jobs.extend(job for job in map(listed_job, views) if job is not None)
        return Page(tuple(jobs), "" if is_all or not isinstance(below, bytes) else below.decode())

    # time, and what is known

    async def renew(self, now: float) -> None:
        """Say that this runner is alive, for a minute."""
        self._session.keep_only(await self._run("renew", self.runner))

    async def sweep(self, routes: Collection[str] | None, now: float) -> Swept:
        """Let time act, some hundred jobs to a script; a route is gone when no gateway has it."""
        interrupted: list[EndedJob] = []
        put_back = forgotten = 0
        more = 1
        is_first = 1
        while more:
            more, again, pairs = await self._run("sweep_runners", self.runner, is_first)
            put_back, is_first = put_back + again, 0
            interrupted += _ended(pairs, "interrupted")
        expired = await self._sweep("sweep_deadlines", "expired-in-queue")
        gone = [] if routes is None else await self._sweep("sweep_routes", "route-gone", self.runner, *routes)
        more = 1
        while more:
            more, count = await self._run("sweep_expiry")
            forgotten += count
        ended = (*interrupted, *expired, *gone)
        for job in ended:
            self._ear.tell(job.id)
        return Swept(len(expired), len(interrupted), put_back, forgotten, ended)

    async def counts(self, now: float) -> dict[str, Counts]:
        """Return what is not finished, by route."""
        return {
            route.decode("utf-8", "surrogatepass"): Counts(queued, running, oldest and int(oldest) / 1000)
            for route, queued, running, oldest in await self._run("counts")
        }

    def watch(self, job: str, changed: Callable[[], object]) -> Callable[[], None]:
        """Call ``changed`` when a job may have changed, on whichever machine; returns how to stop."""
        return self._ear.watch(job, changed)

    def on_work(self, work: Callable[[], object]) -> None:
        """Call ``work`` when there may be something to claim."""
        self._ear.on_work(work)

    # callbacks

    async def due_callbacks(self, limit: int, now: float) -> list[Callback]:
        """Take callbacks that are due, for a minute each."""
        taken = []
        for attempts, telling, view in await self._run("due_callbacks", limit):
            try:
                job = remembered_job(view)
            except UNREADABLE as error:
                _log_unreadable(view[-2], error)
                with contextlib.suppress(StoreAway):
                    await self._run("callback_ended", view[-2], telling, "")
            else:
                taken.append(Callback(job, job.callback, attempts, telling))
        return taken

    async def callback_ended(self, callback: Callback, next_try: float | None, now: float) -> None:
        """Say that a callback is over (``None``), or when it is tried again."""
        delay = "" if next_try is None else max(0, milliseconds(next_try - now))
        await self._run("callback_ended", callback.job.id, callback.fence, delay)

    # what these are made of

    async def _run(self, script: str, *arguments: Argument) -> Any:
        return await self.scripts.run(self._session.link.ask, script, *arguments)

    async def _submit(self, new: NewJob, limits: Limits) -> Submission:
        arguments = submit_record(new, limits)
        session = self._session
        try:
            verdict, *rest = await self._run("submit", self.runner, session.epoch, *arguments)
        except Lost:
            session.withdraw(new.id)
            raise
        if verdict != b"accepted":
            view = rest[0] if rest else None
            return Submission(Verdict(verdict.decode()), None if view is None else read_job(view))
        submitted, fence = int(rest[0]) / 1000, rest[1]
        job = submitted_job(new, submitted, self.runner if fence else "")
        if not fence:
            self._ear.tell_work()
            return Submission(Verdict.ACCEPTED, job)
        claim = Claim(job, new.body, fence)
        session.hold(claim)
        return Submission(Verdict.ACCEPTED, job, claim)

    async def _claim(self, rooms: Sequence[Room]) -> list[Claim]:
        wanted: list[Argument] = []
        for room in rooms:
            if room.wanted > 0:
                wanted += octets(room.route), room.concurrency, room.wanted
        taken = await self._run("claim", self.runner, self._session.epoch, *wanted) if wanted else []
        claims: list[Claim] = []
        unreadable: list[bytes] = []
        for one in taken:
            try:
                claim = read_claim(one)
            except UNREADABLE as error:
                unreadable.append(one[0] if len(one) == 1 else one[-1][-2])
                _log_unreadable(unreadable[-1], error)
            else:
                claims.append(claim)
                self._session.hold(claim)
                self._ear.tell(claim.job.id)
        # the others are run whatever becomes of these
        with contextlib.suppress(StoreAway):
            for job in unreadable:
                await self._run("cancel", job)
        return claims

    async def _end(self, script: str, claim: Claim, *arguments: Argument, len_of: int = 0) -> bool:
        job = claim.job.id
        said = self._session.saying(), job, claim.fence, *arguments
        is_valid = await self._spool.deliver(lambda: self._run(script, *said), len_of)
        self._session.let_go(job, claim.fence)
        self._ear.tell(job)
        self._ear.tell_work()
        return bool(is_valid)

    async def _told(self, script: str, job: str) -> Any:
        """Change a job, and say here that it may have changed."""
        answer = await self._run(script, job)
        self._ear.tell(job)
        self._ear.tell_work()
        return answer

    async def _sweep(self, script: str, reason: str, *arguments: Argument) -> list[EndedJob]:
        ended: list[EndedJob] = []
        more = 1
        while more:
            more, pairs = await self._run(script, *arguments)
            ended += _ended(pairs, reason)
        return ended

    def _give_back(self, *claims: Claim | None) -> None:
        """Nobody runs them: what cannot be said now is found out when the next connection is made."""
        pairs: list[Argument] = []
        for claim in claims:
            if claim is not None:
                pairs += claim.job.id, claim.fence
                self._session.let_go(claim.job.id, claim.fence)
        if pairs:
            Deferred.fromCoroutine(self._run("release", *pairs)).addErrback(_ignore_away)

    async def _wait(self, holds: Callable[[], bool], limit: float) -> None:
        end = self._clock.seconds() + limit
        while not holds() and self._clock.seconds() < end:
            await deferLater(self._clock, 0.01)


def _log_unreadable(job: bytes, error: Exception) -> None:
    _log.error(
        "job {job} is lost in Redis, or cannot be read: nobody runs it or tells of it ({kind}: {error}); "
        "see maxmemory-policy there, and who else writes to it",
        job=job.decode("ascii", "replace"),
        kind=type(error).__name__,
        error=error,
    )


def _ended(pairs: Sequence[Sequence[bytes]], reason: str) -> list[EndedJob]:
    """Return the jobs that a script ended, of which it says the id and the route."""
    return [EndedJob(job.decode(), route.decode("utf-8", "surrogatepass"), reason) for job, route in pairs]


async def _unwanted(asking: Coroutine[Any, Any, T], unwanted: Callable[[T], object]) -> T:
    """Wait for an answer; one that comes when whoever waited is gone is handed to ``unwanted``."""
    waiting: Deferred[T] = Deferred()

    def answered(answer: T) -> None:
        if waiting.called:
            unwanted(answer)
        else:
            waiting.callback(answer)

    def failed(failure: Failure) -> None:
        if waiting.called:
            _ignore_away(failure)
        else:
            waiting.errback(failure)

    Deferred.fromCoroutine(asking).addCallbacks(answered, failed).addErrback(
        lambda failure: _log.failure("an answer of Redis was not understood", failure)
    )
    return await waiting


def _ignore_away(failure: Failure) -> None:
    failure.trap(StoreAway)
