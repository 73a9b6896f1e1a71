"""Descriptors are used up (``ulimit -n 256``): accepting pauses, costs nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.soak.clients import ask, get, read_answer
from benchmarks.soak.findings import Findings
from benchmarks.soak.servers import byte_server
from benchmarks.soak.site import Setting, site, upstream

DESCRIPTORS = 256
CONNECTIONS = 400
QUIET_SECONDS = 5.0
BUSY = 0.2
"""Share of a core above which a gateway that can accept nothing is looping."""


async def play(folder: Path, scale: float) -> Findings:
    """Take every descriptor, look at what it costs, give them back, and ask again."""
    findings = Findings()
    async with byte_server() as server:
        with site(folder, upstream("bytes", [server.port]), Setting(DESCRIPTORS)) as trial:
            reader, writer = await asyncio.open_connection("127.0.0.1", trial.public)
            many = [await asyncio.open_connection("127.0.0.1", trial.public) for _ in range(CONNECTIONS)]
            await asyncio.sleep(1)
            before, held = trial.gateway.cpu_seconds(), trial.gateway.descriptors()
            await asyncio.sleep(QUIET_SECONDS)
            share = (trial.gateway.cpu_seconds() - before) / QUIET_SECONDS
            writer.write(get("/bytes/10"))
            answer, _ = await asyncio.wait_for(read_answer(reader), 10)
            for _, one in many:
                one.close()
            again = await ask(trial.public, get("/bytes/10"), 10)
            freed = await trial.until(lambda: trial.gateway.descriptors() < held // 2, 10)
            alive = trial.gateway.is_running
    findings.expect(held < DESCRIPTORS, "every descriptor was used")
    findings.expect(answer.status == 200, f"a connection that was there first got {answer.status}")
    findings.expect(again.status == 200, f"afterwards a request got {again.status}")
    findings.expect(share < BUSY, "the gateway was busy with nothing to do")
    findings.expect(freed and alive, "the gateway did not recover")
    findings.note("connections", CONNECTIONS)
    findings.note("descriptors held", f"{held} of {DESCRIPTORS}")
    findings.note("processor meanwhile", f"{share:.1%}")
    return findings
