"""A thousand clients that wait for their jobs: what that costs while nothing happens."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.jobs.contenders import Contender, Stack
from benchmarks.jobs.following import Connection, hand_in
from benchmarks.jobs.stall import Stall
from benchmarks.jobs.turns import Bench, on_core, started

CLIENTS = 1000
HOLD = 30
"""Seconds that a client asks to be held: the most that a route grants by default."""

SECONDS = 30.0
SETTLING = 3.0


@dataclass(slots=True)
class Held:
    """What it cost to hold clients."""

    share: float = 0.0
    """Of a core."""
    redis: float = 0.0
    """Of a core, by Redis."""
    statuses: Counter[int] = field(default_factory=Counter)


async def _wait(connection: Connection, address: str, delay: float, held: Held) -> None:
    """Ask, be held, and ask again; each begins at another moment, as they would."""
    await asyncio.sleep(delay)
    request = f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nPrefer: wait={HOLD}\r\n\r\n".encode()
    while True:
        answer = await connection.ask(request)
        held.statuses[answer.status] += 1


async def _hold(stack: Stack, clients: int, seconds: float) -> Held:
    held = Held()
    connections = [await Connection.open(stack.port) for _ in range(clients)]
    addresses = [await hand_in(connection) for connection in connections]
    waits = [
        asyncio.create_task(_wait(connection, address, SETTLING * number / clients, held))
        for number, (connection, address) in enumerate(zip(connections, addresses, strict=True))
    ]
    await asyncio.sleep(2 * SETTLING)
    spent, redis, began = stack.cpu_seconds(), stack.redis_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    taken = time.monotonic() - began
    held.share = (stack.cpu_seconds() - spent) / taken
    held.redis = (stack.redis_seconds() - redis) / taken
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    for connection in connections:
        connection.close()
    return held


def hold(contender: Contender, bench: Bench, seconds: float = SECONDS) -> Held:
    """Have a thousand clients wait for jobs that do not end, and each of them ask again at least once."""
    with Stall() as stall, started(contender, stall.port, bench) as stack, on_core(bench.other):
        return asyncio.run(_hold(stack, CLIENTS, max(seconds, HOLD)))
