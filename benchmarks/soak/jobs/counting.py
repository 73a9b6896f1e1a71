"""An upstream that counts: which job called it, how often, for which number of a client's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.soak.clients import read_fields, skip, skip_chunks
from benchmarks.soak.connections import Connections

PIECE = b"x" * (1 << 16)


class Counting(Connections):
    """Answers every call after ``delay`` seconds with its path, or with ``size`` bytes."""

    def __init__(self, delay: float, size: int = 0) -> None:
        super().__init__()
        self.delay = delay
        self.jobs: Counter[str] = Counter()
        """Calls by their ``Job-Id``."""
        self.paths: Counter[str] = Counter()
        """Calls by their path, which tells the client's number."""
        self.inside = 0
        self._size = size

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, and answer it."""
        words, fields = read_fields(await reader.readuntil(b"\r\n\r\n"))
        # from here on it has reached the upstream, whatever becomes of it
        self.jobs[fields.get("job-id", "")] += 1
        self.paths[words[1]] += 1
        if "transfer-encoding" in fields:
            await skip_chunks(reader)
        else:
            await skip(reader, int(fields.get("content-length", 0)))
        self.inside += 1
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.inside -= 1
        said = words[1].encode()
        length = self._size or len(said)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        if not self._size:
            writer.write(said)
        for start in range(0, self._size, len(PIECE)):
            writer.write(PIECE[: self._size - start])
            await writer.drain()


@asynccontextmanager
async def counting(delay: float, size: int = 0) -> AsyncIterator[Counting]:
    """Run an upstream that counts, on a port of its own."""
    upstream = Counting(delay, size)
    async with await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=1024) as server:
        upstream.port = server.sockets[0].getsockname()[1]
        try:
            yield upstream
        finally:
            await upstream.stop()
