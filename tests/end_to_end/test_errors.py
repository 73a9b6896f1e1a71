"""What a client reads when no answer comes: the right status, a reason, an id, and nothing more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.blackhole import black_hole
from tests.end_to_end.harness.client import get
from tests.end_to_end.harness.configuration import ini, route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import free_port
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens
from twistedgate.errors import TITLES


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway with an upstream for every way to fail."""
    port = shared_recorder.port
    with ExitStack() as stack:
        hole = stack.enter_context(black_hole())
        text = ini(
            upstream("works", port, retries=0, eject_after=0),
            upstream("refuses", free_port(), eject_after=0),
            upstream("hangs", hole, connect_timeout="100ms", eject_after=0),
            upstream("silent", port, response_timeout="100ms", eject_after=0),
            upstream("narrow", port, max_requests=1),
            "[upstream:drained]\ntargets = http://127.0.0.1:9 weight=0\n",
            *(
                route(name, f"/{name}/*")
                for name in ("works", "refuses", "hangs", "silent", "narrow", "drained")
            ),
            route("reading", "/reading", methods="GET", upstream="works"),
            route("slow", "/slow", timeout="100ms", upstream="works"),
            route("single", "/single/*", max_requests=1, upstream="works"),
        )
        yield stack.enter_context(Daemon(tmp_path_factory.mktemp("failing"), text))


def assert_problem(answer: Answer, daemon: Daemon, status: int, reason: str) -> None:
    """The answer is a problem document (RFC 9457), and the log says the same."""
    assert answer.status == status
    assert answer.value("Content-Type") == "application/problem+json"
    assert answer.value("X-Content-Type-Options") == "nosniff"
    assert answer.value("Date")
    problem = json.loads(answer.body)
    assert (problem["status"], problem["reason"], problem["title"]) == (status, reason, TITLES[reason])
    assert problem["request_id"] == answer.value("X-Request-Id")
    record = daemon.record(request_id=problem["request_id"])
    assert (record["status"], record["reason"]) == (status, reason)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/nowhere", 404, "no-route"),
        ("/refuses/x", 502, "connect-failed"),
        ("/hangs/x", 504, "connect-timeout"),
        ("/drained/x", 503, "no-target"),
    ],
)
def test_each_failure_has_its_status_and_reason(failing: Daemon, path: str, status: int, reason: str) -> None:
    with failing.connect() as client:
        answer = client.get(path)
        assert_problem(answer, failing, status, reason)
        assert not answer.closes
        assert client.get("/nowhere").status == 404


def test_405_says_what_is_allowed(failing: Daemon) -> None:
    with failing.connect() as client:
        answer = client.ask("POST", "/reading")
    assert_problem(answer, failing, 405, "method-not-allowed")
    assert answer.value("Allow") == "GET, HEAD"


def test_an_upstream_that_resets_is_a_bad_gateway(failing: Daemon, recorder: Recorder) -> None:
    recorder.on("/works/reset", lambda visit: visit.reset())
    with failing.connect() as client:
        assert_problem(client.get("/works/reset"), failing, 502, "reset")


def test_an_upstream_that_closes_is_a_bad_gateway(failing: Daemon, recorder: Recorder) -> None:
    recorder.on("/works/close", lambda visit: visit.close())
    with failing.connect() as client:
        assert_problem(client.get("/works/close"), failing, 502, "reset")


def test_an_upstream_that_talks_nonsense_is_a_bad_gateway(failing: Daemon, recorder: Recorder) -> None:
    recorder.on("/works/nonsense", lambda visit: visit.send(b"220 smtp.test ESMTP\r\n\r\n"))
    with failing.connect() as client:
        assert_problem(client.get("/works/nonsense"), failing, 502, "bad-response")


def test_an_upstream_that_says_nothing_is_a_gateway_timeout_and_asked_once(
    failing: Daemon, recorder: Recorder
) -> None:
    recorder.on("/silent/x", lambda visit: visit.link.wait_for_end())
    with failing.connect() as client:
        assert_problem(client.get("/silent/x"), failing, 504, "response-timeout")
    assert len(recorder.visits_to("/silent/x")) == 1
    happens(recorder.visit("/silent/x").link.ended, "the silent connection is closed")


def test_an_exchange_past_its_routes_time_is_a_gateway_timeout(failing: Daemon, recorder: Recorder) -> None:
    recorder.on("/slow", lambda visit: visit.link.wait_for_end())
    with failing.connect() as client:
        assert_problem(client.get("/slow"), failing, 504, "timeout")
    happens(recorder.visit("/slow").link.ended, "the slow connection is closed")


def test_503_says_when_to_come_again(failing: Daemon) -> None:
    with failing.connect() as client:
        assert client.get("/drained/x").value("Retry-After")


@pytest.mark.parametrize("path", ["/narrow/x", "/single/x"])
def test_too_many_requests_at_once_are_refused_and_counted_out(
    failing: Daemon, recorder: Recorder, path: str
) -> None:
    go_on = threading.Event()

    def held(visit: Visit) -> None:
        happens(go_on, "the first request may end")
        visit.answer(200, b"first")

    recorder.on(path, held)
    with failing.connect() as first, failing.connect() as second:
        first.send(get(path))
        recorder.visit(path)
        answer = second.get(path + "/second")
        assert_problem(answer, failing, 503, "too-many")
        assert answer.value("Retry-After")
        go_on.set()
        assert first.answer().body == b"first"
        failing.wait_until_idle()
        assert second.get(path + "/third").status == 200


def test_a_head_is_refused_without_a_body(failing: Daemon) -> None:
    with failing.connect() as client:
        answer = client.ask("HEAD", "/nowhere")
        assert (answer.status, answer.body) == (404, b"")
        assert client.get("/nowhere").status == 404


def test_a_refused_upload_is_not_read_to_its_end(failing: Daemon) -> None:
    """What cannot be answered well is not worth a gigabyte of reading."""
    with failing.connect() as client:
        answer = client.ask("POST", "/nowhere", "Content-Length: 1000000000")
        assert (answer.status, answer.closes) == (404, True)
        assert client.ends()


def test_a_small_upload_to_nowhere_does_not_break_the_next_request(failing: Daemon) -> None:
    with failing.connect() as client:
        answer = client.ask("POST", "/nowhere", body=b"hello")
        assert answer.status == 404
        assert client.ends() if answer.closes else client.get("/nowhere").status == 404
