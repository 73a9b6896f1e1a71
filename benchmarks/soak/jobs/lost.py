"""Jobs are handed in through two workers while every process is killed with -9 three times: none is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.soak.findings import Findings
from benchmarks.soak.jobs.counting import Counting, counting
from benchmarks.soak.jobs.customers import Seen, follow, handing_in
from benchmarks.soak.jobs.stores import STORES, judge, outcomes, paths, routes, store
from benchmarks.soak.site import Site, site

JOBS = 2000
KILLS = 3
CLIENTS = 32
CONCURRENCY = 20
"""Of each of the two routes."""
DELAY = 0.3
"""Seconds of a call, so that calls are under way whenever everything dies."""

RESTART = 0.1
"""Seconds after which systemd starts a service again (RestartSec)."""

LEASE = 80.0
"""Seconds after which a runner's lease in Redis is over, and somebody has looked."""

ENDED = 180.0
"""Seconds until all has ended."""


async def play(folder: Path, scale: float) -> Findings:
    """Play it on each store that survives a gateway."""
    findings = Findings()
    for name in STORES:
        place = folder / name
        place.mkdir()
        await _play(name, place, max(int(JOBS * scale), 40), findings)
    return findings


async def _play(name: str, folder: Path, jobs: int, findings: Findings) -> None:
    async with counting(DELAY) as upstream:
        with (
            store(name, folder) as (setting, _),
            site(folder, routes(upstream, CONCURRENCY), setting) as trial,
        ):
            async with handing_in(trial.public, paths(jobs), CLIENTS) as seen:
                started = time.monotonic()
                for number in range(KILLS):
                    seen.allowed = jobs * (number + 1) // (KILLS + 1)
                    await _until_accepted(seen, seen.allowed * 3 // 4, trial)
                    await _kill(trial, upstream, findings)
                seen.allowed = jobs
                await _until_accepted(seen, jobs, trial)
            taken = time.monotonic() - started
            await follow(trial.public, seen, CLIENTS, ENDED)
            ended = time.monotonic() - started - taken
    findings.expect(len(seen.jobs) == jobs, f"{name}: {len(seen.jobs)} of {jobs} were accepted")
    findings.expect(len(set(seen.jobs.values())) == jobs, f"{name}: two calls have the same job")
    judge(findings, seen, upstream, may_interrupt=True)
    findings.note(name, f"{jobs} jobs in {taken:.0f} s, {outcomes(seen)} within {ended:.0f} s more")
    findings.note(f"{name} calls", upstream.jobs.total())
    findings.note(f"{name} connections broken", seen.broken)


async def _until_accepted(seen: Seen, jobs: int, trial: Site) -> None:
    if not await trial.until(lambda: len(seen.jobs) >= jobs, 300):
        raise RuntimeError(f"{len(seen.jobs)} of {jobs} were accepted: {dict(seen.statuses)}")


async def _kill(trial: Site, upstream: Counting, findings: Findings) -> None:
    # in Redis the slots of who died are free only when their lease is over
    is_busy = await trial.until(lambda: upstream.inside > 0, LEASE)
    findings.expect(is_busy, "no call was under way when all was to be killed")
    await asyncio.to_thread(trial.gateway.kill_group)
    await asyncio.sleep(RESTART)
    await asyncio.to_thread(trial.start)
