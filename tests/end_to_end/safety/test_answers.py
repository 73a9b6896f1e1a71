"""What an upstream may send to confuse a gateway or its clients, each case whole and byte by byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.end_to_end.harness.answers import Answer, Cut
from tests.end_to_end.harness.client import Client, request
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens
from tests.end_to_end.safety.bench import Bench, assert_fields, assert_problem, assert_reason
from tests.end_to_end.safety.case import Case, cut, load

CASES = load("answers")


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 30
    assert {case.row for case in CASES} >= {36, 37, 38}


@pytest.mark.parametrize("cutting", ["whole", "bytewise"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer(case: Case, cutting: str, bench: Bench) -> None:
    path = f"/case/{cutting}/{case.name}"

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(*cut(case.data, cutting))
        if case.ends == "close":
            visit.close()
        elif case.ends == "reset":
            visit.reset()

    bench.recorder.on(path, script)
    with bench.gateway.connect() as client:
        client.send(request(case.method, path))
        answer = _JUDGES[case.expect.outcome](case, client)
        _assert_connection_is_given_up(case, bench)
        _assert_next_is_unharmed(answer, bench, client)


def _assert_connection_is_given_up(case: Case, bench: Bench) -> None:
    """A connection that carried something doubtful is closed: it never serves the next client."""
    for visit in bench.visits():
        if not case.expect.keeps:
            happens(visit.link.ended, "the upstream's connection is closed")


def _assert_next_is_unharmed(answer: Answer | None, bench: Bench, client: Client) -> None:
    bench.probe()
    if answer is not None and not answer.closes:
        assert client.get("/follow-up").value("X-Target") == "/follow-up"
    else:
        assert client.ends()


def _refused(case: Case, client: Client) -> Answer | None:
    answer = client.answer(case.method)
    assert answer.status in case.expect.status
    assert_problem(answer)
    assert_reason(answer, case.expect.reason)
    return answer


def _cut(case: Case, client: Client) -> Answer | None:
    try:
        answer = client.answer(case.method)
    except Cut:
        return None
    assert answer.status == 502
    assert_problem(answer)
    return answer


def _passed(case: Case, client: Client) -> Answer | None:
    answer = client.answer(case.method)
    assert answer.status in case.expect.status
    assert answer.body == case.expect.body.encode("latin-1")
    assert_fields(answer, case.expect.fields, case.expect.never)
    assert answer.trailers == []
    return answer


def _either(case: Case, client: Client) -> Answer | None:
    answer = client.answer(case.method)
    if answer.status in case.expect.status:
        assert_problem(answer)
    else:
        assert (answer.status, answer.body) == (case.expect.pass_status, case.expect.body.encode("latin-1"))
        for name, value in answer.fields:
            assert b"\t" not in name + value
    return answer


_JUDGES: dict[str, Callable[[Case, Client], Answer | None]] = {
    "refused": _refused,
    "cut": _cut,
    "passed": _passed,
    "either": _either,
}
