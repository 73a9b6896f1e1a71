"""The world in which a store is tried: its clock, its runners, their deaths; and jobs to be kept.

Who tries a store writes a ``World`` of it: how one is made, how its clock is moved, how a runner dies.  All
times of a test are differences to ``now``, with some seconds to spare: a store may go by a clock of its own.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from twistedgate.jobs.job import (
    Call,
    Claim,
    Counts,
    Delivery,
    End,
    Head,
    Job,
    Limits,
    NewJob,
    Room,
    State,
    Submission,
    Terms,
    Verdict,
    new_id,
)
from twistedgate.jobs.store import REQUEST, RESULT, JobStore

T = TypeVar("T")

TTL = 95.0
QUEUE_TIMEOUT = 45.0
ROUTE = "reports"
MANY = Limits(max_queued=1000, max_queued_per_caller=1000, concurrency=1000)
QUEUES = Limits(max_queued=1000, max_queued_per_caller=1000, concurrency=0)
"""Nothing is claimed by being submitted."""

CALL = Call(
    method="POST",
    path="/reports/7",
    query="?a=%20b",
    authority="example.com",
    scheme="https",
    headers=((b"Accept", b"*/*"), (b"X-Latin", b"caf\xe9"), (b"x-twice", b"1"), (b"X-Twice", b"2")),
    client="192.0.2.1",
    listener="public",
    request_id="r-1",
    consumer="alice",
    groups=("staff", "night"),
    length=5,
)
HEAD = Head(200, ((b"Content-Type", b"text/plain"), (b"X-Latin", b"caf\xe9")), 6, b"Fine")
"""Of the answer ``RESULT_BODY``."""
REQUEST_BODY = b"hello"
RESULT_BODY = b"answer"
DONE = End(State.SUCCEEDED, HEAD, RESULT_BODY)
LOST = End(State.FAILED, reason="reset")


class World(abc.ABC):
    """A store, whoever shares it, and the time that passes for it."""

    is_shared = True
    """Whether a second store that is made stands on the same state as the first."""

    is_durable = True
    """Whether a store that is made when all others are dead finds what was kept."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.living: list[JobStore] = []

    @abc.abstractmethod
    async def make_store(self, runner: str) -> JobStore:
        """Return a store that is not started; ``runner`` distinguishes it from others in this test."""

    @abc.abstractmethod
    async def abandon(self, store: JobStore) -> None:
        """Let a runner die without a word, so that the sweep of another knows it at once."""

    async def shift(self, seconds: float) -> None:
        """Move the clock; one that does not follow ``now`` has to be moved here."""
        self.now += seconds

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end outside of an asynchronous test."""
        outcome: T = pytest_twisted.blockon(ensureDeferred(coroutine))
        return outcome

    async def open(self, runner: str = "a") -> JobStore:
        """Return a store that is at work."""
        store = await self.make_store(runner)
        await store.start()
        await store.renew(self.now)
        self.living.append(store)
        return store

    async def advance(self, seconds: float) -> None:
        """Let time pass; every living runner says so."""
        await self.shift(seconds)
        for store in self.living:
            await store.renew(self.now)

    async def kill(self, store: JobStore) -> None:
        """Let a runner die."""
        self.living.remove(store)
        await self.abandon(store)

    async def stop(self, store: JobStore) -> None:
        """Let a runner end in order."""
        self.living.remove(store)
        await store.stop()

    async def close(self) -> None:
        """End."""
        while self.living:
            await self.stop(self.living[-1])

    async def eventually(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that a store says of its own accord, for ten seconds at most."""
        from twisted.internet import reactor

        for _ in range(1000):
            if holds():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("it never held")


@dataclass
class Maker:
    """Makes jobs that differ from one another in little."""

    route: str = ROUTE
    caller: str = "key-auth:staff/alice"
    terms: Terms = field(
        default=Terms(Delivery.AT_MOST_ONCE, ttl=TTL, queue_timeout=QUEUE_TIMEOUT, retries=3)
    )

    def __call__(self, **named: Any) -> NewJob:
        """Return a new job; what a ``NewJob``, its ``Terms`` or its ``Call`` has may be named."""
        terms = {name: named.pop(name) for name in Terms.__slots__ if name in named}
        call = {name: named.pop(name) for name in Call.__slots__ if name in named}
        caller = named.pop("caller", self.caller)
        plain = NewJob(
            id=new_id(),
            route=self.route,
            owner=caller,
            caller=caller,
            call=replace(CALL, **call),
            terms=replace(self.terms, **terms),
            body=REQUEST_BODY,
        )
        return replace(plain, **named)


new_job = Maker()


def accepted(submission: Submission) -> Job:
    """Return the job that was accepted."""
    assert submission.verdict is Verdict.ACCEPTED
    assert submission.job is not None
    return submission.job


def claimed(submission: Submission) -> Claim:
    """Return the claim of a job that was accepted and is run at once."""
    job = accepted(submission)
    assert submission.claim is not None
    assert submission.claim.job == job
    return submission.claim


def room(wanted: int = 1000, concurrency: int = 1000, route: str = ROUTE) -> Room:
    """Return the room of a runner that would take much."""
    return Room(route, concurrency, wanted)


def ids(claims: list[Claim]) -> list[str]:
    """Return the ids of the jobs that were claimed, in their order."""
    return [claim.job.id for claim in claims]


class Keeping:
    """A store and its world, with the words that most tests need."""

    def __init__(self, world: World, store: JobStore) -> None:
        self.world = world
        self.store = store

    async def submit(self, limits: Limits = MANY, **named: Any) -> Submission:
        """Hand in a new job that is as ``named``."""
        return await self.store.submit(new_job(**named), limits, self.world.now)

    async def queue(self, **named: Any) -> str:
        """Hand in a job that nobody runs, and return its id."""
        return accepted(await self.submit(QUEUES, **named)).id

    async def begin(self, **named: Any) -> Claim:
        """Hand in a job that is run at once, and return the claim."""
        return claimed(await self.submit(MANY, **named))

    async def claim(self, *rooms: Room) -> list[Claim]:
        """Claim, of the one route if none is named, as much as there is."""
        return await self.store.claim(rooms or (room(),), self.world.now)

    async def finish(self, claim: Claim, end: End = DONE) -> bool:
        """Say how a run ended."""
        return await self.store.finish(claim, end, self.world.now)

    async def find(self, job: str) -> Job:
        """Return a job that must be known."""
        found = await self.store.find(job, self.world.now)
        assert found is not None
        return found

    async def is_known(self, job: str) -> bool:
        """Whether a job is known at all."""
        return await self.store.find(job, self.world.now) is not None

    async def result(self, job: str) -> bytes | None:
        """Return the result that is kept, ``None`` where there is none."""
        return await self._read(job, RESULT)

    async def request(self, job: str) -> bytes | None:
        """Return the request's body that is kept."""
        return await self._read(job, REQUEST)

    async def counts(self, route: str = ROUTE) -> Counts:
        """Return what is not finished of a route."""
        return (await self.store.counts(self.world.now)).get(route, Counts())

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and act."""
        await self.world.advance(seconds)
        await self.store.sweep(None, self.world.now)

    async def _read(self, job: str, kind: str) -> bytes | None:
        pieces: list[bytes] = []
        while piece := await self.store.get_piece(job, kind, len(pieces)):
            pieces.append(piece)
        return b"".join(pieces) if pieces else None
