"""The status document has every member that is promised, in its order, whatever the job is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_job import CALL, TERMS
from twistedgate.jobs.document import (
    document,
    entity_tag,
    is_known,
    moment,
    next_page,
    page_document,
    retry_after,
    write,
)
from twistedgate.jobs.job import Job, Page, State

NOON = 1795424400.0
CALLED = replace(CALL, method="POST", path="/reports/7", query="?secret=1")
JOB = Job("abc", "reports", "key-auth:a/alice", "", CALLED, TERMS, State.QUEUED, NOON, key="k", version=1)
MEMBERS = [
    *("id", "state", "route", "method", "path"),
    *("submitted", "started", "finished", "attempts", "expires"),
    *("status", "reason", "links"),
]


def test_a_queued_job_is_written_as_promised() -> None:
    assert json.loads(write(document(JOB, "/_jobs"))) == {
        "id": "abc",
        "state": "queued",
        "route": "reports",
        "method": "POST",
        "path": "/reports/7",
        "submitted": "2026-11-23T09:00:00.000Z",
        "started": None,
        "finished": None,
        "attempts": 0,
        "expires": None,
        "status": None,
        "reason": None,
        "links": {
            "self": "/_jobs/abc",
            "result": "/_jobs/abc/result",
            "events": "/_jobs/abc/events",
        },
    }


@given(st.sampled_from(State), st.booleans(), st.integers(0, 3))
def test_the_members_are_those_that_are_promised_in_their_order(
    state: State, is_over: bool, attempts: int
) -> None:
    finished = NOON + 9 if is_over else None
    job = replace(
        JOB, state=state, finished=finished, attempts=attempts, owner="o", callback="https://c.example/"
    )
    written = json.loads(write(document(job, "/_jobs")))
    assert list(written) == MEMBERS
    assert (written["state"], written["attempts"]) == (state, attempts)


def test_a_finished_job_says_how_it_ended_and_until_when_it_is_kept() -> None:
    failed = replace(
        JOB, state=State.FAILED, reason="timeout", started=NOON + 1, finished=NOON + 2.5, attempts=4
    )
    written = document(failed, "/_jobs")
    assert (written["started"], written["finished"]) == (
        "2026-11-23T09:00:01.000Z",
        "2026-11-23T09:00:02.500Z",
    )
    assert (written["expires"], written["reason"]) == ("2026-11-23T09:01:02.500Z", "timeout")
    assert document(replace(JOB, status=404), "/_jobs")["status"] == 404


def test_nothing_is_written_that_is_not_the_clients_own_to_see() -> None:
    written = write(document(replace(JOB, runner="w1", fingerprint="f"), "/_jobs"))
    for secret in (b"alice", b"secret", b"w1", b"192.0.2.1"):
        assert secret not in written


@given(st.floats(0, 4e9))
def test_a_time_is_written_to_the_millisecond(seconds: float) -> None:
    written = moment(seconds)
    assert written is not None
    assert len(written) == len("2026-11-23T09:00:00.000Z")
    assert abs(datetime.fromisoformat(written).timestamp() - seconds) <= 0.00051


def test_a_time_that_is_not_known_is_null() -> None:
    assert moment(None) is None
    assert moment(0.9996) == "1970-01-01T00:00:01.000Z"


def test_a_tag_is_another_one_for_every_other_document() -> None:
    first = entity_tag(write(document(JOB, "/_jobs")))
    assert first == entity_tag(write(document(JOB, "/_jobs")))
    assert first != entity_tag(write(document(replace(JOB, attempts=1), "/_jobs")))
    assert first.startswith(b'"')
    assert first.endswith(b'"')


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], False),
        ([b'"a"'], True),
        ([b'W/"a"'], True),
        ([b'"b", "a"'], True),
        ([b'"b"', b'"a"'], True),
        ([b"*"], True),
        ([b'"b"'], False),
        ([b"a"], False),
        ([b'"a'], False),
    ],
)
def test_a_client_that_has_the_document_is_known_by_its_tag(values: list[bytes], expected: bool) -> None:
    assert is_known(values, b'"a"') is expected


@given(st.lists(st.floats(-10.0, 1e6), min_size=2, max_size=5).map(sorted))
def test_the_longer_it_takes_the_less_often_it_is_asked_for(ages: list[float]) -> None:
    after = [retry_after(JOB, NOON + age) or 0 for age in ages]
    assert after == sorted(after)
    assert all(1 <= seconds <= 5 for seconds in after)


def test_it_is_asked_for_at_once_first_and_never_after_its_end() -> None:
    assert retry_after(JOB, NOON) == 1
    assert retry_after(JOB, NOON + 3600) == 5
    assert retry_after(replace(JOB, state=State.CANCELLED), NOON) is None


def test_a_page_says_where_the_next_one_begins() -> None:
    page = page_document(Page((JOB,), "17"), "/_jobs")
    assert page == {"jobs": [document(JOB, "/_jobs")], "cursor": "17"}
    assert page_document(Page(()), "/_jobs") == {"jobs": [], "cursor": None}


def test_a_link_leads_to_the_next_page_of_the_same_list() -> None:
    link = next_page("/_jobs", "a b>", [("state", "failed"), ("cursor", "old"), ("limit", "5")])
    assert link == b'</_jobs?state=failed&limit=5&cursor=a+b%3E>; rel="next"'
