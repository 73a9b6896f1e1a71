"""Turns: who accepts how much, and what a job costs from its submission to its fetched result."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jobs.contenders import CONCURRENCY, Contender, Place, Stack
from benchmarks.jobs.following import BODY, CLIENTS, Connection, hand_in, travel
from benchmarks.jobs.stall import Stall
from benchmarks.load import Load, Shape, wrk

SCRIPT = f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{BODY.decode()}'
"""
WARM_SECONDS = 1.0
WARM_JOBS = 64


@dataclass(frozen=True, slots=True)
class Bench:
    """How long, how often, and on which cores."""

    seconds: float
    pairs: int
    jobs: int
    folder: Path
    own: int | None
    other: int | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in one round; times in seconds."""

    jobs: int
    spent: float
    """Processor time of its own processes."""
    redis: float
    """Processor time of its Redis."""
    rate: float
    """Jobs a second."""
    p50: float = 0.0
    p99: float = 0.0
    polls: float = 0.0
    """For each job."""
    faults: int = 0

    @property
    def each(self) -> float:
        """Microseconds of its processes for each job."""
        return 1e6 * self.spent / max(self.jobs, 1)

    @property
    def redis_each(self) -> float:
        """Microseconds of Redis for each job."""
        return 1e6 * self.redis / max(self.jobs, 1)


@contextmanager
def started(contender: Contender, upstream: int, bench: Bench) -> Iterator[Stack]:
    """Run a contender with nothing in its store."""
    with tempfile.TemporaryDirectory(prefix=f"{contender.name}-", dir=bench.folder) as name:
        stack = contender.start(Place(Path(name), upstream, bench.own, bench.other))
        try:
            yield stack
        finally:
            stack.stop()


async def _fill(port: int, jobs: int) -> None:
    connection = await Connection.open(port)
    for _ in range(jobs):
        await hand_in(connection)
    connection.close()


def accept(contender: Contender, bench: Bench) -> Turn:
    """Hand in as fast as 64 clients can, while every call under way waits for its upstream."""
    script = bench.folder / "submit.lua"
    script.write_text(SCRIPT)
    shape = Shape("/reports/7", CLIENTS, ("-s", str(script)))
    with Stall() as stall, started(contender, stall.port, bench) as stack:
        asyncio.run(_fill(stack.port, 4 * CONCURRENCY))
        stall.wait_until_full()
        wrk(stack.port, shape, WARM_SECONDS, bench.other)
        load, spent, redis = _weighed(stack, lambda: wrk(stack.port, shape, bench.seconds, bench.other))
    rate = load.requests / load.seconds
    return Turn(load.requests, spent, redis, rate, load.p50, load.p99, faults=load.errors)


def _weighed(stack: Stack, load: Callable[[], Load]) -> tuple[Load, float, float]:
    spent, redis = stack.cpu_seconds(), stack.redis_seconds()
    seen = load()
    return seen, stack.cpu_seconds() - spent, stack.redis_seconds() - redis


def whole(contender: Contender, bench: Bench, upstream: int) -> Turn:
    """Hand in, have it done by an upstream that answers at once, and fetch the results."""
    with started(contender, upstream, bench) as stack, on_core(bench.other):
        asyncio.run(travel(stack.port, stack.result, WARM_JOBS))
        spent, redis = stack.cpu_seconds(), stack.redis_seconds()
        trip = asyncio.run(travel(stack.port, stack.result, bench.jobs))
        spent, redis = stack.cpu_seconds() - spent, stack.redis_seconds() - redis
    faults = trip.jobs - trip.fetched
    polls = trip.polls / max(trip.accepted, 1)
    return Turn(trip.jobs, spent, redis, trip.fetched / trip.seconds, polls=polls, faults=faults)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Keep this process, which is the clients, off the core of what is measured."""
    allowed = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of a contender's turns."""

    name: str
    turns: Sequence[Turn]

    def median(self, of: Callable[[Turn], float]) -> float:
        """Return the median of something."""
        return statistics.median(of(turn) for turn in self.turns)

    def ratio(self, to: Row, of: Callable[[Turn], float]) -> float:
        """Return the median over the rounds of what this has for each that the other has."""
        pairs = zip(self.turns, to.turns, strict=True)
        return statistics.median(of(one) / of(other) if of(other) else 0.0 for one, other in pairs)
