"""A hundred reloads and ten upgrades of two workers under load: no request fails."""

from __future__ import annotations

import signal
from pathlib import Path

from benchmarks.processes import free_port, running
from benchmarks.soak.clients import get, load
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.reloads import numbered, takes_effect
from benchmarks.soak.site import Site, site, start_sample, upstream
from benchmarks.soak.workers.seen import SEVERAL, WORKERS, counters, gone_back, replaced, serving

UPGRADES = 10
RELOADS = 10
"""Between two upgrades."""
CLIENTS = 50


async def play(folder: Path, scale: float) -> Findings:
    """Reload ten times, upgrade, and so on; each is seen to take effect."""
    findings = Findings()
    port = free_port()
    sample = start_sample("sample", port, folder)
    sections = upstream("samples", [port], "health_path = /health")
    upgrades = max(int(UPGRADES * scale), 1)
    with running([sample]), site(folder, numbered(sections, 0), SEVERAL) as trial:
        first, pid = trial.gateway.descriptors(), trial.gateway.pid
        async with load(trial.public, get(), CLIENTS, pause=0.01) as tally:
            for turn in range(upgrades):
                before = counters(trial)
                await _reload(trial, sections, turn, findings)
                await _upgrade(trial, findings)
                back = gone_back(before, counters(trial))
                findings.expect(not back, f"went back: {', '.join(back[:5])}")
        settled = await trial.until(lambda: trial.in_flight() == 0, 10)
        findings.expect(trial.gateway.pid == pid and trial.gateway.is_running, "the process is another")
        findings.note("descriptors of the supervisor", f"{first} -> {trial.gateway.descriptors()}")
        findings.note("resident", mebibytes(trial.gateway.resident_bytes()))
        counted = trial.status()["requests"]
    findings.expect(settled, "requests stay in flight")
    findings.expect(tally.failed == 0, tally.complaint())
    findings.expect(counted >= tally.total, f"{counted} requests were counted of {tally.total}")
    findings.note("reloads", upgrades * RELOADS)
    findings.note("upgrades", upgrades)
    findings.note("requests", tally.total)
    findings.note("failed", tally.failed)
    return findings


async def _reload(trial: Site, sections: str, turn: int, findings: Findings) -> None:
    for number in range(turn * RELOADS + 1, (turn + 1) * RELOADS + 1):
        trial.reload(numbered(sections, number))
        seen = await takes_effect(trial, 400 + number % 100)
        findings.expect(seen, f"reload {number} did not take effect")


async def _upgrade(trial: Site, findings: Findings) -> None:
    # one that ends just now would have the upgrade refused, in words
    await trial.until(lambda: len(trial.status()["workers"]) == WORKERS, 30)
    old = serving(trial)
    trial.gateway.send(signal.SIGUSR2)
    if not await replaced(trial, old, 30):
        told = [line for line in trial.gateway.last_output(40).splitlines() if "upgrade" in line]
        findings.expect(False, f"an upgrade left {serving(trial)} of {old}: {' / '.join(told[-3:])}")
