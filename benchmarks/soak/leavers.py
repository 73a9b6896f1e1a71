"""Ten thousand clients leave in mid-exchange, at every point of it."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

from benchmarks.soak.clients import get
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.servers import byte_server
from benchmarks.soak.site import site, upstream

LEAVERS = 10000
AT_ONCE = 200
WAYS = (
    b"GET / HT",
    b"GET /bytes/10 HTTP/1.1\r\nHost: a\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 500,
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    get("/bytes/10"),
    get("/bytes/5000000"),
    get("/bytes/100") * 10,
)
"""What is sent before the client leaves: heads and bodies half sent, answers not read or half read."""


async def leave(port: int, number: int) -> None:
    """Send something, read a little or nothing, and leave: in order, or by a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(WAYS[number % len(WAYS)])
        if number % 3 == 1:
            await asyncio.wait_for(reader.read(1000), 0.05)
        elif number % 3 == 2:
            await asyncio.sleep(0.01)
    except (OSError, TimeoutError):
        pass
    if number % 2:
        socket = writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort() if number % 2 else writer.close()


async def play(folder: Path, scale: float) -> Findings:
    """Let them come and leave, two hundred at a time; then nothing may be under way any more."""
    findings = Findings()
    count = int(LEAVERS * scale)
    async with byte_server() as server:
        with site(folder, upstream("bytes", [server.port])) as trial:
            for start in range(0, count, AT_ONCE):
                await asyncio.gather(*(leave(trial.public, start + n) for n in range(AT_ONCE)))
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
            left = await trial.until(lambda: trial.clients() == 0, 10)
            idle = await trial.until(lambda: trial.busy_connections() == 0, 10)
            findings.note("leavers", count)
            findings.note("in flight at the end", trial.in_flight())
            findings.note("clients", trial.clients())
            findings.note("upstream connections nobody has", trial.busy_connections())
            findings.note("resident", mebibytes(trial.gateway.resident_bytes()))
    findings.expect(left, "clients' connections stay open")
    findings.expect(idle, "upstream connections are lost")
    findings.expect(settled, "requests stay in flight")
    return findings
