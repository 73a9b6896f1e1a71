"""Large bodies in Redis, in pieces and on a connection of their own, so that nothing else waits behind them.

A piece of a request fails at once when Redis is away; one of a result waits, as its call goes on.  Pieces of
a result lie under the fence of the run that writes them: a runner that has lost its job and does not know it
yet writes beside the new one, and the end of the one that counts says which they are.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import DeferredSemaphore

from twistedgate.jobs.store import RESULT
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.line import Line
from twistedgate.stores.redis.link import Link
from twistedgate.stores.redis.lua import Scripts
from twistedgate.stores.redis.spool import Spool

AT_ONCE = 4
"""Pieces on their way at a time: what Redis has not taken yet is memory here."""


class Pieces:
    """Puts, gets and drops pieces; ``fence_of`` tells the fence that this process holds of a job."""

    def __init__(self, dial: Dial, scripts: Scripts, fence_of: Callable[[str], int | None]) -> None:
        self.link = Link(dial, _nothing)
        self._scripts = scripts
        self._fence_of = fence_of
        self._spool = Spool(self.link.chance)
        self._turns = DeferredSemaphore(AT_ONCE)

    async def put(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece; one of a result from whoever has lost the job is let fall."""
        fence = self._fence(job, kind)
        if kind == RESULT and not fence:
            return
        place = f"body:{job}:{kind}:{fence}" if fence else f"body:{job}:{kind}"
        await self._turns.acquire()
        try:
            if kind == RESULT:
                await self._spool.deliver(lambda: self._put(place, number, piece), 0)
            else:
                await self._put(place, number, piece)
        finally:
            self._turns.release()

    async def get(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece, ``None`` behind the last one."""
        await self._turns.acquire()
        try:
            arguments = job, kind, number, self._fence(job, kind)
            piece: bytes | None = await self._scripts.run(self.link.ask, "get_piece", *arguments)
        finally:
            self._turns.release()
        return piece

    async def drop(self, job: str, kind: str) -> None:
        """Throw a body away, but not what another run of the job has kept."""
        await self._scripts.run(self.link.ask, "drop_pieces", job, kind, self._fence(job, kind))

    async def _put(self, place: str, number: int, piece: bytes) -> None:
        await self._scripts.run(self.link.ask, "put_piece", place, number, piece)

    def _fence(self, job: str, kind: str) -> str:
        fence = self._fence_of(job) if kind == RESULT else None
        return "" if fence is None else str(fence)


async def _nothing(line: Line) -> None:
    """There is nothing to say first."""
