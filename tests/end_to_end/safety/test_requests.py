"""What a client may send to confuse a gateway, each case whole and byte by byte, with the same outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.safety.bench import (
    Bench,
    assert_as_expected,
    assert_fields,
    assert_problem,
    assert_reason,
)
from tests.end_to_end.safety.case import Case, cut, load

CASES = load("requests")

FOLLOW_UP = get("/follow-up")
"""Stands right behind whatever is refused: it must never be answered, nor reach the upstream."""


def test_there_are_many_cases_and_each_row_has_some() -> None:
    assert len(CASES) >= 150
    assert {case.row for case in CASES} >= set(range(1, 28)) | set(range(29, 34))


@pytest.mark.parametrize("cutting", ["whole", "bytewise"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_request(case: Case, cutting: str, bench: Bench) -> None:
    with bench.gateway.connect() as client:
        _JUDGES[case.expect.outcome](case, cutting, bench, client)


def _refused(case: Case, cutting: str, bench: Bench, client: Client) -> None:
    client.send_while_open(cut(case.data + FOLLOW_UP, cutting))
    for expected in case.expect.requests[: case.expect.before]:
        assert client.answer(expected.method).status == 200
    _assert_refusal(case, client.answer(), client)
    if case.expect.before:
        bench.assert_nothing_complete(case.expect.before)
    else:
        bench.assert_nothing_arrived()


def _cut(case: Case, cutting: str, bench: Bench, client: Client) -> None:
    client.send_while_open(cut(case.data + FOLLOW_UP, cutting))
    _assert_refusal(case, client.answer(), client)
    bench.assert_nothing_complete()


def _unfinished(case: Case, cutting: str, bench: Bench, client: Client) -> None:
    client.send_while_open(cut(case.data + FOLLOW_UP, cutting))
    client.finish_sending()
    assert b"HTTP/1.1 2" not in client.rest()
    bench.assert_nothing_complete()


def _forwarded(case: Case, cutting: str, bench: Bench, client: Client) -> None:
    assert client.send_while_open(cut(case.data, cutting))
    _assert_forwarded(case, client.answer(case.expect.requests[0].method), bench, client)


def _answered(case: Case, cutting: str, bench: Bench, client: Client) -> None:
    client.send_while_open(cut(case.data, cutting))
    answer = client.answer()
    assert answer.status in case.expect.status
    if answer.status >= 400:
        assert_problem(answer, case.data)
        assert_reason(answer, case.expect.reason)
    assert_fields(answer, case.expect.fields, case.expect.never)
    bench.assert_nothing_arrived()
    _assert_end_or_next(case, answer, client)


def _either(case: Case, cutting: str, bench: Bench, client: Client) -> None:
    client.send_while_open(cut(case.data, cutting))
    answer = client.answer()
    if answer.status in case.expect.status:
        _assert_refusal(case, answer, client)
        bench.assert_nothing_complete()
    else:
        _assert_forwarded(case, answer, bench, client)


_JUDGES: dict[str, Callable[[Case, str, Bench, Client], None]] = {
    "refused": _refused,
    "cut": _cut,
    "unfinished": _unfinished,
    "forwarded": _forwarded,
    "answered": _answered,
    "either": _either,
}


def _assert_refusal(case: Case, answer: Answer, client: Client) -> None:
    """After a refusal for form nothing more of the connection is read as HTTP."""
    assert answer.status in case.expect.status
    assert_problem(answer, case.data)
    assert_reason(answer, case.expect.reason)
    assert answer.closes
    assert client.ends()


def _assert_forwarded(case: Case, first: Answer, bench: Bench, client: Client) -> None:
    answers = [first, *(client.answer(expected.method) for expected in case.expect.requests[1:])]
    for answer, expected in zip(answers, case.expect.requests, strict=True):
        assert (answer.status, answer.value("X-Target")) == (200, expected.target)
        if expected.body and expected.method != "HEAD":
            assert answer.body == expected.body.encode("latin-1")
    visits = bench.visits()
    assert len(visits) == len(case.expect.requests), [bytes(visit.head) for visit in visits]
    for visit, expected in zip(visits, case.expect.requests, strict=True):
        assert_as_expected(visit, expected)
    _assert_end_or_next(case, answers[-1], client)


def _assert_end_or_next(case: Case, last: Answer, client: Client) -> None:
    """The connection ends if it must, and goes on with the next request if it may."""
    if case.expect.outcome == "forwarded":
        assert last.closes is case.expect.closes
    if last.closes:
        assert client.ends()
    else:
        assert client.get("/follow-up").value("X-Target") == "/follow-up"
