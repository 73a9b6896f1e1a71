"""Clients that hand in calls and come back for the results, as the clients of a polling endpoint do."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.soak.clients import Answer, get, post, read_answer

CLIENTS = 64
BODY = json.dumps(
    {"customer": "c-1048", "report": "orders", "from": "2026-01-01", "to": "2026-11-23"}
).encode()
PAUSE = 0.1
"""Seconds until a client looks again."""

PATIENCE = 120.0


class Connection:
    """One kept-alive connection, used by one client at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> Answer:
        """Return the answer to a request."""
        self._writer.write(request)
        answer, _ = await asyncio.wait_for(read_answer(self._reader), PATIENCE)
        return answer

    def close(self) -> None:
        """Leave."""
        self._writer.close()


@dataclass(slots=True)
class Trip:
    """What clients saw of their jobs, from the first submission to the last result."""

    jobs: int
    accepted: int = 0
    fetched: int = 0
    polls: int = 0
    accepting: float = 0.0
    """Seconds until the last was accepted."""
    seconds: float = 0.0
    """Seconds until the last result was there."""
    statuses: Counter[int] = field(default_factory=Counter)


async def hand_in(connection: Connection, path: str = "/reports/7") -> str:
    """Hand in a call, and return the address of its job; empty if it was refused."""
    answer = await connection.ask(post(path, BODY))
    return answer.fields.get("location", "") if answer.status == 202 else ""


async def travel(port: int, result: str, jobs: int, clients: int = CLIENTS) -> Trip:
    """Hand in so many calls over so many connections, and come back for each until its result is there."""
    trip = Trip(jobs)
    connections = await asyncio.gather(*(Connection.open(port) for _ in range(clients)))
    started = time.monotonic()
    numbers = iter(range(jobs))
    handed = await asyncio.gather(*(_hand_in_some(one, numbers) for one in connections))
    trip.accepting = time.monotonic() - started
    trip.accepted = sum(map(len, handed))
    fetching = (_fetch(one, own, result, trip) for one, own in zip(connections, handed, strict=True))
    await asyncio.gather(*fetching)
    trip.seconds = time.monotonic() - started
    for connection in connections:
        connection.close()
    return trip


async def _hand_in_some(connection: Connection, numbers: Iterator[int]) -> list[str]:
    addresses = []
    for _ in numbers:  # shared: whoever is free takes the next
        address = await hand_in(connection)
        if address:
            addresses.append(address)
    return addresses


async def _fetch(connection: Connection, addresses: Sequence[str], result: str, trip: Trip) -> None:
    for address in addresses:
        request = get(address + result)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            trip.polls += 1
            answer = await connection.ask(request)
            if answer.status != 409:
                trip.statuses[answer.status] += 1
                trip.fetched += answer.status == 200
                break
            await asyncio.sleep(PAUSE)
