"""Bodies of any size pass piece by piece, and nobody's slowness costs the gateway memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.end_to_end.conftest import Begin
from tests.end_to_end.harness.client import Client, request
from tests.end_to_end.harness.configuration import everything_to, section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.process import resident
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.stall import HELD, Stall, kernel_buffers, pattern
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import PATIENCE, happens
from tests.end_to_end.test_upgrade import SWITCH, handshake

MIB = 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_each_event_of_a_stream_arrives_before_the_next_is_sent(client: Client, recorder: Recorder) -> None:
    """Server-sent events: nothing may wait for more."""
    turn = threading.Semaphore(0)

    def events(visit: Visit) -> None:
        visit.send(CHUNKED)
        for number in range(10):
            assert turn.acquire(timeout=PATIENCE)
            visit.send(chunk(b"data: %d\n\n" % number))
        visit.send(b"0\r\n\r\n")

    recorder.on("/events", events)
    client.send(request("GET", "/events"))
    assert client.reader.head().status == 200
    for number in range(10):
        turn.release()
        assert client.reader.take_until(b"\n\n\r\n").endswith(b"data: %d" % number)
    assert client.reader.take_until(b"\r\n\r\n") == b"0"


def test_each_piece_of_a_request_arrives_before_the_next_is_sent(client: Client, recorder: Recorder) -> None:
    arrived = threading.Semaphore(0)

    def count(visit: Visit) -> None:
        total = b""
        for piece in visit.pieces():
            total += piece
            arrived.release()
        visit.is_complete.set()
        visit.answer(200, total)

    recorder.on("/drip", count)
    client.send(request("POST", "/drip", "Content-Length: 10"))
    for number in range(10):
        client.send(b"%d" % number)
        assert arrived.acquire(timeout=PATIENCE)
    assert client.answer().body == b"0123456789"


def test_large_bodies_pass_both_ways_unchanged(client: Client) -> None:
    body = hashlib.sha256(b"seed").digest() * (3 * MIB // 32)
    counted = client.ask("POST", "/large", body=body)
    assert counted.body == body
    pieces = [body[at : at + 60000] for at in range(0, len(body), 60000)]
    client.send(request("POST", "/large", "Transfer-Encoding: chunked"), *map(chunk, pieces), b"0\r\n\r\n")
    assert client.answer().body == body


@contextmanager
def bounded(daemon: Daemon, stall: Stall) -> Iterator[None]:
    """Assert that while its other end did not read, little was taken from ``stall``."""
    servers = daemon.servers
    before = sum(map(resident, servers))
    happens(stall.has_stalled, "the sender is held up")
    taken, grown = stall.sent_before_stall, sum(map(resident, servers)) - before
    yield
    assert taken < stall.total, "everything was taken, though nobody read"
    assert taken <= HELD + kernel_buffers()
    assert grown < 16 * MIB, f"the gateway grew by {grown} bytes"


def test_a_client_that_does_not_read_holds_its_upstream_up(gateway: Daemon, recorder: Recorder) -> None:
    stall = Stall(64 * MIB)

    def flood(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % stall.total)
        stall.send(visit.link.socket)

    recorder.on("/flood", flood)
    with gateway.connect(receive_buffer=8192) as client:
        client.send(request("GET", "/flood"))
        with bounded(gateway, stall):
            body = client.answer().body
    assert body == pattern(stall.total)


def test_an_upstream_that_does_not_read_holds_its_client_up(begin: Begin, own_recorder: Recorder) -> None:
    stall = Stall(64 * MIB)
    go_on = threading.Event()

    def wait(visit: Visit) -> None:
        happens(go_on, "the upstream may read")
        visit.answer(200, hashlib.sha256(visit.read_body()).hexdigest().encode())

    own_recorder.on("/stalled", wait)
    daemon = begin(
        everything_to(own_recorder.port), section("route:large", path="/stalled", upstream="main", max_body=0)
    )
    with daemon.connect() as client:
        client.send(request("POST", "/stalled", f"Content-Length: {stall.total}"))
        sending = threading.Thread(target=stall.send, args=[client.socket])
        sending.start()
        with bounded(daemon, stall):
            go_on.set()
            sending.join(PATIENCE)
        assert client.answer().body == hashlib.sha256(pattern(stall.total)).hexdigest().encode()


def test_a_tunnel_holds_its_upstream_up(gateway: Daemon, recorder: Recorder) -> None:
    stall = Stall(64 * MIB)

    def flood(visit: Visit) -> None:
        visit.send(SWITCH)
        stall.send(visit.link.socket)

    recorder.on("/ws/flood", flood)
    with gateway.connect(receive_buffer=8192) as client:
        client.send(handshake("/ws/flood"))
        assert client.answer().status == 101
        with bounded(gateway, stall):
            received = client.reader.take(stall.total)
    assert received == pattern(stall.total)


def test_an_answer_that_comes_before_the_body_was_read_reaches_the_client(
    gateway: Daemon, recorder: Recorder
) -> None:
    def early(visit: Visit) -> None:
        visit.answer(413, b"too much")
        visit.link.wait_for_end()

    recorder.on("/early", early)
    with gateway.connect() as client:
        client.send(request("POST", "/early", "Content-Length: 9000000"), b"the beginning")
        answer = client.answer()
        assert (answer.status, answer.body, answer.closes) == (413, b"too much", True)
        assert client.ends()
    happens(recorder.visit("/early").link.ended, "the upstream's connection is not used again")
    gateway.wait_until_idle()


def test_an_early_answer_reaches_a_client_that_goes_on_sending(gateway: Daemon, recorder: Recorder) -> None:
    answered = threading.Event()

    def early(visit: Visit) -> None:
        visit.answer(200, b"enough")
        answered.set()
        visit.link.wait_for_end()

    recorder.on("/early/eager", early)
    with gateway.connect() as client:
        client.send(request("POST", "/early/eager", "Content-Length: 60000"), b"the beginning")
        happens(answered, "the upstream has answered")
        client.send_while_open([b"x" * 1000] * 40)
        assert client.answer().body == b"enough"


def test_an_early_answer_goes_on_while_the_upload_does(client: Client, recorder: Recorder) -> None:
    """An upstream may begin its answer and still read: both directions run at once."""
    began = threading.Event()

    def both(visit: Visit) -> None:
        pieces = visit.pieces()
        visit.send(CHUNKED + chunk(next(pieces)))
        began.set()
        for piece in pieces:
            visit.send(chunk(piece))
        visit.is_complete.set()
        visit.send(b"0\r\n\r\n")

    recorder.on("/both", both)
    client.send(request("POST", "/both", "Content-Length: 10"), b"01234")
    assert client.reader.head().status == 200
    assert client.reader.take(10) == b"5\r\n01234\r\n"
    client.send(b"56789")
    assert client.reader.take(10) == b"5\r\n56789\r\n"
    assert client.reader.take_until(b"\r\n\r\n") == b"0"
