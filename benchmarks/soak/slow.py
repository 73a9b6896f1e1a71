"""slowhttptest -H, -B and -X with 2,000 connections, and an ordinary client beside them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from benchmarks.soak.clients import Tally, ask, get
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.servers import byte_server
from benchmarks.soak.site import Site, site, upstream

CONNECTIONS = 2000
SECONDS = 40
PATIENCE = 5.0
ATTACKS = {
    "headers": ["-H", "-i", "5"],
    "bodies": ["-B", "-i", "5", "-s", "8192"],
    "reads": ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"],
}


async def play(folder: Path, scale: float) -> Findings:
    """Attack in three ways; a request over a new connection is answered each time, ten times a second."""
    findings = Findings()
    program = shutil.which("slowhttptest")
    if program is None:
        findings.expect(False, "slowhttptest is not installed: apt-get install slowhttptest")
        return findings
    count = max(int(CONNECTIONS * scale), 100)
    async with byte_server() as server:
        with site(folder, upstream("bytes", [server.port])) as trial:
            for name, options in ATTACKS.items():
                bounds = ["-c", str(count), "-r", "400", "-l", str(int(SECONDS * scale) + 10), "-p", "3"]
                url = f"http://127.0.0.1:{trial.public}/bytes/{1000000 if name == 'reads' else 10}"
                tally = await _beside(trial, [program, *options, *bounds, "-u", url])
                findings.expect(tally.failed == 0, f"{name}: {tally.complaint()}")
                findings.note(
                    name, f"{tally.total} probes, {tally.failed} failed, p99 {tally.slowest():.3f} s"
                )
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
            findings.note("resident", mebibytes(trial.gateway.resident_bytes()))
    findings.expect(settled, "requests stay in flight")
    return findings


async def _beside(trial: Site, command: list[str]) -> Tally:
    """Probe for as long as the attack runs."""
    quiet = asyncio.subprocess.DEVNULL
    attack = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    tally, clock = Tally(), asyncio.get_running_loop().time
    while attack.returncode is None:
        started = clock()
        try:
            tally.count(await ask(trial.public, get("/bytes/10"), PATIENCE), clock() - started)
        except (OSError, EOFError, TimeoutError) as error:
            tally.faults[type(error).__name__] += 1
        await asyncio.sleep(0.1)
    return tally
