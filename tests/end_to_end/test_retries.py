"""What is sent again, where, and how often; and what never is (RFC 9110 section 9.2.2)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import Begin
from tests.end_to_end.harness.client import get, request
from tests.end_to_end.harness.configuration import everything_to, ini, route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import free_port
from tests.end_to_end.harness.visit import Visit

BUDGET = "100%"


def breaks(visit: Visit) -> None:
    """Take the whole request, and leave without an answer."""
    visit.read_body()
    visit.close()


def works(visit: Visit) -> None:
    """Answer with the body."""
    visit.answer(200, visit.read_body() or b"ok")


@pytest.fixture(scope="module")
def broken() -> Iterator[Recorder]:
    """An upstream that takes every request and answers none."""
    with Recorder() as recorder:
        recorder.otherwise(breaks)
        yield recorder
    assert recorder.complaints == []


@pytest.fixture(scope="module")
def working() -> Iterator[Recorder]:
    """An upstream that works."""
    with Recorder() as recorder:
        recorder.otherwise(works)
        yield recorder
    assert recorder.complaints == []


@pytest.fixture(scope="module")
def retrying(
    tmp_path_factory: pytest.TempPathFactory, broken: Recorder, working: Recorder
) -> Iterator[Daemon]:
    """A gateway with upstreams of which the first target fails."""
    kept = {"eject_after": 0, "retry_budget": BUDGET}
    text = ini(
        upstream("refusing", free_port(), working.port, **kept),
        route("refusing", "/refusing/*"),
        upstream("breaking", broken.port, working.port, **kept),
        route("breaking", "/breaking/*"),
        upstream("patient", broken.port, working.port, retries=0, **kept),
        route("patient", "/patient/*"),
        upstream("poor", broken.port, retries=1, retry_budget="0%", eject_after=0),
        route("poor", "/poor/*"),
    )
    with Daemon(tmp_path_factory.mktemp("retrying"), text) as daemon:
        yield daemon


def test_a_target_that_cannot_be_connected_to_costs_nobody_anything(
    retrying: Daemon, working: Recorder
) -> None:
    with retrying.connect() as client:
        for number in range(6):
            assert client.ask("POST", f"/refusing/{number}", body=b"once").body == b"once"
            assert len(working.visits_to(f"/refusing/{number}")) == 1
    attempts = {retrying.record(path=f"/refusing/{number}")["attempts"] for number in range(6)}
    assert 2 in attempts
    assert attempts <= {1, 2}


def test_a_large_body_waits_until_a_connection_is_made(retrying: Daemon, working: Recorder) -> None:
    body = bytes(range(256)) * 4096
    with retrying.connect() as client:
        for _ in range(2):
            assert client.ask("POST", "/refusing/large", body=body).body == body


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
def test_an_idempotent_request_is_sent_to_another_target(
    retrying: Daemon, broken: Recorder, working: Recorder, method: str
) -> None:
    path = f"/breaking/{method}"
    body = b"again" if method == "PUT" else b""
    with retrying.connect() as client:
        assert [client.ask(method, path, body=body).status for _ in range(2)] == [200, 200]
    assert len(working.visits_to(path)) == 2
    assert len(broken.visits_to(path)) >= 1
    assert all(visit.body == body for visit in working.visits_to(path))


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_may_have_been_acted_on_is_never_sent_twice(
    retrying: Daemon, broken: Recorder, working: Recorder, method: str
) -> None:
    path = f"/breaking/{method}"
    with retrying.connect() as client:
        statuses = sorted(client.ask(method, path, body=b"once").status for _ in range(2))
    assert statuses == [200, 502]
    assert (len(broken.visits_to(path)), len(working.visits_to(path))) == (1, 1)


def test_without_retries_nothing_is_sent_twice(retrying: Daemon, broken: Recorder, working: Recorder) -> None:
    with retrying.connect() as client:
        statuses = sorted(client.get("/patient/x").status for _ in range(2))
    assert statuses == [200, 502]
    assert len(broken.visits_to("/patient/x")) + len(working.visits_to("/patient/x")) == 2


def test_the_budget_bounds_what_a_failing_upstream_gets_besides(retrying: Daemon, broken: Recorder) -> None:
    """A budget of nothing leaves three retries in ten seconds."""
    with retrying.connect() as client:
        for number in range(6):
            assert client.get(f"/poor/{number}").status == 502
    visits = sum(len(broken.visits_to(f"/poor/{number}")) for number in range(6))
    assert visits <= 6 + 3


def test_an_answer_that_has_begun_is_never_asked_for_again(gateway: Daemon, recorder: Recorder) -> None:
    def half(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        visit.close()

    recorder.on("/retry/half", half)
    with gateway.connect() as client:
        client.send(get("/retry/half"))
        client.cut()
    assert len(recorder.visits_to("/retry/half")) == 1


class LeavesWhenAsked:
    """Answers the first request of a connection, and meets the second one by leaving."""

    def __init__(self) -> None:
        self._served: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, visit: Visit) -> None:
        with self._lock:
            is_first = visit.link.number not in self._served
            self._served.add(visit.link.number)
        visit.read_body()
        if is_first:
            visit.answer(200, b"ok")
        else:
            visit.close()


def test_an_idle_connection_that_turns_out_closed_is_the_pools_own_affair(
    begin: Begin, own_recorder: Recorder
) -> None:
    own_recorder.otherwise(LeavesWhenAsked())
    daemon = begin(everything_to(own_recorder.port, retries=0))
    with daemon.connect() as client:
        assert [client.get(f"/idle/{number}").status for number in range(4)] == [200] * 4
    assert [daemon.record(path=f"/idle/{number}")["attempts"] for number in range(4)] == [1] * 4


def test_a_post_that_met_a_closing_connection_is_not_sent_again(begin: Begin, own_recorder: Recorder) -> None:
    own_recorder.otherwise(LeavesWhenAsked())
    daemon = begin(everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert client.get("/warm").status == 200
        client.send(request("POST", "/raced", body=b"once"))
        assert client.answer().status in (
            502,
            200,
        )  # 200 if it came so late that it got a connection of its own
    assert len(own_recorder.visits_to("/raced")) == 1
