"""Clients that count what they see: request after request over kept-alive connections, until told to stop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PATIENCE = 30.0
"""Seconds that a client waits for an answer before it counts it as lost."""

LIMIT = 1 << 18
"""Bytes that a client's stream holds."""


def get(path: str = "/") -> bytes:
    """Return the bytes of a plain GET."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer."""

    status: int
    fields: Mapping[str, str]

    @property
    def is_last(self) -> bool:
        """Whether the connection ends with it."""
        return self.fields.get("connection", "").lower() == "close"


def read_fields(head: bytes) -> tuple[list[str], dict[str, str]]:
    """Return the words of a head's first line, and its fields by lower-case name."""
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return first.split(), {name.lower(): value.strip() for name, _, value in pairs}


async def read_answer(reader: asyncio.StreamReader) -> tuple[Answer, int]:
    """Read an answer to the end; return its head and how many bytes its body had."""
    words, fields = read_fields(await reader.readuntil(b"\r\n\r\n"))
    answer = Answer(int(words[1]), fields)
    if fields.get("transfer-encoding", "") == "chunked":
        return answer, await skip_chunks(reader)
    length = int(fields.get("content-length", 0))
    await skip(reader, length)
    return answer, length


async def read_whole(reader: asyncio.StreamReader) -> tuple[Answer, bytes]:
    """Read an answer of known length, and return its head and its body."""
    words, fields = read_fields(await reader.readuntil(b"\r\n\r\n"))
    return Answer(int(words[1]), fields), await reader.readexactly(int(fields.get("content-length", 0)))


async def skip(reader: asyncio.StreamReader, length: int) -> None:
    """Read so many bytes and forget them; raises ``IncompleteReadError`` if they do not come."""
    left = length
    while left:
        piece = await reader.read(min(left, 1 << 16))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)


async def skip_chunks(reader: asyncio.StreamReader) -> int:
    """Read a chunked body and forget it; return how many bytes it had."""
    total = 0
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        total += size
        await skip(reader, size + 2)
        if size == 0:
            return total


@dataclass(slots=True)
class Tally:
    """What clients saw: statuses, who answered, what went wrong, how long it took."""

    statuses: Counter[int] = field(default_factory=Counter)
    servers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """The clients' own ports of connections that broke; 0 for one that was not even made."""

    def count(self, answer: Answer, seconds: float) -> None:
        """Count an answer."""
        self.statuses[answer.status] += 1
        self.servers[answer.fields.get("x-served-by", "")] += 1
        self.times.append(seconds)

    @property
    def total(self) -> int:
        """How many requests were made, answered or not."""
        return sum(self.statuses.values()) + sum(self.faults.values())

    @property
    def failed(self) -> int:
        """How many were not answered with a status below 400."""
        return sum(self.faults.values()) + sum(n for status, n in self.statuses.items() if status >= 400)

    def complaint(self) -> str:
        """Say what failed."""
        bad = [f"{count} x {status}" for status, count in self.statuses.items() if status >= 400]
        return ", ".join(bad + [f"{count} x {text}" for text, count in self.faults.most_common(3)])

    def slowest(self, share: float = 0.99) -> float:
        """Return the seconds that this share of the answers did not pass."""
        times = sorted(self.times)
        return times[min(int(len(times) * share), len(times) - 1)] if times else 0.0


async def visit(port: int, request: bytes, tally: Tally, stop: asyncio.Event, pause: float = 0.0) -> None:
    """Ask again and again until told to stop; after a fault over a new connection."""
    writer: asyncio.StreamWriter | None = None
    while not stop.is_set():
        started = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
            writer.write(request)
            answer, _ = await asyncio.wait_for(read_answer(reader), PATIENCE)
            tally.count(answer, time.monotonic() - started)
            is_over = answer.is_last
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            tally.faults[f"{type(error).__name__}: {error}"[:80]] += 1
            tally.lost.append(0 if writer is None else writer.get_extra_info("sockname")[1])
            is_over = True
            await asyncio.sleep(0.01)
        if is_over and writer is not None:
            writer.close()
            writer = None
        if pause:
            await asyncio.sleep(pause)
    if writer is not None:
        writer.close()


@asynccontextmanager
async def load(port: int, request: bytes, clients: int, pause: float = 0.0) -> AsyncIterator[Tally]:
    """Let so many clients ask for as long as the block lasts; each ends its last request before it leaves."""
    tally, stop = Tally(), asyncio.Event()
    visits = [asyncio.create_task(visit(port, request, tally, stop, pause)) for _ in range(clients)]
    try:
        yield tally
    finally:
        stop.set()
        await asyncio.gather(*visits)


async def ask(port: int, request: bytes, patience: float = PATIENCE) -> Answer:
    """Ask once over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
    try:
        writer.write(request)
        answer, _ = await asyncio.wait_for(read_answer(reader), patience)
        return answer
    finally:
        writer.close()
