"""Clients and upstreams that leave at every point: what was taken is given back, and half is never whole."""

from __future__ import annotations

import threading

import pytest

from tests.end_to_end.conftest import Begin
from tests.end_to_end.harness.blackhole import black_hole
from tests.end_to_end.harness.client import Client, get, request
from tests.end_to_end.harness.configuration import everything_to
from tests.end_to_end.harness.daemon import Daemon, in_flight
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.stall import Stall
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import PATIENCE, happens, until

LEAVING = ["close", "reset", "finish_sending"]


def wait(visit: Visit) -> None:
    visit.link.wait_for_end()


def leave(client: Client, how: str) -> None:
    """Leave by the method of ``Client`` that is called ``how``."""
    getattr(client, how)()


def assert_cut(gateway: Daemon, recorder: Recorder, path: str) -> None:
    """The exchange was cut, counted out, logged, and tried no second time."""
    happens(recorder.visit(path).link.ended, "the upstream's connection is closed")
    gateway.wait_until_idle()
    assert gateway.record(path=path)["reason"] == "client-gone"
    assert len(recorder.visits_to(path)) == 1


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_before_the_answer(gateway: Daemon, recorder: Recorder, how: str) -> None:
    path = f"/leave/before/{how}"
    recorder.on(path, wait)
    with gateway.connect() as client:
        client.send(get(path))
        recorder.visit(path)
        leave(client, how)
        assert_cut(gateway, recorder, path)


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_in_the_middle_of_its_request(
    gateway: Daemon, recorder: Recorder, how: str
) -> None:
    path = f"/leave/request/{how}"
    with gateway.connect() as client:
        client.send(request("POST", path, "Content-Length: 100"), b"half of it")
        recorder.visit(path)
        leave(client, how)
        assert_cut(gateway, recorder, path)
    assert not recorder.visit(path).is_complete.is_set()


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_in_the_middle_of_its_chunks(
    gateway: Daemon, recorder: Recorder, how: str
) -> None:
    path = f"/leave/chunks/{how}"
    with gateway.connect() as client:
        client.send(request("POST", path, "Transfer-Encoding: chunked"), b"5\r\nhello\r\n")
        recorder.visit(path)
        leave(client, how)
        assert_cut(gateway, recorder, path)
    assert not recorder.visit(path).is_complete.is_set()


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_in_the_middle_of_its_answer(
    gateway: Daemon, recorder: Recorder, how: str
) -> None:
    def half(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
        visit.link.wait_for_end()

    path = f"/leave/answer/{how}"
    recorder.on(path, half)
    with gateway.connect() as client:
        client.send(get(path))
        assert client.reader.head().status == 200
        leave(client, how)
        assert_cut(gateway, recorder, path)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_while_it_is_stalled(gateway: Daemon, recorder: Recorder, how: str) -> None:
    """The gateway reads nothing and can write nothing, and must hear of the client's end all the same."""
    stall = Stall(64 * 1024 * 1024)

    def flood(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % stall.total)
        try:
            stall.send(visit.link.socket)
        except OSError:
            visit.link.ended.set()

    path = f"/leave/stalled/{how}"
    recorder.on(path, flood)
    with gateway.connect(receive_buffer=8192) as client:
        client.send(get(path))
        happens(stall.has_stalled, "the upstream is held up")
        leave(client, how)
        assert_cut(gateway, recorder, path)


def test_a_client_that_leaves_while_its_upload_is_held_up(gateway: Daemon, recorder: Recorder) -> None:
    seen = threading.Event()
    read = threading.Event()

    def hold(visit: Visit) -> None:
        seen.set()
        happens(read, "the client has left")
        visit.link.wait_for_end()

    path = "/leave/upload"
    recorder.on(path, hold)
    stall = Stall(9 * 1024 * 1024)
    with gateway.connect() as client:
        client.send(request("POST", path, f"Content-Length: {stall.total}"))
        happens(seen, "the request is at the upstream")
        sending = threading.Thread(target=stall.send, args=[client.socket])
        sending.start()
        happens(stall.has_stalled, "the client is held up")
        stall.gives_up.set()
        sending.join(PATIENCE)
        client.reset()
    try:
        gateway.wait_until_idle()
    finally:
        read.set()
    assert_cut(gateway, recorder, path)


def test_a_client_that_leaves_with_requests_waiting_behind(gateway: Daemon, recorder: Recorder) -> None:
    recorder.on("/leave/first", wait)
    with gateway.connect() as client:
        client.send(get("/leave/first") + get("/leave/second"))
        recorder.visit("/leave/first")
        client.close()
    assert_cut(gateway, recorder, "/leave/first")
    with gateway.connect() as other:
        other.get("/leave/probe")
    assert recorder.visits_to("/leave/second") == []


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_while_the_upstream_is_connected_to(begin: Begin, how: str) -> None:
    with black_hole() as port:
        daemon = begin(everything_to(port, connect_timeout="5m"))
        with daemon.connect() as client:
            client.send(get("/connecting"))
            until(lambda: in_flight(daemon.status()) > 0, "the request is under way")
            leave(client, how)
            daemon.wait_until_empty()


def test_many_clients_that_leave_leave_nothing_behind(gateway: Daemon, recorder: Recorder) -> None:
    recorder.on("/leave/many", wait)
    for _ in range(5):
        clients = [gateway.connect() for _ in range(20)]
        for client in clients:
            client.send(get("/leave/many"))
        for number, client in enumerate(clients):
            leave(client, LEAVING[number % 2])
    gateway.wait_until_idle()


def test_an_old_client_cannot_take_half_an_answer_for_whole(client: Client, recorder: Recorder) -> None:
    """Only the end of the connection tells HTTP/1.0 where a body ends: a broken one must end by a reset."""

    def half(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        visit.close()

    recorder.on("/half/old", half)
    client.send(request("GET", "/half/old", version="1.0"))
    assert client.cut().was_reset


def test_half_an_answer_is_never_followed_by_a_second_status(client: Client, recorder: Recorder) -> None:
    def half(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        visit.close()

    recorder.on("/half/counted", half)
    client.send(get("/half/counted"))
    assert client.cut().seen.count(b"HTTP/1.1") == 1


def test_half_an_answer_is_logged_with_its_reason(gateway: Daemon, recorder: Recorder) -> None:
    def half(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        visit.close()

    recorder.on("/half/logged", half)
    with gateway.connect() as client:
        client.send(get("/half/logged"))
        client.cut()
    record = gateway.record(path="/half/logged")
    assert (record["status"], record["reason"]) == (200, "truncated")


def test_bytes_on_an_idle_upstream_connection_are_nobodys_answer(
    client: Client, gateway: Daemon, recorder: Recorder
) -> None:
    def then_more(visit: Visit) -> None:
        visit.answer(200, b"mine")
        assert go_on.wait(PATIENCE)
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")

    go_on = threading.Event()
    recorder.on("/unasked", then_more)
    assert client.get("/unasked").body == b"mine"
    go_on.set()
    happens(recorder.visit("/unasked").link.ended, "the connection that spoke unasked is closed")
    with gateway.connect() as other:
        assert other.get("/unasked/next").value("X-Target") == "/unasked/next"
    assert client.get("/unasked/own").value("X-Target") == "/unasked/own"
