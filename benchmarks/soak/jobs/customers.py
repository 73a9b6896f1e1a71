"""Clients that hand calls in until they have a 202, and come back until each job has ended.

Who saw a connection break does not know what became of the call, and hands it in again under the same
``Idempotency-Key``: so each number must have one job, whatever happened in between.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.soak.clients import LIMIT, Answer, read_whole

PATIENCE = 40.0
"""Seconds that a client waits for an answer."""

PAUSE = 0.05
BROKEN = (OSError, EOFError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended, as its client sees it."""

    path: str
    job: str
    state: str
    reason: str
    result: int
    """The status of its result."""
    body: bytes
    """As much of it as its path is long."""
    length: int


@dataclass(slots=True)
class Seen:
    """What customers saw: the address of each job by the path of its call, statuses, and how it went."""

    jobs: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    begun: int = 0
    broken: int = 0
    ended: list[Ended] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    allowed: int | None = None
    """Calls that may be handed in so far, if they are bounded."""
    slowest: float = 0.0
    """Seconds until the slowest answer that was a refusal."""


class Customer:
    """One client with one connection, which is made anew when it broke."""

    def __init__(self, port: int, seen: Seen) -> None:
        self._port = port
        self._seen = seen
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[Answer, bytes]:
        """Return an answer; raises one of ``BROKEN`` if there is none."""
        started = time.monotonic()
        try:
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(
                    "127.0.0.1", self._port, limit=LIMIT
                )
            self._writer.write(request)
            await self._writer.drain()
            answer, body = await asyncio.wait_for(read_whole(self._reader), PATIENCE)
        except BROKEN:
            self.leave()
            raise
        self._seen.statuses[answer.status] += 1
        if answer.status == 503:
            self._seen.slowest = max(self._seen.slowest, time.monotonic() - started)
        if answer.is_last:
            self.leave()
        return answer, body

    def leave(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def hand_in(self, path: str, body: bytes, stop: asyncio.Event) -> None:
        """Hand in a call until it is accepted, or until told to stop."""
        fields = f'Host: 127.0.0.1\r\nIdempotency-Key: "{path}"\r\nContent-Length: {len(body)}\r\n\r\n'
        request = f"POST {path} HTTP/1.1\r\n{fields}".encode() + body
        while not stop.is_set():
            try:
                answer, _ = await self.ask(request)
            except BROKEN:
                self._seen.broken += 1
            else:
                if answer.status == 202:
                    self._seen.jobs[path] = answer.fields["location"]
                    return
            await asyncio.sleep(PAUSE)

    async def follow(self, path: str, end: float) -> None:
        """Come back for a job until it has ended, and fetch its result."""
        address = self._seen.jobs[path]
        while (left := end - time.monotonic()) > 0:
            try:
                answer, text = await self.ask(get(address, wait=min(int(left) + 1, 20)))
                document = json.loads(text) if answer.status == 200 else {}
                if document.get("finished"):
                    answer, body = await self.ask(get(f"{address}/result"))
                    self._seen.ended.append(_ended(path, document, answer, body))
                    return
            except BROKEN:
                self._seen.broken += 1
            await asyncio.sleep(PAUSE)
        self._seen.unended.append(path)


def get(path: str, wait: int = 0) -> bytes:
    """Return the bytes of a GET that is willing to wait."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nPrefer: wait={wait}\r\n\r\n".encode()


def _ended(path: str, document: dict[str, Any], answer: Answer, body: bytes) -> Ended:
    return Ended(
        path=path,
        job=document["id"],
        state=document["state"],
        reason=document["reason"] or "",
        result=answer.status,
        body=body[: len(path)],
        length=len(body),
    )


@asynccontextmanager
async def handing_in(
    port: int, paths: Iterator[str], clients: int, pause: float = 0.0, body: bytes = b"{}"
) -> AsyncIterator[Seen]:
    """Have so many clients hand calls in while the block lasts; what they have not begun then is left."""
    seen, stop = Seen(), asyncio.Event()
    customers = [Customer(port, seen) for _ in range(clients)]

    async def work(customer: Customer) -> None:
        for path in paths:  # shared: whoever is free takes the next
            seen.begun += 1
            while seen.allowed is not None and seen.begun > seen.allowed and not stop.is_set():
                await asyncio.sleep(PAUSE)
            await customer.hand_in(path, body, stop)
            if stop.is_set():
                break
            await asyncio.sleep(pause)
        customer.leave()

    tasks = [asyncio.create_task(work(customer)) for customer in customers]
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def follow(port: int, seen: Seen, clients: int, seconds: float) -> None:
    """Follow every accepted job to its end, for so many seconds at most."""
    end = time.monotonic() + seconds
    paths = iter(list(seen.jobs))

    async def work(customer: Customer) -> None:
        for path in paths:
            await customer.follow(path, end)
        customer.leave()

    await asyncio.gather(*(work(Customer(port, seen)) for _ in range(clients)))
