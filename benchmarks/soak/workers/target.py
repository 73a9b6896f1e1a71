"""A target that takes its time, and counts: how many requests are inside at once, when the last one came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.soak.clients import read_fields
from benchmarks.soak.connections import Connections


class Target(Connections):
    """Answers any GET after ``delay`` seconds, and ``/health`` at once, with ``health``."""

    def __init__(self, name: str, delay: float = 0.0) -> None:
        super().__init__()
        self.name = name
        self.delay = delay
        self.health = 200
        self.inside = 0
        self.most = 0
        self.served = 0
        self.last_came = 0.0
        """When the last request began, of any kind but checks."""
        self.said_ill = 0.0
        """When a check was first answered that all is not well, since it was."""

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, and answer it."""
        words, _ = read_fields(await reader.readuntil(b"\r\n\r\n"))
        status = self._check() if words[1] == "/health" else await self._work()
        head = f"HTTP/1.1 {status} Said\r\nX-Served-By: {self.name}\r\nContent-Length: 2\r\n\r\n"
        writer.write(head.encode() + b"ok")
        await writer.drain()

    def _check(self) -> int:
        if self.health == 200:
            self.said_ill = 0.0
        elif not self.said_ill:
            self.said_ill = time.monotonic()
        return self.health

    async def _work(self) -> int:
        self.last_came = time.monotonic()
        self.served += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.inside -= 1
        return 200


@asynccontextmanager
async def targets(*several: Target) -> AsyncIterator[list[int]]:
    """Run targets, and give their ports."""
    async with AsyncExitStack() as stack:
        for one in several:
            server = await asyncio.start_server(one.serve, "127.0.0.1", 0, backlog=1024)
            stack.push_async_callback(one.stop)
            await stack.enter_async_context(server)
            one.port = server.sockets[0].getsockname()[1]
        yield [one.port for one in several]
