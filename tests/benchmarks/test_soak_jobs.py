"""The parts of the soak of jobs that need no gateway: its upstream, and what is judged a fault."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from benchmarks.soak.clients import LIMIT, read_whole
from benchmarks.soak.findings import Findings
from benchmarks.soak.jobs.counting import Counting, counting
from benchmarks.soak.jobs.customers import Ended, Seen
from benchmarks.soak.jobs.stores import judge, outcomes, paths, routes


def _ended(path: str, state: str = "succeeded", reason: str = "") -> Ended:
    is_done = state == "succeeded"
    body = path.encode() if is_done else b""
    return Ended(path, f"job-of-{path}", state, reason, 200 if is_done else 502, body, len(body))


def _judged(ended: Ended, calls: int, *, may_interrupt: bool = True) -> str:
    """Return the verdict on one job that called the upstream so often."""
    upstream, findings = Counting(0.0), Findings()
    if calls:
        upstream.jobs[ended.job] = upstream.paths[ended.path] = calls
    judge(findings, Seen(ended=[ended]), upstream, may_interrupt)
    return findings.verdict


@pytest.mark.parametrize(
    ("ended", "calls"),
    [
        (_ended("/once/1"), 1),
        (_ended("/once/1", "failed", "interrupted"), 1),
        (_ended("/once/1", "failed", "interrupted"), 0),
        (_ended("/again/1"), 1),
        (_ended("/again/1"), 3),
    ],
)
def test_what_may_come_of_a_job_is_no_fault(ended: Ended, calls: int) -> None:
    assert _judged(ended, calls) == "ok"


@pytest.mark.parametrize(
    ("ended", "calls", "fault"),
    [
        (_ended("/once/1"), 2, "called 2 times"),
        (_ended("/once/1"), 0, "without a call"),
        (_ended("/once/1", "failed", "interrupted"), 2, "interrupted, and called 2 times"),
        (_ended("/once/1", "failed", "reset"), 1, "ended as failed reset"),
        (_ended("/again/1", "failed", "interrupted"), 1, "ended as failed interrupted"),
        (_ended("/again/1"), 0, "without a call"),
    ],
)
def test_what_may_not_is_one(ended: Ended, calls: int, fault: str) -> None:
    assert fault in _judged(ended, calls)


def test_where_nobody_is_killed_nothing_is_interrupted_or_done_twice() -> None:
    interrupted = _ended("/once/1", "failed", "interrupted")
    assert "interrupted" in _judged(interrupted, 1, may_interrupt=False)
    assert "came twice" in _judged(_ended("/again/1"), 2, may_interrupt=False)


def test_a_job_without_an_end_is_a_fault_and_so_is_one_that_nobody_knows() -> None:
    upstream, findings = Counting(0.0), Findings()
    upstream.jobs["strange"] += 1
    judge(findings, Seen(unended=["/once/7"]), upstream, True)
    assert "1 did not end: ['/once/7']" in findings.verdict
    assert "1 jobs that no client knows" in findings.verdict


def test_outcomes_are_told_in_numbers() -> None:
    seen = Seen(ended=[_ended("/once/1"), _ended("/once/2"), _ended("/once/3", "failed", "interrupted")])
    assert outcomes(seen) == "1 interrupted 2 succeeded"


def test_calls_are_of_both_kinds_in_turn() -> None:
    assert list(paths(3)) == ["/once/0", "/again/1", "/once/2"]
    assert routes(Counting(0.0), 5).count("async_concurrency = 5") == 2


async def _call(size: int) -> tuple[Counting, bytes]:
    async with counting(0.0, size) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port, limit=LIMIT)
        writer.write(b"POST /once/7 HTTP/1.1\r\nHost: a\r\nJob-Id: j\r\nContent-Length: 2\r\n\r\nhi")
        _, body = await read_whole(reader)
        writer.close()
        await writer.wait_closed()
        return upstream, body


def test_the_upstream_counts_and_answers_with_the_path() -> None:
    upstream, body = asyncio.run(_call(0))
    assert (upstream.jobs, upstream.paths) == (Counter(j=1), Counter({"/once/7": 1}))
    assert body == b"/once/7"


def test_the_upstream_answers_as_many_bytes_as_it_is_to() -> None:
    assert asyncio.run(_call(70_000))[1] == b"x" * 70_000
