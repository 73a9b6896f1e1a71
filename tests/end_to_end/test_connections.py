"""Connections of clients and of the gateway: kept, shared out, and ended when they must be."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start, reload
from tests.end_to_end.harness.client import Client, get, request
from tests.end_to_end.harness.configuration import route, section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.processes import is_stopped
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import free_port
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens, until


def test_serves_many_requests_on_one_connection(client: Client) -> None:
    targets = [client.get(f"/many/{number}").value("X-Target") for number in range(20)]
    assert targets == [f"/many/{number}" for number in range(20)]


def test_uses_one_upstream_connection_for_one_request_after_the_other(
    client: Client, recorder: Recorder
) -> None:
    for number in range(5):
        client.get(f"/reuse/{number}")
    links = {recorder.visit(f"/reuse/{number}").link for number in range(5)}
    assert len(links) == 1


def test_answers_pipelined_requests_in_order_and_one_at_a_time(gateway: Daemon, recorder: Recorder) -> None:
    go_on = threading.Event()

    def slow(visit: Visit) -> None:
        happens(go_on, "the slow request may be answered")
        visit.answer(200, b"slow")

    recorder.on("/pipeline/slow", slow)
    with gateway.connect() as client, gateway.connect() as other:
        client.send(get("/pipeline/slow") + get("/pipeline/fast") + get("/pipeline/last"))
        recorder.visit("/pipeline/slow")
        assert other.get("/pipeline/other").status == 200
        assert recorder.visits_to("/pipeline/fast") == []
        go_on.set()
        bodies = [client.answer().body for _ in range(3)]
    assert bodies == [b"slow", b"ok\n", b"ok\n"]
    assert [visit.path for visit in recorder.visits[-2:]] == ["/pipeline/fast", "/pipeline/last"]


def test_a_pipeline_of_many_requests_is_answered_whole(client: Client) -> None:
    client.send(b"".join(get(f"/deep/{number}") for number in range(200)))
    targets = [client.answer().value("X-Target") for _ in range(200)]
    assert targets == [f"/deep/{number}" for number in range(200)]


def test_a_request_that_is_half_here_behind_another_is_read_to_its_end(
    client: Client, recorder: Recorder
) -> None:
    go_on = threading.Event()

    def slow(visit: Visit) -> None:
        happens(go_on, "half of the next request is sent")
        visit.answer(200, b"slow")

    recorder.on("/half-behind", slow)
    whole = get("/behind")
    client.send(get("/half-behind"))
    recorder.visit("/half-behind")
    client.send(whole[:20])
    go_on.set()
    assert client.answer().body == b"slow"
    client.send(whole[20:])
    assert client.answer().value("X-Target") == "/behind"


def test_pipelined_bodies_stay_with_their_requests(client: Client) -> None:
    bodies = [b"a" * 5, b"b" * 70000, b"", b"d"]
    client.send(b"".join(request("POST", "/bodies", "X-A: 1", body=body) for body in bodies))
    assert [client.answer().body for _ in bodies] == [body or b"ok\n" for body in bodies]


def test_ends_the_connection_when_the_client_asks_for_it(client: Client) -> None:
    answer = client.get("/close", "Connection: close")
    assert answer.closes
    assert client.ends()


def test_nothing_is_answered_after_a_request_that_ends_the_connection(
    client: Client, gateway: Daemon, recorder: Recorder
) -> None:
    client.send(get("/last-one", "Connection: close") + get("/one-too-many"))
    assert client.answer().value("X-Target") == "/last-one"
    assert client.ends()
    with gateway.connect() as other:
        assert other.get("/after-the-last").status == 200
    assert recorder.visits_to("/one-too-many") == []


def test_ends_the_connection_of_an_old_client(client: Client) -> None:
    client.send(request("GET", "/old", version="1.0"))
    answer = client.answer()
    assert (answer.status, answer.body, answer.closes) == (200, b"ok\n", True)
    assert client.ends()


def test_keeps_the_connection_of_an_old_client_that_asks_for_it(client: Client) -> None:
    for _ in range(2):
        client.send(request("GET", "/old", "Connection: keep-alive", version="1.0"))
        answer = client.answer()
        assert answer.value("Connection") == "keep-alive"
        assert answer.value("Content-Length") == "3"


def test_an_old_client_gets_no_chunks(client: Client, recorder: Recorder) -> None:
    go_on = threading.Event()

    def in_chunks(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        happens(go_on, "the client has seen the first chunk")
        visit.send(b"3\r\ndef\r\n0\r\n\r\n")

    recorder.on("/old/chunks", in_chunks)
    client.send(request("GET", "/old/chunks", "Connection: keep-alive", version="1.0"))
    head = client.reader.head()
    assert (head.values("Transfer-Encoding"), head.closes) == ([], True)
    assert client.reader.take(3) == b"abc"
    go_on.set()
    assert client.reader.rest() == b"def"


def test_an_upstream_that_closes_is_connected_to_again(client: Client, recorder: Recorder) -> None:
    def once(visit: Visit) -> None:
        visit.answer(200, b"bye", "Connection: close")
        visit.close()

    recorder.on("/closing", once)
    assert [client.get("/closing").body for _ in range(3)] == [b"bye"] * 3
    assert len({visit.link for visit in recorder.visits_to("/closing")}) == 3


def test_many_clients_at_once_get_their_own_answers(gateway: Daemon) -> None:
    def ask(number: int) -> bool:
        with gateway.connect() as client:
            paths = [f"/at-once/{number}/{turn}" for turn in range(5)]
            return [client.get(path).value("X-Target") for path in paths] == paths

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(ask, range(60)))


def test_nagle_holds_no_answer_back(client: Client, recorder: Recorder) -> None:
    def in_pieces(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"abc", b"def")

    recorder.on("/pieces", in_pieces)
    assert [client.get("/pieces").body for _ in range(50)] == [b"abcdef"] * 50


# backlog: connections that the system makes before the gateway accepts them


@contextmanager
def stopped(daemon: Daemon) -> Iterator[None]:
    """Let the daemon do nothing for a while: what connects meanwhile waits in the queue."""
    everybody = daemon.everybody
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(map(is_stopped, everybody)), "it does nothing")
    try:
        yield
    finally:
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)


Address = str | tuple[str, int]


def assert_room_for(count: int, family: socket.AddressFamily, address: Address) -> None:
    """Connect a few times more than that, and see how often it is done."""
    with ExitStack() as open_sockets:
        tried = [open_sockets.enter_context(socket.socket(family)) for _ in range(count + 5)]
        for one in tried:
            one.setblocking(False)
            # made at once, under way, or (a unix socket) refused for now
            one.connect_ex(address)
        until(lambda: sum(map(is_made, tried)) >= count, "the queue is full")
        assert sum(map(is_made, tried)) == count


def is_made(one: socket.socket) -> bool:
    """Whether a socket is connected."""
    try:
        one.getpeername()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_no_more_connections_wait_than_the_backlog_says(kind: str, start: Start, tmp_path: Path) -> None:
    """The system takes one more than that; and a reload may change it."""
    path, port = str(tmp_path / "public.sock"), free_port()
    places: dict[str, tuple[str, socket.AddressFamily, Address]] = {
        "tcp": (f"tcp:{port}:interface=127.0.0.1", socket.AF_INET, ("127.0.0.1", port)),
        "unix": (f"unix:{path}", socket.AF_UNIX, path),
    }
    endpoint, family, address = places[kind]
    word = route("word", "*", respond='200 "x"')
    daemon = start(section("listener:public", endpoint=endpoint, backlog=3), word)
    for backlog in (3, 6):
        reload(daemon, section("listener:public", endpoint=endpoint, backlog=backlog), word)
        with stopped(daemon):
            assert_room_for(backlog + 1, family, address)
        daemon.wait_until_empty()
