"""Jobs for operators to ask about, in a store that the test fills, and that may be away or take its time."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from tests.stores.world import MANY, QUEUES, accepted, claimed, new_job
from twistedgate.jobs.job import INLINE, Claim, End, Head, Job, Page, State
from twistedgate.jobs.store import RESULT, StoreAway
from twistedgate.stores.memory import MemoryStore

T = TypeVar("T")

LOST = End(State.FAILED, reason="reset")


def now(work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of work that need not wait."""
    results: list[T] = []
    Deferred.fromCoroutine(work).addCallback(results.append)
    (result,) = results
    return result


@dataclass
class Jobs:
    """Keeps jobs in a store."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore("here", 2**30))
    moment: float = field(default_factory=time.time)
    """Now, for what is submitted and ends; asked for jobs, operators go by the clock."""

    def queued(self, **named: Any) -> str:
        """Have a job that waits, and return its id."""
        return accepted(now(self.store.submit(new_job(**named), QUEUES, self.moment))).id

    def begin(self, **named: Any) -> Claim:
        """Have a job that runs, whatever waits."""
        named.setdefault("priority", 1)
        return claimed(now(self.store.submit(new_job(**named), MANY, self.moment)))

    def running(self, **named: Any) -> str:
        """Have a job that runs, and return its id."""
        return self.begin(**named).job.id

    def failed(self, **named: Any) -> str:
        """Have a job that failed, and return its id."""
        return self.end(self.begin(**named), LOST)

    def cancelled(self, **named: Any) -> str:
        """Have a job that was cancelled, and return its id."""
        job = self.queued(**named)
        now(self.store.cancel(job, self.moment))
        return job

    def succeeded(self, body: bytes = b"answer", *fields: tuple[bytes, bytes], **named: Any) -> str:
        """Have a job with a result, and return its id."""
        claim = self.begin(**named)
        inline: bytes | None = body
        if len(body) > INLINE:
            inline = None
            for number, start in enumerate(range(0, len(body), INLINE)):
                piece = body[start : start + INLINE]
                now(self.store.put_piece(claim.job.id, RESULT, number, piece))
        head = Head(200, fields or ((b"Content-Type", b"text/html"),), len(body), b"Fine")
        return self.end(claim, End(State.SUCCEEDED, head, inline))

    def find(self, job: str) -> Job:
        """Return how a job stands."""
        found = now(self.store.find(job, time.time()))
        assert found is not None
        return found

    def end(self, claim: Claim, end: End) -> str:
        """End a run, and return the job's id."""
        assert now(self.store.finish(claim, end, self.moment))
        return claim.job.id


class AwayStore(MemoryStore):
    """A store that is away for what it is told to be away for, from when that was asked a number of times."""

    def __init__(self, **away: int) -> None:
        super().__init__("here", 2**30)
        self._left = away

    def _ask(self, method: str) -> None:
        left = self._left.get(method)
        if left is not None:
            if left == 0:
                raise StoreAway("connection refused")
            self._left[method] = left - 1

    async def find(self, job: str, now: float) -> Job | None:
        self._ask("find")
        return await super().find(job, now)

    async def cancel(self, job: str, now: float) -> Job | None:
        self._ask("cancel")
        return await super().cancel(job, now)

    async def retry(self, job: str, now: float) -> Job | None:
        self._ask("retry")
        return await super().retry(job, now)

    async def forget(self, job: str, now: float) -> Job | None:
        self._ask("forget")
        return await super().forget(job, now)

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        self._ask("get_piece")
        return await super().get_piece(job, kind, number)

    async def list_jobs(
        self, owner: str | None, state: State | None, limit: int, cursor: str, now: float
    ) -> Page:
        self._ask("list_jobs")
        return await super().list_jobs(owner, state, limit, cursor, now)


class SlowStore(MemoryStore):
    """A store that gives a piece, or forgets a job, when the test says so."""

    def __init__(self) -> None:
        super().__init__("here", 2**30)
        self.waiting: list[Deferred[None]] = []
        self.pieces = 0

    def go_on(self) -> None:
        """Let what waits go on."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    async def _wait(self) -> None:
        self.waiting.append(Deferred())
        await self.waiting[-1]

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        self.pieces += 1
        await self._wait()
        return await super().get_piece(job, kind, number)

    async def forget(self, job: str, now: float) -> Job | None:
        await self._wait()
        return await super().forget(job, now)
