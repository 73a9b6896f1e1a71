"""Every timeout of the configuration, set short: nobody can hold a place for ever by doing nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.harness.client import Client, get, request
from tests.end_to_end.harness.configuration import everything_to, ini, listener, route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.stall import Stall
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens, is_readable
from tests.end_to_end.test_upgrade import SWITCH, handshake


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway with a listener for each timeout of clients, and an upstream for each of upstreams."""
    port = shared_recorder.port
    text = ini(
        listener(),
        listener("head", header_timeout="500ms"),
        listener("idle", idle_timeout="200ms"),
        listener("body", body_timeout="1s"),
        listener("rate", body_timeout="200ms", min_body_rate="1m"),
        listener("send", send_timeout="200ms"),
        everything_to(port),
        upstream("pausing", port, read_timeout="200ms"),
        route("pausing", "/pausing"),
        upstream("idle", port, keepalive_timeout="200ms"),
        route("idle", "/idle"),
    )
    with Daemon(tmp_path_factory.mktemp("hasty"), text) as daemon:
        yield daemon


def assert_timed_out(client: Client) -> None:
    """The client is told 408, and the connection ends."""
    answer = client.answer()
    assert (answer.status, json.loads(answer.body)["reason"]) == (408, "request-timeout")
    assert answer.closes
    assert client.ends()


def test_a_head_that_does_not_end(hasty: Daemon) -> None:
    with Client(hasty.ports["head"]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX-Slow")
        assert_timed_out(client)
    assert hasty.record(status=408, reason="request-timeout")


def test_a_head_that_grows_for_ever_is_not_saved_by_its_growing(hasty: Daemon) -> None:
    with Client(hasty.ports["head"]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: ")
        while not is_readable(client.socket, 0.02):
            client.send(b"x")
        assert_timed_out(client)


def test_a_client_that_never_says_anything_is_let_go(hasty: Daemon) -> None:
    with Client(hasty.ports["head"]) as client:
        assert b" 200 " not in client.rest()


def test_a_second_head_that_does_not_end(hasty: Daemon) -> None:
    with Client(hasty.ports["head"]) as client:
        assert client.get("/first").status == 200
        client.send(b"GET ")
        assert_timed_out(client)


def test_a_second_head_that_began_behind_the_first_and_does_not_end(hasty: Daemon) -> None:
    with Client(hasty.ports["head"]) as client:
        client.send(get("/first") + b"GET ")
        assert client.answer().status == 200
        assert_timed_out(client)


def test_a_connection_between_two_requests(hasty: Daemon) -> None:
    with Client(hasty.ports["idle"]) as client:
        assert client.get("/first").status == 200
        assert client.rest() == b""


def test_an_idle_timeout_does_not_touch_a_slow_answer(hasty: Daemon, recorder: Recorder) -> None:
    """While an idle connection beside it is let go, the one that waits for its answer is not."""

    def after_the_idle_one(visit: Visit) -> None:
        with Client(hasty.ports["idle"]) as idle:
            assert idle.get("/beside").status == 200
            assert idle.rest() == b""
        visit.answer(200, b"at last")

    recorder.on("/slow-answer", after_the_idle_one)
    with Client(hasty.ports["idle"]) as client:
        assert client.get("/slow-answer").body == b"at last"


def test_a_body_that_stops(hasty: Daemon, recorder: Recorder) -> None:
    with Client(hasty.ports["body"]) as client:
        client.send(request("POST", "/stops", "Content-Length: 10"), b"01234")
        visit = recorder.visit("/stops")
        assert_timed_out(client)
    happens(visit.link.ended, "the upstream's half of a request is given up")
    assert not visit.is_complete.is_set()


def test_a_body_that_drips(hasty: Daemon, recorder: Recorder) -> None:
    with Client(hasty.ports["rate"]) as client:
        client.send(request("POST", "/drips", "Content-Length: 1000000"))
        while not is_readable(client.socket, 0.02):
            client.send(b"x")
        assert_timed_out(client)


def test_a_body_that_waits_for_its_upstream_is_not_late(hasty: Daemon, recorder: Recorder) -> None:
    """The upstream does not read: that is not the client's fault."""
    size = 9 * 1024 * 1024

    def read_late(visit: Visit) -> None:
        with Client(hasty.ports["body"]) as late:
            late.send(request("POST", "/beside", "Content-Length: 10"), b"0")
            assert_timed_out(late)
        visit.answer(200, b"%d" % len(visit.read_body()))

    recorder.on("/reads-late", read_late)
    with Client(hasty.ports["body"]) as client:
        assert client.ask("POST", "/reads-late", body=bytes(size)).body == b"%d" % size


def test_a_client_that_takes_nothing(hasty: Daemon, recorder: Recorder) -> None:
    stall = Stall(64 * 1024 * 1024)

    def flood(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % stall.total)
        try:
            stall.send(visit.link.socket)
        except OSError:
            visit.link.ended.set()

    recorder.on("/takes-nothing", flood)
    with Client(hasty.ports["send"], receive_buffer=8192) as client:
        client.send(get("/takes-nothing"))
        happens(recorder.visit("/takes-nothing").link.ended, "the exchange is cut")
    hasty.wait_until_idle()
    assert stall.sent < stall.total


def test_an_answer_that_stops(hasty: Daemon, recorder: Recorder) -> None:
    def stops(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        visit.link.wait_for_end()

    recorder.on("/pausing", stops)
    with hasty.connect() as client:
        client.send(get("/pausing"))
        client.cut()
    happens(recorder.visit("/pausing").link.ended, "the connection that stopped is closed")
    assert hasty.record(path="/pausing")["reason"] == "read-timeout"


def test_an_idle_upstream_connection(hasty: Daemon, recorder: Recorder) -> None:
    with hasty.connect() as client:
        assert client.get("/idle").status == 200
        happens(recorder.visit("/idle").link.ended, "the idle connection is closed")
        assert client.get("/idle").status == 200


def test_an_upstream_that_says_how_long_it_keeps_connections(hasty: Daemon, recorder: Recorder) -> None:
    recorder.on("/says-how-long", lambda visit: visit.answer(200, b"", "Keep-Alive: timeout=1"))
    with hasty.connect() as client:
        assert client.get("/says-how-long").status == 200
        happens(
            recorder.visit("/says-how-long").link.ended, "the connection is closed before its upstream does"
        )


def test_a_tunnel_in_which_nobody_speaks(hasty: Daemon, recorder: Recorder) -> None:
    def silent(visit: Visit) -> None:
        visit.send(SWITCH)
        visit.link.wait_for_end()

    recorder.on("/ws/silent", silent)
    with Client(hasty.ports["idle"]) as client:
        client.send(handshake("/ws/silent"))
        assert client.answer().status == 101
        assert client.rest() == b""
    happens(recorder.visit("/ws/silent").link.ended, "the silent tunnel ends on both sides")


def test_a_client_that_will_not_leave_after_a_refusal_is_left(hasty: Daemon) -> None:
    """The drain after the last answer is bounded in time for who neither sends nor leaves."""
    with hasty.connect() as client:
        client.send(b"not HTTP\r\n\r\n")
        assert client.answer().status == 400
        assert client.rest() == b""


def test_a_client_that_goes_on_after_a_refusal_is_cut_off(hasty: Daemon) -> None:
    """The drain after the last answer is bounded in bytes for who goes on sending."""
    with hasty.connect() as client:
        client.send(b"not HTTP\r\n\r\n")
        assert client.answer().status == 400
        assert not client.send_while_open([b"x" * 65536] * 1000)
