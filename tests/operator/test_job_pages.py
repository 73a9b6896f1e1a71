from __future__ import annotations

import datetime as dt

from tests.operator.jobs_told import ID, summary, whole
from twistedgate.operator.job_pages import LONGEST_CALL, job_page, jobs_page

NOW = dt.datetime(2026, 11, 23, 11, 30, tzinfo=dt.UTC)


def test_a_table_says_what_an_operator_looks_for_first() -> None:
    jobs = [
        summary("A", state="failed", reason="connect-failed", attempts=4),
        summary("B", state="succeeded", status=201, attempts=1, forgotten=True),
        summary("C", submitted="2026-11-23T11:29:58.000Z"),
    ]
    lines = jobs_page(jobs, NOW).splitlines()
    assert lines[0].split() == ["ID", "STATE", "ROUTE", "CALL", "AGE", "ATTEMPTS", "OUTCOME"]
    assert lines[1] == "A   failed     reports  POST /reports/7  2 h 30 min         4  connect-failed"
    assert lines[2] == "B   succeeded  reports  POST /reports/7  2 h 30 min         1  201, forgotten"
    assert lines[3] == "C   queued     reports  POST /reports/7  2 s                0  -"


def test_a_long_call_is_cut_and_none_speaks_to_the_terminal() -> None:
    page = jobs_page([summary(path="/" + "x" * 200), summary(path="/\x1b[2J")], NOW)
    assert f"POST /{'x' * (LONGEST_CALL - 9)}...  " in page
    assert "\x1b" not in page


def test_no_jobs_are_a_sentence() -> None:
    assert jobs_page([], NOW) == "there are no such jobs"


def test_a_job_that_waits() -> None:
    job = whole(due="2026-11-23T11:30:05.000Z", queue_ends="2026-11-23T11:31:05.000Z")
    assert job_page(job, NOW).splitlines() == [
        f"job        {ID}",
        "state      queued",
        "route      reports",
        "owner      key-auth:staff/alice",
        "submitted  2026-11-23T09:00:00.000Z, 2 h 30 min ago",
        "attempts   0",
        "due        2026-11-23T11:30:05.000Z, in 5 s",
        "           waits until 2026-11-23T11:31:05.000Z at most, in 1 min 5 s",
        "terms      at-most-once, 3 retries, kept for 1 h, waits for 1 min at most",
        "request    POST https://example.com/reports/7?a=b",
        "           of 192.0.2.1 at listener public, consumer alice, id r-1",
        "           5 bytes, kept",
        "             Accept: */*",
    ]


def test_a_job_that_runs_and_one_that_failed() -> None:
    running = job_page(whole(state="running", started="2026-11-23T11:29:00.000Z", runner="gate-1-77"), NOW)
    assert "started    2026-11-23T11:29:00.000Z, 1 min ago" in running
    assert "runner     gate-1-77" in running
    failed = job_page(
        whole(
            state="failed",
            reason="timeout",
            forgotten=True,
            finished="2026-11-23T11:00:00.000Z",
            expires="2026-11-23T11:20:00.000Z",
            owner=None,
            caller="/reports/192.0.2.1",
        ),
        NOW,
    )
    assert "state      failed, timeout, forgotten" in failed
    assert "owner      nobody that is known: /reports/192.0.2.1" in failed
    assert "finished   2026-11-23T11:00:00.000Z, 30 min ago" in failed
    assert "expires    2026-11-23T11:20:00.000Z, which is over" in failed


def test_what_else_may_be_known() -> None:
    job = whole(idempotency_key="k-1", callback="https://client.example")
    job["terms"]["priority"] = 7
    job["request"].update(kept=False, consumer=None, query="?\x1b]0;x\x07")
    job["result"] = {"status": 200, "phrase": "Fine", "headers": [["Set-Cookie", "***"]], "length": 6}
    lines = job_page(job, NOW).splitlines()
    assert "priority 7" in next(line for line in lines if line.startswith("terms"))
    assert lines[-5:] == [
        "           of 192.0.2.1 at listener public, id r-1",
        "           5 bytes, not kept any more",
        "             Accept: */*",
        "result     200 Fine, 6 bytes",
        "             Set-Cookie: ***",
    ]
    assert {"key        k-1", "callback   to https://client.example"} <= set(lines)
    assert "\x1b" not in "".join(lines)
