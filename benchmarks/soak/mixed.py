"""Mixed load and hostile clients for half an hour, with reloads and a killed upstream: memory stays flat."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from benchmarks.processes import Program, free_port, running
from benchmarks.soak.clients import Tally, get, load, post
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.leavers import leave
from benchmarks.soak.servers import byte_server
from benchmarks.soak.site import Site, site, start_sample, upstream

SECONDS = 30 * 60
STEP = 10.0
GROWTH = 6 * 2**20
"""Bytes from the median of the second quarter to that of the last: the first fills what is kept."""

HOSTILE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40000 + b"\r\n\r\n",
    b"GET /" + b"u" * 10000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
)


async def hostile(port: int, tally: Tally, stop: asyncio.Event) -> None:
    """Send what must be refused, over and over; count the statuses that come back."""
    number = 0
    while not stop.is_set():
        number += 1
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HOSTILE[number % len(HOSTILE)])
            said = await asyncio.wait_for(reader.read(65536), 15)
            tally.statuses[int(said.split()[1]) if said else 0] += 1
            writer.close()
            await leave(port, number)
        except (OSError, TimeoutError) as error:
            tally.faults[type(error).__name__] += 1
        await asyncio.sleep(0.02)


async def play(folder: Path, scale: float) -> Findings:
    """Run everything at once, and sample the memory every ten seconds."""
    findings = Findings()
    ports = [free_port() for _ in range(2)]
    samples = [start_sample(f"s{port}", port, folder) for port in ports]
    async with byte_server() as server:
        sections = upstream("samples", ports, "health_path = /health\nwhen_all_down = try") + BYTES.format(
            port=server.port
        )
        with running(samples), site(folder, sections) as trial:
            refused, stop = Tally(), asyncio.Event()
            attacker = asyncio.create_task(hostile(trial.public, refused, stop))
            async with AsyncExitStack() as stack:
                tallies = [await stack.enter_async_context(one) for one in _loads(trial)]
                resident = await _watch(trial, sections, _restarter(samples, ports, folder), SECONDS * scale)
            stop.set()
            await attacker
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
    quarter = len(resident) // 4
    grown = statistics.median(resident[-quarter:]) - statistics.median(resident[quarter : 2 * quarter])
    findings.expect(grown < GROWTH, "memory grew")
    findings.expect(settled, "requests stay in flight")
    findings.expect(
        not any(status < 400 for status in refused.statuses if status), "hostile bytes were served"
    )
    for tally in tallies:
        findings.expect(tally.failed == 0, tally.complaint())
    findings.note("requests", sum(tally.total for tally in tallies))
    findings.note("refused", dict(sorted(refused.statuses.items())))
    shown = [resident[n * (len(resident) - 1) // 7] for n in range(8)]
    findings.note("grown", mebibytes(grown))
    findings.note("resident over time", " ".join(map(mebibytes, shown)))
    return findings


BYTES = """
[upstream:bytes]
targets = http://127.0.0.1:{port}

[route:bytes]
path = /bytes/*
upstream = bytes

[route:upload]
path = /upload
upstream = bytes
"""


def _loads(trial: Site) -> list[AbstractAsyncContextManager[Tally]]:
    port = trial.public
    return [
        load(port, get(), 20, pause=0.01),
        load(port, get("/bytes/1048576"), 2, pause=0.05),
        load(port, post("/upload", b"x" * 10240), 10, pause=0.02),
    ]


def _restarter(samples: list[Program], ports: list[int], folder: Path) -> Callable[[int], None]:
    """Return what kills a sample server at one step and brings it back at the next."""

    def turn(step: int) -> None:
        if step % 6 == 4:
            samples[0].kill()
        elif step % 6 == 5:
            samples[0] = start_sample(f"s{ports[0]}", ports[0], folder)

    return turn


async def _watch(trial: Site, sections: str, turn: Callable[[int], None], seconds: float) -> list[int]:
    """Reload, kill and restart step by step; return the resident memory at each."""
    resident = []
    for step in range(max(int(seconds / STEP), 8)):
        await asyncio.sleep(STEP)
        turn(step)
        trial.reload(sections + f'[route:step]\npath = /step\nrespond = 200 "{step}"\n')
        resident.append(trial.gateway.resident_bytes())
    return resident
