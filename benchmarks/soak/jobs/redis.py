"""Redis stands still, is shut down, starts empty, under load: 503 meanwhile, and no process is restarted."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.redis import Redis
from benchmarks.soak.findings import Findings
from benchmarks.soak.jobs.counting import counting
from benchmarks.soak.jobs.customers import BROKEN, Customer, Seen, follow, get, handing_in
from benchmarks.soak.jobs.stores import judge, outcomes, routes, store
from benchmarks.soak.site import Site, site
from benchmarks.soak.workers.seen import serving

CLIENTS = 8
PAUSE = 0.5
"""Seconds between two calls of a client: together they ask for less than the routes can do."""

CONCURRENCY = 20
DELAY = 1.0
"""Seconds of a call, so that some are under way when Redis goes."""

AWAY = 10.0
BEFORE = 3.0
"""Seconds of load before Redis goes, and after it is back."""

WITHIN = 1.0
"""Seconds within which a client is told that the store is away; another tenth is the machine's."""

ENDED = 60.0
FRESH = 20
"""Jobs that are handed in once Redis is back, with nothing in it."""

Trouble = Callable[[Redis, float], Awaitable[None]]


async def freeze(redis: Redis, seconds: float) -> None:
    """Let it be there and do nothing."""
    redis.program.send(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    redis.program.send(signal.SIGCONT)


async def shut_down(redis: Redis, seconds: float) -> None:
    """Shut it down as its operator would, and start it again with what it kept."""
    await asyncio.to_thread(redis.program.stop)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(redis.start)


async def empty(redis: Redis, seconds: float) -> None:
    """Start it again with nothing in it."""
    redis.program.kill()
    shutil.rmtree(redis.folder / "appendonlydir")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(redis.start)


KEEPING: dict[str, Trouble] = {"frozen": freeze, "shut down": shut_down}


async def play(folder: Path, scale: float) -> Findings:
    """Give Redis each trouble; in the first two every job is kept."""
    findings = Findings()
    seconds = max(AWAY * scale, 2.0)
    async with counting(DELAY) as upstream:
        with store("redis", folder) as (setting, redis):
            assert redis is not None
            with site(folder, routes(upstream, CONCURRENCY), setting) as trial:
                pids = {trial.gateway.pid, *serving(trial)}
                numbers = count()
                every = Seen()
                for name, trouble in KEEPING.items():
                    seen = await _trouble(
                        name, trial, _paths(numbers), partial(trouble, redis, seconds), findings
                    )
                    await follow(trial.public, seen, CLIENTS, ENDED)
                    every.jobs |= seen.jobs
                    every.ended += seen.ended
                    every.unended += seen.unended
                judge(findings, every, upstream, may_interrupt=False)
                findings.note("kept", outcomes(every))
                await _empty(trial, redis, numbers, seconds, findings)
                left = {trial.gateway.pid, *serving(trial)}
    findings.expect(left == pids, f"processes were restarted: {pids} became {left}")
    return findings


def _paths(numbers: Iterator[int]) -> Iterator[str]:
    return (f"/{'again' if number % 2 else 'once'}/{number}" for number in numbers)


async def _trouble(
    name: str, trial: Site, paths: Iterator[str], trouble: Callable[[], Awaitable[None]], findings: Findings
) -> Seen:
    """Let Redis be away under load; return what clients saw."""
    async with handing_in(trial.public, paths, CLIENTS, PAUSE) as seen:
        await asyncio.sleep(BEFORE)
        accepted, poll = len(seen.jobs), next(iter(seen.jobs.values()))
        away = asyncio.create_task(_ask_all_the_time(trial.public, poll))
        began = time.monotonic()
        await trouble()
        gone = time.monotonic() - began
        asked = await _stopped(away)
        during = len(seen.jobs)
        back = time.monotonic()
        has_recovered = await trial.until(lambda: len(seen.jobs) > during + CLIENTS, 10)
        recovered = time.monotonic() - back
        await asyncio.sleep(BEFORE)
    findings.expect(has_recovered, f"{name}: nothing is accepted 10 s after Redis is back")
    findings.expect(accepted > 0, f"{name}: nothing was accepted before")
    for who, told in (("submissions", seen), ("polls", asked)):
        findings.expect(told.statuses[503] > 0, f"{name}: {who} were not told 503: {dict(told.statuses)}")
        findings.expect(told.slowest < WITHIN + 0.1, f"{name}: a 503 of {who} took {told.slowest:.1f} s")
        strange = set(told.statuses) - {200, 202, 503}
        findings.expect(not strange, f"{name}: {who} got {strange}")
        findings.expect(not told.broken, f"{name}: {told.broken} connections of {who} broke")
    findings.note(name, f"{gone:.0f} s, back after {recovered:.1f} s")
    findings.note("503s", f"{seen.statuses[503]} and {asked.statuses[503]}, slowest {seen.slowest:.2f} s")
    return seen


async def _ask_all_the_time(port: int, address: str) -> Seen:
    """Ask how a job stands, ten times a second, until cancelled."""
    seen = Seen()
    customer = Customer(port, seen)
    try:
        while True:
            try:
                await customer.ask(get(address))
            except BROKEN:
                seen.broken += 1
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        customer.leave()
        return seen


async def _stopped(task: asyncio.Task[Seen]) -> Seen:
    task.cancel()
    return await task


async def _empty(
    trial: Site, redis: Redis, numbers: Iterator[int], seconds: float, findings: Findings
) -> None:
    """Let Redis forget everything: what it had is unknown, and what comes is done."""
    seen = await _trouble("empty", trial, _paths(numbers), partial(empty, redis, seconds), findings)
    async with handing_in(trial.public, _few(numbers), CLIENTS) as fresh:
        await trial.until(lambda: len(fresh.jobs) == FRESH, 20)
    findings.expect(len(fresh.jobs) == FRESH, f"{len(fresh.jobs)} jobs of {FRESH} were accepted afterwards")
    await follow(trial.public, fresh, CLIENTS, ENDED)
    done = [ended for ended in fresh.ended if ended.state == "succeeded"]
    findings.expect(len(done) == FRESH, f"{len(done)} jobs of {FRESH} were done afterwards")
    first = next(iter(seen.jobs.values()))
    answer, _ = await Customer(trial.public, Seen()).ask(get(first))
    findings.expect(answer.status == 404, f"a job that Redis forgot is answered {answer.status}")


def _few(numbers: Iterator[int]) -> Iterator[str]:
    return (f"/once/{next(numbers)}" for _ in range(FRESH))
