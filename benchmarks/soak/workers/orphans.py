"""The supervisor is killed with -9 under load: no worker is left, and it starts again where it was."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from benchmarks.soak.clients import ask, get, load
from benchmarks.soak.findings import Findings
from benchmarks.soak.site import Site, site, upstream
from benchmarks.soak.workers.seen import SEVERAL, serving
from benchmarks.soak.workers.target import Target, targets

TIMES = 10
CLIENTS = 50
WITHIN = 2.0


async def play(folder: Path, scale: float) -> Findings:
    """Kill, look who is left, start again, ask; ten times."""
    findings = Findings()
    took = []
    async with targets(Target("a", 0.02)) as ports:
        with site(folder, upstream("targets", ports), SEVERAL) as trial:
            for _ in range(max(int(TIMES * scale), 2)):
                took.append(await _kill(trial, findings))
                await asyncio.to_thread(trial.start)
                answer = await ask(trial.public, get())
                findings.expect(answer.status == 200, f"after the start a request got {answer.status}")
    findings.note("times", len(took))
    findings.note("the last worker ended after", f"{max(took) * 1000:.0f} ms at most")
    return findings


async def _kill(trial: Site, findings: Findings) -> float:
    """Return how long it took until nobody was left."""
    pids = [trial.gateway.pid, *serving(trial)]
    async with load(trial.public, get(), CLIENTS, pause=0.01):
        await asyncio.sleep(0.5)
        trial.gateway.send(signal.SIGKILL)
        started = time.monotonic()
        gone = await trial.until(lambda: not any(map(_is_there, pids)), WITHIN)
        took = time.monotonic() - started
        trial.gateway.kill()
    findings.expect(gone, f"left behind: {[pid for pid in pids if _is_there(pid)]}")
    try:
        await asyncio.open_connection("127.0.0.1", trial.public)
    except ConnectionRefusedError:
        return took
    findings.expect(False, "somebody still holds the socket")
    return took


def _is_there(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(") ")[2][0] not in "ZX"
