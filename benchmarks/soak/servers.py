"""A server of bytes: as many as are asked for, read or written no faster than a scenario allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.soak.clients import read_fields, skip, skip_chunks
from benchmarks.soak.connections import Connections

PIECE = b"x" * (1 << 16)


class ByteServer(Connections):
    """Answers ``GET /bytes/N`` with N bytes, and any POST once it was read; ``flows`` holds it up."""

    def __init__(self) -> None:
        super().__init__()
        self.flows = asyncio.Event()
        self.flows.set()
        self.received = 0

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, and answer it."""
        words, fields = read_fields(await reader.readuntil(b"\r\n\r\n"))
        length = 2
        if "transfer-encoding" in fields:
            self.received += await skip_chunks(reader)
        elif words[0] == "POST":
            await self._read(reader, int(fields["content-length"]))
        elif words[1].startswith("/bytes/"):
            length = int(words[1].rpartition("/")[2])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        for start in range(0, length, len(PIECE)):
            await self.flows.wait()
            writer.write(PIECE[: length - start])
            await writer.drain()

    async def _read(self, reader: asyncio.StreamReader, length: int) -> None:
        for start in range(0, length, len(PIECE)):
            await self.flows.wait()
            size = min(len(PIECE), length - start)
            await skip(reader, size)
            self.received += size


@asynccontextmanager
async def byte_server() -> AsyncIterator[ByteServer]:
    """Run a server of bytes on a port of its own."""
    bytes_of = ByteServer()
    async with await asyncio.start_server(bytes_of.serve, "127.0.0.1", 0, backlog=1024) as server:
        bytes_of.port = server.sockets[0].getsockname()[1]
        yield bytes_of
        await bytes_of.stop()
