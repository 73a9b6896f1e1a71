"""One of three upstream processes is killed with -9 and brought back while 200 clients ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.processes import free_port, running
from benchmarks.soak.clients import get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import Site, site, start_sample, upstream

CLIENTS = 200
BACK_SECONDS = 90.0
"""An ejection of 30 s, the trial request, and two good probes at most 5.5 s apart lie within."""
EVEN = 0.03


async def play(folder: Path, scale: float) -> Findings:
    """Warm up, kill one, bring it back, and look at the shares afterwards."""
    findings = Findings()
    ports = [free_port() for _ in range(3)]
    samples = [start_sample(f"s{port}", port, folder) for port in ports]
    with running(samples), site(folder, upstream("samples", ports, "health_path = /health")) as trial:
        async with load(trial.public, get(), CLIENTS) as tally:
            await asyncio.sleep(max(12 * scale, 5))
            samples[1].kill()
            left = await trial.until(lambda: _is_out(trial, ports[1]), 30)
            await asyncio.sleep(5 * scale)
            samples[1] = start_sample(f"s{ports[1]}", ports[1], folder)
            returned = await trial.until(lambda: not _is_out(trial, ports[1]), BACK_SECONDS)
            await asyncio.sleep(1)
        async with load(trial.public, get(), CLIENTS) as afterwards:
            await asyncio.sleep(max(5 * scale, 2))
        settled = await trial.until(lambda: trial.in_flight() == 0, 10)
    findings.expect(tally.failed + afterwards.failed == 0, tally.complaint() + afterwards.complaint())
    findings.expect(left, "the dead target was never judged down")
    findings.expect(returned, "the target did not come back")
    findings.expect(settled, "requests stay in flight")
    shares = [afterwards.servers[f"s{port}"] / max(afterwards.total, 1) for port in ports]
    findings.expect(max(shares) - min(shares) < EVEN, "shares are not even afterwards")
    findings.note("requests", tally.total + afterwards.total)
    findings.note("failed", tally.failed + afterwards.failed)
    findings.note("shares afterwards", " ".join(f"{share:.1%}" for share in shares))
    return findings


def _is_out(trial: Site, port: int) -> bool:
    """Tell whether the target on ``port`` gets no ordinary requests."""
    states = trial.states("samples")
    return any(str(port) in name and state != "up" for name, state in states.items())
