"""A hundred jobs with 10 MiB there and 10 MiB back, through two workers: memory stays where it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import resident_bytes
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.jobs.counting import counting
from benchmarks.soak.jobs.customers import follow, handing_in
from benchmarks.soak.jobs.stores import STORES, outcomes, routes, store
from benchmarks.soak.site import Site, site

JOBS = 100
SIZE = 10 * 2**20
CLIENTS = 10
CONCURRENCY = 10
DELAY = 0.5
GROWTH = 200 * 2**20
ENDED = 300.0


async def play(folder: Path, scale: float) -> Findings:
    """Weigh all processes of the gateway while the jobs come, run and are fetched."""
    findings = Findings()
    for name in STORES:
        place = folder / name
        place.mkdir()
        await _play(name, place, max(int(JOBS * scale), 10), findings)
    return findings


async def _play(name: str, folder: Path, jobs: int, findings: Findings) -> None:
    async with counting(DELAY, SIZE) as upstream:
        with (
            store(name, folder) as (setting, _),
            site(folder, routes(upstream, CONCURRENCY), setting) as trial,
        ):
            before, began = _resident(trial), time.monotonic()
            weighing = asyncio.create_task(_weigh(trial))
            async with handing_in(trial.public, _paths(jobs), CLIENTS, body=b"x" * SIZE) as seen:
                await trial.until(lambda: len(seen.jobs) == jobs, ENDED)
            await follow(trial.public, seen, CLIENTS, ENDED)
            taken = time.monotonic() - began
            weighing.cancel()
            most = await weighing
    done = [one for one in seen.ended if (one.result, one.length) == (200, SIZE)]
    findings.expect(len(done) == jobs, f"{name}: {len(done)} of {jobs} were done: {outcomes(seen)}")
    findings.expect(not seen.broken, f"{name}: {seen.broken} answers did not come")
    findings.expect(most - before < GROWTH, f"{name}: resident memory grew by {mebibytes(most - before)}")
    findings.note(
        name, f"{len(done)} jobs in {taken:.0f} s, {mebibytes(before)} -> {mebibytes(most)} at most"
    )


def _paths(count: int) -> Iterator[str]:
    return (f"/once/{number}" for number in range(count))


def _resident(trial: Site) -> int:
    """What all processes of the gateway hold together."""
    return sum(map(resident_bytes, trial.gateway.processes()))


async def _weigh(trial: Site) -> int:
    """Return the most that they held together, until cancelled."""
    most = 0
    try:
        while True:
            most = max(most, _resident(trial))
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return most
