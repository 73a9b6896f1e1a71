"""Two workers and a bound on requests at once: the upstream counts, and never more are inside."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.soak.clients import get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import site, upstream
from benchmarks.soak.workers.seen import SEVERAL
from benchmarks.soak.workers.target import Target, targets

CLIENTS = 64
LIMIT = 8
SECONDS = 30.0
DELAY = 0.003


async def play(folder: Path, scale: float) -> Findings:
    """Let many more ask than may be inside."""
    findings = Findings()
    target = Target("counting", DELAY)
    async with targets(target) as ports:
        with site(folder, upstream("targets", ports, f"max_requests = {LIMIT}"), SEVERAL) as trial:
            async with load(trial.public, get(), CLIENTS) as tally:
                await asyncio.sleep(max(SECONDS * scale, 3))
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
            async with load(trial.public, get(), LIMIT // 2) as afterwards:
                await asyncio.sleep(1)
    findings.expect(settled, "requests stay in flight")
    findings.expect(target.most <= LIMIT, f"{target.most} were inside at once")
    findings.expect(target.most == LIMIT, f"never more than {target.most} were let in")
    findings.expect(tally.statuses.keys() == {200, 503} and not tally.faults, tally.complaint())
    findings.expect(afterwards.failed == 0, f"afterwards: {afterwards.complaint()}")
    findings.note("served", tally.statuses[200])
    findings.note("refused", tally.statuses[503])
    findings.note("inside at once", f"{target.most} of {LIMIT}")
    return findings
