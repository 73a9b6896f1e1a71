"""The parts of the soak that need no gateway: its clients, its server of bytes, its findings."""

from __future__ import annotations

import asyncio

from benchmarks.soak.clients import Answer, Tally, ask, get, load, post, read_answer
from benchmarks.soak.findings import Findings, mebibytes
from benchmarks.soak.servers import ByteServer, byte_server


async def _read(text: bytes) -> tuple[Answer, int, bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(text)
    reader.feed_eof()
    answer, length = await read_answer(reader)
    return answer, length, await reader.read()


def test_reads_an_answer_of_known_length_and_no_further() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Served-By: a\r\n\r\nabcHTTP"
    answer, length, rest = asyncio.run(_read(text))
    assert (answer.status, answer.fields["x-served-by"], length, rest) == (200, "a", 3, b"HTTP")


def test_reads_a_chunked_answer() -> None:
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nrest"
    assert asyncio.run(_read(text))[1:] == (5, b"rest")


def test_an_answer_may_be_a_connections_last() -> None:
    assert Answer(200, {"connection": "Close"}).is_last
    assert not Answer(200, {}).is_last


def test_a_tally_counts_refusals_and_faults_as_failed() -> None:
    tally = Tally()
    tally.count(Answer(200, {}), 0.1)
    tally.count(Answer(503, {}), 0.3)
    tally.faults["EOFError"] += 2
    assert (tally.total, tally.failed) == (4, 3)
    assert tally.complaint() == "1 x 503, 2 x EOFError"
    assert tally.slowest() == 0.3


async def _conversation() -> tuple[Tally, ByteServer]:
    async with byte_server() as server:
        async with load(server.port, post("/", b"x" * 70000), 2) as tally:
            while tally.total < 4:
                await asyncio.sleep(0)
        assert (await ask(server.port, get("/bytes/200000"))).fields["content-length"] == "200000"
        return tally, server


def test_clients_and_the_server_of_bytes_agree() -> None:
    tally, server = asyncio.run(_conversation())
    assert tally.failed == 0
    assert server.received == 70000 * tally.total


def test_findings_are_ok_until_something_is_not_so() -> None:
    findings = Findings()
    findings.note("resident", mebibytes(3 * 2**20))
    findings.expect(True, "never said")
    assert findings.row("name", "what was done") == "name: what was done\n  resident 3.0 MiB\n  ok"
    findings.expect(False, "memory grew")
    assert findings.verdict == "FAILED: memory grew"
