"""One target of three is ten times slower: two workers share requests out as one alone does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.soak.clients import get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import Setting, site, upstream
from benchmarks.soak.workers.target import Target, targets

CONNECTIONS = 50
SECONDS = 20.0
DELAY = 0.05
MOST = 0.10
"""Of all requests: how far a target's share may be from that which one worker gives it."""


async def play(folder: Path, scale: float) -> Findings:
    """Let one worker serve, then two, and compare."""
    findings = Findings()
    one, two = [await _shares(folder, workers, SECONDS * scale, findings) for workers in (1, 2)]
    for name in one:
        findings.note(name, f"{one[name]:.1%} by one worker, {two[name]:.1%} by two")
        findings.expect(abs(one[name] - two[name]) <= MOST, f"the share of {name} is another")
    return findings


async def _shares(folder: Path, workers: int, seconds: float, findings: Findings) -> dict[str, float]:
    several = Target("quick", DELAY), Target("as quick", DELAY), Target("slow", 10 * DELAY)
    async with targets(*several) as ports:
        sections = upstream("targets", ports, "balance = least-connections")
        with site(folder, sections, Setting(workers=workers)) as trial:
            async with load(trial.public, get(), CONNECTIONS) as tally:
                await asyncio.sleep(max(seconds, 5))
    findings.expect(tally.failed == 0, tally.complaint())
    findings.note(f"requests by {workers}", tally.total)
    return {target.name: target.served / max(tally.total, 1) for target in several}
