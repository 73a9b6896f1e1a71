"""A worker of two stops answering (SIGSTOP): nobody else waits for it, and it is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from benchmarks.soak.clients import Tally, ask, get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import Site, site, upstream
from benchmarks.soak.workers.seen import SEVERAL, carried, replaced, serving
from benchmarks.soak.workers.target import Target, targets

CLIENTS = 50
REPLACED_WITHIN = 15.0
"""Seconds: ten without a heartbeat, then a start."""
ANSWERED_WITHIN = 1.0


async def play(folder: Path, scale: float) -> Findings:
    """Stop one worker while clients ask, and ask over new connections until another has its place."""
    findings = Findings()
    async with targets(Target("a", 0.01), Target("b", 0.01)) as ports:
        with site(folder, upstream("targets", ports), SEVERAL) as trial:
            async with load(trial.public, get(), CLIENTS, pause=0.02) as tally:
                await asyncio.sleep(2)
                victim = serving(trial)[0]
                os.kill(victim, signal.SIGSTOP)
                own, started = carried(victim, trial.public), time.monotonic()
                probing = asyncio.create_task(_probe(trial, victim))
                was = await replaced(trial, [victim], REPLACED_WITHIN)
                took = time.monotonic() - started
                probes = await probing
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
    findings.expect(was, "the stuck worker was not replaced")
    findings.expect(settled, "requests stay in flight")
    findings.expect(set(tally.lost) <= own, f"{len(set(tally.lost) - own)} lost that it did not have")
    findings.expect(probes.failed == 0, f"over new connections: {probes.complaint()}")
    findings.note("replaced after", f"{took:.1f} s")
    findings.note("requests", tally.total)
    findings.note("failed with it", len(tally.lost))
    findings.note("new connections", f"{probes.total}, the slowest {probes.slowest(1.0) * 1000:.0f} ms")
    return findings


async def _probe(trial: Site, victim: int) -> Tally:
    """Ask over new connections as long as the worker is there."""
    probes = Tally()
    while Path(f"/proc/{victim}").exists() and probes.total < REPLACED_WITHIN * 20:
        started = time.monotonic()
        try:
            probes.count(await ask(trial.public, get(), ANSWERED_WITHIN), time.monotonic() - started)
        except (OSError, EOFError, TimeoutError) as error:
            probes.faults[type(error).__name__] += 1
        await asyncio.sleep(0.05)
    return probes
