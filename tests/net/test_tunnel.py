"""Bytes both ways, back-pressure both ways, half-closes both ways, and one end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.net.loop import Loop, Recorder, a_loop, receive_all
from twistedgate.net.tunnel import Tunnel


class Wire(StringTransport):
    """A transport that remembers what was asked of it, and of which nothing is asked after its end."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.watches_leaving = True

    def write(self, piece: bytes) -> None:
        assert "loseWriteConnection" not in self.asked
        super().write(piece)

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def loseWriteConnection(self) -> None:
        self.asked.append("loseWriteConnection")

    def unregisterProducer(self) -> None:
        self.asked.append("unregisterProducer")

    def loseConnection(self) -> None:
        self.asked.append("loseConnection")


class End:
    """One side of a tunnel."""

    def __init__(self, transport: Any = None) -> None:
        self.transport = Wire() if transport is None else transport
        self.joined: list[Tunnel] = []

    def join(self, tunnel: Tunnel) -> None:
        self.joined.append(tunnel)


class Joined:
    """A tunnel that is open, and both its ends."""

    def __init__(self, client: End | None = None, upstream: End | None = None) -> None:
        self.client = client or End()
        self.upstream = upstream or End()
        self.tunnel = Tunnel(self.client, self.upstream, 5.0)
        self.ends = 0
        self.tunnel.open(b"101\r\n\r\n", b"early", b"waiting", self._ended)

    def _ended(self) -> None:
        self.ends += 1

    @property
    def sides(self) -> tuple[End, End]:
        return self.client, self.upstream


CLOSED = ["unregisterProducer", "loseConnection"]
HALF_CLOSED = ["unregisterProducer", "loseWriteConnection"]


def test_what_was_said_already_is_passed_on_first() -> None:
    joined = Joined()
    assert joined.client.transport.value() == b"101\r\n\r\nearly"
    assert joined.upstream.transport.value() == b"waiting"
    assert joined.upstream.joined == [joined.tunnel]
    assert (joined.tunnel.bytes_up, joined.tunnel.bytes_down) == (7, 5)


def test_nobody_who_pauses_is_taken_for_gone() -> None:
    joined = Joined()
    assert not joined.client.transport.watches_leaving
    assert not joined.upstream.transport.watches_leaving


def test_bytes_pass_both_ways_and_are_counted() -> None:
    joined = Joined()
    joined.tunnel.receive(joined.client, b"up", 6.0)
    assert joined.tunnel.last_byte == 6.0
    joined.tunnel.receive(joined.upstream, b"down", 7.0)
    assert joined.upstream.transport.value() == b"waitingup"
    assert joined.client.transport.value() == b"101\r\n\r\nearlydown"
    assert (joined.tunnel.bytes_up, joined.tunnel.bytes_down, joined.tunnel.last_byte) == (9, 9, 7.0)


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_takes_no_more_pauses_the_other(side: int) -> None:
    joined = Joined()
    slow, other = joined.sides[side], joined.sides[1 - side]
    joined.tunnel.pause(slow)
    assert (slow.transport.asked, other.transport.asked) == ([], ["pause"])
    joined.tunnel.resume(slow)
    assert (slow.transport.asked, other.transport.asked) == ([], ["pause", "resume"])


@pytest.mark.parametrize("side", [0, 1])
def test_a_half_close_is_passed_on_and_the_other_way_stays_open(side: int) -> None:
    joined = Joined()
    done, other = joined.sides[side], joined.sides[1 - side]
    joined.tunnel.half_closed(done)
    joined.tunnel.half_closed(done)
    assert (done.transport.asked, other.transport.asked) == ([], HALF_CLOSED)
    before = done.transport.value()
    joined.tunnel.receive(other, b"more", 6.0)
    assert done.transport.value() == before + b"more"
    assert joined.ends == 0


@pytest.mark.parametrize("side", [0, 1])
def test_two_half_closes_are_the_end(side: int) -> None:
    joined = Joined()
    first, second = joined.sides[side], joined.sides[1 - side]
    joined.tunnel.half_closed(first)
    joined.tunnel.half_closed(second)
    assert first.transport.asked == CLOSED
    assert second.transport.asked == [*HALF_CLOSED, *CLOSED]
    assert joined.ends == 1


@pytest.mark.parametrize("side", [0, 1])
def test_who_has_said_everything_is_neither_paused_nor_resumed(side: int) -> None:
    joined = Joined()
    done, other = joined.sides[side], joined.sides[1 - side]
    joined.tunnel.half_closed(done)
    joined.tunnel.pause(other)
    joined.tunnel.resume(other)
    assert done.transport.asked == []


@pytest.mark.parametrize("side", [0, 1])
def test_tls_has_no_half_close_so_the_end_of_one_side_is_the_end_of_both(side: int) -> None:
    plain_factory = Factory.forProtocol(Protocol)
    layer = TLSMemoryBIOFactory(CertificateOptions(), False, plain_factory, Clock()).buildProtocol(None)
    lower = Wire()
    layer.makeConnection(lower)
    secure, plain = End(layer), End()
    joined = Joined(*((plain, secure) if side == 0 else (secure, plain)))
    joined.tunnel.half_closed(plain)
    assert plain.transport.asked == CLOSED
    assert "loseWriteConnection" not in lower.asked
    assert joined.ends == 1


def test_the_end_comes_once() -> None:
    joined = Joined()
    for _ in range(3):
        joined.tunnel.close()
    for end in joined.sides:
        assert end.transport.asked == CLOSED
        joined.tunnel.half_closed(end)
        joined.tunnel.pause(end)
        joined.tunnel.resume(end)
        joined.tunnel.receive(end, b"late", 9.0)
    assert joined.upstream.transport.value() == b"waiting"
    assert (joined.ends, joined.tunnel.last_byte) == (1, 5.0)
    assert [end.transport.asked for end in joined.sides] == [CLOSED, CLOSED]


def test_a_transport_that_is_gone_needs_no_closing() -> None:
    joined = Joined()
    joined.client.transport = None
    joined.tunnel.close()
    assert (joined.upstream.transport.asked, joined.ends) == (CLOSED, 1)


# On real sockets


class Side(Recorder):
    """One side of a tunnel on a real socket."""

    def __init__(self) -> None:
        super().__init__()
        self.tunnel: Tunnel | None = None

    def join(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.transport.registerProducer(self, True)
        self.on_piece = lambda piece: tunnel.receive(self, piece, 0.0)

    def readConnectionLost(self) -> None:
        assert self.tunnel is not None
        self.tunnel.half_closed(self)

    def pauseProducing(self) -> None:
        super().pauseProducing()
        assert self.tunnel is not None
        self.tunnel.pause(self)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        assert self.tunnel is not None
        self.tunnel.resume(self)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        super().connectionLost(reason)
        if self.tunnel is not None:
            self.tunnel.close()


class Sides:
    """Two plain sockets with a tunnel between them."""

    def __init__(self, loop: Loop) -> None:
        self.sockets = []
        self.sides = []
        for _ in range(2):
            recorder, client = loop.pair()
            side = Side()
            side.transport = recorder.transport
            recorder.transport.protocol = side
            recorder.reason = ConnectionError
            self.sockets.append(client)
            self.sides.append(side)
        self.ends = 0
        client_side, upstream_side = self.sides
        self.tunnel = Tunnel(client_side, upstream_side, 0.0)
        client_side.join(self.tunnel)
        self.tunnel.open(b"", b"", b"", self._ended)

    def _ended(self) -> None:
        self.ends += 1


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


MUCH = b"m" * (8 << 20)


@pytest.mark.parametrize("side", [0, 1])
def test_after_a_half_close_the_answer_still_comes(loop: Loop, side: int) -> None:
    sides = Sides(loop)
    asking, answering = sides.sockets[side], sides.sockets[1 - side]
    asking.send(b"question")
    asking.shutdown(socket.SHUT_WR)
    loop.until(lambda: "we are done" in sides.sides[1 - side].events)
    assert receive_all(answering, 8) == b"question"
    assert answering.recv(1) == b""
    answering.send(b"answer")
    answering.close()
    loop.until(lambda: sides.ends)
    loop.until(lambda: all(end.is_lost for end in sides.sides))
    assert receive_all(asking, 6) == b"answer"
    assert asking.recv(1) == b""


@pytest.mark.parametrize("side", [0, 1])
def test_who_leaves_while_the_other_is_slow_has_said_everything_nonetheless(loop: Loop, side: int) -> None:
    sides = Sides(loop)
    fast, slow = sides.sockets[side], sides.sockets[1 - side]
    fast.setblocking(False)
    sent = 0

    def is_stuck() -> bool:
        nonlocal sent
        try:
            sent += fast.send(MUCH)
        except BlockingIOError:
            return sides.sides[1 - side].events[-1:] == ["pause"]
        return False

    loop.until(is_stuck)
    fast.shutdown(socket.SHUT_WR)
    loop.turn(10)
    assert sides.ends == 0
    slow.setblocking(False)
    received = bytearray()

    def is_all_here() -> bool:
        try:
            piece = slow.recv(1 << 20)
        except BlockingIOError:
            return False
        received.extend(piece)
        return not piece

    loop.until(is_all_here)
    assert len(received) == sent
    assert sides.ends == 0
    slow.send(b"thanks")
    slow.shutdown(socket.SHUT_WR)
    loop.until(lambda: sides.ends)
    fast.settimeout(10)
    loop.until(lambda: all(end.is_lost for end in sides.sides))
    assert receive_all(fast, 6) == b"thanks"


def test_a_connection_that_is_lost_takes_the_other_with_it_once_all_is_sent(loop: Loop) -> None:
    sides = Sides(loop)
    client, upstream = sides.sockets
    sides.tunnel.receive(sides.sides[1], MUCH, 0.0)
    sides.sides[1].transport.abortConnection()
    loop.until(lambda: sides.ends)
    client.setblocking(False)
    received = 0

    def is_all_here() -> bool:
        nonlocal received
        try:
            received += len(client.recv(1 << 20))
        except BlockingIOError:
            return False
        return received == len(MUCH)

    loop.until(is_all_here)
    loop.until(lambda: sides.sides[0].is_lost)
    with pytest.raises(ConnectionResetError):
        upstream.recv(1)
