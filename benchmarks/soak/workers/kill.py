"""A worker of two is killed with -9 every five seconds while 200 clients ask."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from benchmarks.soak.clients import Tally, get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import Site, site, upstream
from benchmarks.soak.workers.seen import SEVERAL, carried, counters, gone_back, replaced, serving
from benchmarks.soak.workers.target import Target, targets

CLIENTS = 200
SECONDS = 60.0
STEP = 5.0
DELAY = 0.02
"""Seconds that the targets take, so that exchanges are under way whenever a worker dies."""


async def play(folder: Path, scale: float) -> Findings:
    """Kill one and then the other; look at whose exchanges failed, and at what was counted."""
    findings = Findings()
    async with targets(Target("a", DELAY), Target("b", DELAY)) as ports:
        with site(folder, upstream("targets", ports), SEVERAL) as trial:
            async with load(trial.public, get(), CLIENTS, pause=0.05) as tally:
                kills = max(int(SECONDS * scale / STEP), 2)
                for number in range(kills):
                    await asyncio.sleep(STEP / 2)
                    await _kill_one(trial, number, tally, findings)
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
            left = await trial.until(lambda: trial.clients() == 0, 10)
    findings.expect(settled, "requests stay in flight")
    findings.expect(left, "clients' connections stay counted")
    findings.expect(tally.statuses.keys() == {200}, tally.complaint())
    findings.note("kills", kills)
    findings.note("requests", tally.total)
    findings.note("failed with their worker", len(tally.lost))
    return findings


async def _kill_one(trial: Site, number: int, tally: Tally, findings: Findings) -> None:
    """Kill a worker, and hold what was lost afterwards against what it had."""
    before, lost = counters(trial), len(tally.lost)
    victim = sorted(serving(trial))[number % 2]
    os.kill(victim, signal.SIGSTOP)  # what it has can be counted only while it takes no more
    own = carried(victim, trial.public)
    os.kill(victim, signal.SIGKILL)
    findings.expect(await replaced(trial, [victim], 10), f"worker {victim} was not replaced")
    await asyncio.sleep(STEP / 2)
    strangers = [port for port in tally.lost[lost:] if port not in own]
    findings.expect(0 not in strangers, f"{strangers.count(0)} connections were refused")
    findings.expect(not any(strangers), f"{len(strangers)} lost that the killed worker did not have")
    findings.expect(len(set(tally.lost[lost:])) == len(tally.lost[lost:]), "a connection broke twice")
    back = gone_back(before, counters(trial))
    findings.expect(not back, f"went back: {', '.join(back[:5])}")
