"""A gibibyte past a client that stalls, and past an upstream that stalls."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.soak.clients import LIMIT, get, read_answer, read_fields, skip
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.servers import PIECE, ByteServer, byte_server
from benchmarks.soak.site import Site, site, upstream

GIBIBYTE = 2**30
STALL_SECONDS = 10.0
GROWTH = 8 * 2**20
"""Bytes of resident memory: the exchange holds 512 KiB at most, the rest is the allocator's."""


async def play(folder: Path, scale: float) -> Findings:
    """Send the bytes down, then up, with a stall after the first piece of each."""
    findings = Findings()
    size = int(GIBIBYTE * scale)
    async with byte_server() as server:
        with site(folder, upstream("bytes", [server.port])) as trial:
            before = trial.gateway.resident_bytes()
            highest = [await _down(trial, size, findings), await _up(trial, server, size, findings)]
            settled = await trial.until(lambda: trial.in_flight() == 0, 10)
    findings.expect(settled, "requests stay in flight")
    findings.expect(max(highest) - before < GROWTH, "memory grew with the body")
    findings.note("each way", mebibytes(size))
    findings.note("resident before", mebibytes(before))
    findings.note("while the client stalled", mebibytes(highest[0]))
    findings.note("while the upstream stalled", mebibytes(highest[1]))
    return findings


async def _down(trial: Site, size: int, findings: Findings) -> int:
    """Read an answer with a stall; return the most memory seen."""
    reader, writer = await asyncio.open_connection("127.0.0.1", trial.public, limit=LIMIT)
    writer.write(get(f"/bytes/{size}"))
    _, fields = read_fields(await reader.readuntil(b"\r\n\r\n"))
    findings.expect(fields.get("content-length") == str(size), "the answer's length changed")
    highest = await _watch(trial, STALL_SECONDS)
    try:
        await skip(reader, size)
    except EOFError:
        findings.expect(False, "the answer was cut")
    writer.close()
    return max(highest, trial.gateway.resident_bytes())


async def _up(trial: Site, server: ByteServer, size: int, findings: Findings) -> int:
    """Send a body to an upstream that stalls; return the most memory seen."""
    reader, writer = await asyncio.open_connection("127.0.0.1", trial.public, limit=LIMIT)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    server.flows.clear()
    sending = asyncio.create_task(_send(writer, size))
    highest = await _watch(trial, STALL_SECONDS)
    findings.expect(not sending.done(), "the gateway took the whole body from the client")
    server.flows.set()
    await sending
    answer, _ = await read_answer(reader)
    findings.expect(answer.status == 200 and server.received == size, f"{server.received} bytes arrived")
    writer.close()
    return max(highest, trial.gateway.resident_bytes())


async def _send(writer: asyncio.StreamWriter, size: int) -> None:
    for start in range(0, size, len(PIECE)):
        writer.write(PIECE[: size - start])
        await writer.drain()


async def _watch(trial: Site, seconds: float) -> int:
    """Return the most memory that the gateway held within these seconds."""
    highest = 0
    for _ in range(int(seconds * 10)):
        highest = max(highest, trial.gateway.resident_bytes())
        await asyncio.sleep(0.1)
    return highest
