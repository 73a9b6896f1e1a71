"""The end of the daemon: what is under way ends in peace, and the exit code is right."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import Client, ask_over, get
from tests.end_to_end.harness.configuration import everything_to, section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import accepts, free_port
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens, until
from tests.end_to_end.test_upgrade import SWITCH, handshake


def begin_to_stop(daemon: Daemon) -> None:
    """Ask for the end, and return when nobody new is let in."""
    daemon.signal(signal.SIGTERM)
    until(lambda: not accepts(daemon.port), "the daemon accepts no more")


def stopped_within(daemon: Daemon, wire: bytes) -> Answer:
    """Begin to stop in the middle of a request, and return its answer once the daemon has ended."""
    with daemon.connect() as client:
        assert client.get("/x").status == 200
        client.send(wire[:10])
        daemon.admin("/live")  # what was sent before has been read
        begin_to_stop(daemon)
        client.send(wire[10:])
        answer = client.answer()
    assert daemon.wait() == 0
    return answer


@pytest.fixture
def held(own_recorder: Recorder) -> Iterator[Held]:
    """What ``/held`` of the upstream waits for."""
    held = Held()
    own_recorder.on("/held", held)
    yield held
    held.go_on.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_ends_with_zero(start: Start, own_recorder: Recorder, number: signal.Signals) -> None:
    daemon = start(everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert client.get("/x").status == 200
        daemon.signal(number)
        assert client.rest() == b""
    assert daemon.wait() == 0


def test_an_exchange_under_way_ends_before_the_daemon_does(
    start: Start, own_recorder: Recorder, held: Held
) -> None:
    daemon = start(everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(get("/held"))
        own_recorder.visit("/held")
        begin_to_stop(daemon)
        held.go_on.set()
        answer = client.answer()
        assert (answer.body, answer.closes) == (b"in peace", True)
        assert client.ends()
    assert daemon.wait() == 0
    assert daemon.record(path="/held")["status"] == 200


def test_before_that_readiness_says_no_while_requests_are_still_served(
    start: Start, own_recorder: Recorder
) -> None:
    daemon = start("[gateway]\naccess_log = -\ndrain_delay = 1m\n", everything_to(own_recorder.port))
    with daemon.connect() as kept:
        assert kept.get("/x").status == 200
        until(lambda: daemon.admin("/ready").status == 200, "the gateway is ready")
        daemon.signal(signal.SIGTERM)
        until(lambda: daemon.admin("/ready").status == 503, "readiness says no")
        assert daemon.admin("/live").status == 200
        assert kept.get("/y").status == 200
        with daemon.connect() as new:
            assert new.get("/z").status == 200
        daemon.signal(signal.SIGTERM)
        assert kept.rest() == b""
    assert daemon.wait() in (0, 1)


def test_an_exchange_that_does_not_end_is_cut_in_the_end(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/for-ever", lambda visit: visit.link.wait_for_end())
    daemon = start("[gateway]\naccess_log = -\ndrain_timeout = 200ms\n", everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(get("/for-ever"))
        own_recorder.visit("/for-ever")
        daemon.signal(signal.SIGTERM)
        assert b" 200 " not in client.rest()
    assert daemon.wait() == 0
    happens(own_recorder.visit("/for-ever").link.ended, "the upstream's connection is closed")


def test_a_second_signal_ends_at_once(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/for-ever", lambda visit: visit.link.wait_for_end())
    daemon = start("[gateway]\naccess_log = -\ndrain_timeout = 7d\n", everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(get("/for-ever"))
        own_recorder.visit("/for-ever")
        begin_to_stop(daemon)
        daemon.signal(signal.SIGTERM)
        assert b" 200 " not in client.rest()
    assert daemon.wait() in (0, 1)


def test_a_tunnel_may_end_by_itself(start: Start, own_recorder: Recorder) -> None:
    def tunnel(visit: Visit) -> None:
        visit.send(SWITCH)
        visit.send(visit.link.receive())
        visit.close()

    own_recorder.on("/ws", tunnel)
    daemon = start(everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(handshake("/ws"))
        assert client.answer().status == 101
        begin_to_stop(daemon)
        client.send(b"still here")
        assert client.rest() == b"still here"
    assert daemon.wait() == 0


def test_requests_that_wait_behind_the_last_one_are_not_begun(
    start: Start, own_recorder: Recorder, held: Held
) -> None:
    daemon = start(everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(get("/held") + get("/behind"))
        own_recorder.visit("/held")
        begin_to_stop(daemon)
        held.go_on.set()
        assert client.answer().closes
        assert client.ends()
    assert daemon.wait() == 0
    assert own_recorder.visits_to("/behind") == []


def test_a_request_that_had_begun_is_still_answered(start: Start, own_recorder: Recorder) -> None:
    answer = stopped_within(start(everything_to(own_recorder.port)), get("/begun"))
    assert (answer.status, answer.closes) == (200, True)


def test_a_tunnel_is_not_begun_any_more(start: Start, own_recorder: Recorder) -> None:
    answer = stopped_within(start(everything_to(own_recorder.port)), handshake("/ws"))
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "draining")
    assert answer.value("Retry-After")
    assert own_recorder.visits_to("/ws") == []


def test_one_that_was_killed_starts_again_at_the_same_addresses(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    """Nobody has closed its connections, nor taken the file of its unix socket away."""
    path = tmp_path / "public.sock"
    sections = (
        everything_to(own_recorder.port),
        section("listener:public", endpoint=f"tcp:{free_port()}:interface=127.0.0.1"),
        section("listener:local", endpoint=f"unix:{path}"),
    )
    for way in ("killed", "killed", "stopped"):
        daemon = start(*sections)
        with daemon.connect() as client:
            assert client.get("/x").status == 200
            assert ask_over(socket.AF_UNIX, str(path), "/x") == 200
            daemon.signal(signal.SIGKILL if way == "killed" else signal.SIGTERM)
            assert daemon.wait() == (-signal.SIGKILL if way == "killed" else 0)
            assert path.exists() == (way == "killed")


def test_a_half_sent_head_does_not_hold_the_end_up(start: Start, own_recorder: Recorder) -> None:
    daemon = start("[gateway]\naccess_log = -\ndrain_timeout = 500ms\n", everything_to(own_recorder.port))
    with Client(daemon.port) as client:
        client.send(b"GET / HT")
        daemon.signal(signal.SIGTERM)
        assert b" 200 " not in client.rest()
    assert daemon.wait() == 0
