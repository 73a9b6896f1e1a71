"""A target is found to be down: every worker avoids it within 100 ms."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.soak.clients import get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import site, upstream
from benchmarks.soak.workers.seen import SEVERAL
from benchmarks.soak.workers.target import Target, targets

TIMES = 20
CLIENTS = 32
WITHIN = 0.1
CHECKS = "health_path = /health\nhealth_interval = 200ms\nhealth_rise = 1\nhealth_fall = 1"


async def play(folder: Path, scale: float) -> Findings:
    """Let a target fall ill and recover; measure from its word to the last request that came."""
    findings = Findings()
    sick, well = Target("sick"), Target("well")
    late = []
    async with targets(sick, well) as ports:
        with site(folder, upstream("targets", ports, CHECKS), SEVERAL) as trial:
            async with load(trial.public, get(), CLIENTS, pause=0.005) as tally:
                for _ in range(max(int(TIMES * scale), 3)):
                    late.append(await _fall_ill(sick))
                    findings.expect(await _recover(sick), "the target did not come back")
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
    findings.expect(settled, "requests stay in flight")
    findings.expect(tally.failed == 0, tally.complaint())
    findings.expect(max(late) <= WITHIN, "a worker sent requests there for longer")
    findings.note("times", len(late))
    findings.note("requests", tally.total)
    findings.note("the last request came after", f"{max(late) * 1000:.1f} ms at most")
    return findings


async def _fall_ill(sick: Target) -> float:
    """Return how long after it said so requests came still."""
    sick.health = 503
    while not sick.said_ill:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    return max(sick.last_came - sick.said_ill, 0.0)


async def _recover(sick: Target) -> bool:
    sick.health, served = 200, sick.served
    for _ in range(100):
        await asyncio.sleep(0.05)
        if sick.served > served + CLIENTS:
            return True
    return False
