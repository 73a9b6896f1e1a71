"""A thousand reloads under load, each of them seen to take effect."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.processes import free_port, running
from benchmarks.soak.clients import get, load
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.site import Site, site, start_sample, upstream

RELOADS = 1000
WARM = 50
CLIENTS = 20
GROWTH = 4 * 2**20
"""Bytes that an allocator may keep without anything having been lost."""


def numbered(sections: str, number: int) -> str:
    """Return a configuration in which one route's status tells its number (of a hundred)."""
    return f'{sections}\n[route:number]\npath = /number\nrespond = {400 + number % 100} "{number}"\n'


async def play(folder: Path, scale: float) -> Findings:
    """Reload, ask which configuration answers, and go on; weigh before and after."""
    findings = Findings()
    port = free_port()
    sample = start_sample("sample", port, folder)
    sections = upstream("samples", [port], "health_path = /health")
    with running([sample]), site(folder, numbered(sections, 0)) as trial:
        async with load(trial.public, get(), CLIENTS) as tally:
            missed = await _reload(trial, sections, WARM)
            before, descriptors = trial.gateway.resident_bytes(), trial.gateway.descriptors()
            count = max(int(RELOADS * scale), WARM)
            missed += await _reload(trial, sections, count)
            after, left = trial.gateway.resident_bytes(), trial.gateway.descriptors()
    findings.expect(tally.failed == 0, tally.complaint())
    findings.expect(missed == 0, f"{missed} reloads did not take effect")
    findings.expect(after - before < GROWTH, "memory grew")
    findings.expect(left <= descriptors, "descriptors were gained")
    findings.note("reloads", WARM + count)
    findings.note("requests", tally.total)
    findings.note("failed", tally.failed)
    findings.note("resident", f"{mebibytes(before)} -> {mebibytes(after)}")
    findings.note("descriptors", f"{descriptors} -> {left}")
    return findings


async def _reload(trial: Site, sections: str, count: int) -> int:
    """Reload so many times, and return how many of them were not seen to take effect."""
    missed = 0
    for number in range(1, count + 1):
        trial.reload(numbered(sections, number))
        missed += not await takes_effect(trial, 400 + number % 100)
    return missed


async def takes_effect(trial: Site, status: int) -> bool:
    """Tell whether requests are answered with ``status``, waiting 5 seconds or more for it."""
    async with load(trial.public, get("/number"), 1, pause=0.005) as tally:
        for _ in range(1000):
            if tally.statuses[status]:
                return True
            await asyncio.sleep(0.005)
    return False
