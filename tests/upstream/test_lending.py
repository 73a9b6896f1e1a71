from __future__ import annotations

import math
import socket
from collections.abc import Iterator

import pytest

from tests.net.loop import Loop, a_loop, receive_all, reset
from tests.upstream.conversation import HEAD, OK, Waiting, Wire
from tests.upstream.network import upstream_config
from twistedgate.fakes.clock import Clock
from twistedgate.net.transport import queued
from twistedgate.testing import exchange
from twistedgate.upstream.lending import StaleConnection, Terms, has_written
from twistedgate.upstream.pool import Pool
from twistedgate.upstream.target import Target
from twistedgate.wire.codec import HeadLimits


class Foreign:
    """A transport that does not tell how much is queued."""


class Layer:
    """A transport above another, as TLS is."""

    def __init__(self, transport: object) -> None:
        self.transport = transport


def wire(room: float, *writes: bytes) -> Wire:
    """A transport that was written to."""
    transport = Wire(room)
    for piece in writes:
        transport.write(piece)
    return transport


@pytest.mark.parametrize(
    ("room", "earlier", "is_written"),
    [
        (math.inf, b"", True),
        (3, b"", True),
        (1, b"", True),
        (0, b"", False),
        (0, b"of another", False),
        (5, b"of another", False),
        (10, b"of another", False),
        (11, b"of another", True),
    ],
)
def test_knows_whether_a_byte_of_a_request_has_left(room: float, earlier: bytes, is_written: bool) -> None:
    transport = wire(room, *([earlier] if earlier else []), b"request")
    assert has_written(transport, len(b"request")) is is_written
    assert has_written(Layer(transport), len(b"request")) is is_written


def test_where_nobody_knows_it_may_have() -> None:
    assert has_written(Foreign(), 7)
    assert has_written(wire(0, b"request"), 0)


def test_trailers_are_bounded_as_heads_are() -> None:
    terms = Terms(HeadLimits(max_head=1000, max_headers=20), 1.0, 2.0, Clock())
    assert terms.max_trailers == (1000, 20)


# with real sockets


class Place:
    """A target that is a plain socket, and one connection to it that was used once."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        config = upstream_config(f"127.0.0.1:{port}")
        self.pool = Pool(config, loop.reactor, loop.reactor.seconds, lambda target: None)
        connecting = Waiting(self.pool.connect(Target(config.targets[0], "127.0.0.1")))
        self.loop.until(lambda: connecting.is_done)
        self.connection = connecting.response
        self.socket, _ = self._listening.accept()
        first = self.ask("GET")
        receive_all(self.socket, len(HEAD))  # what is unread would turn a close into a reset
        self.socket.sendall(OK)
        self.loop.until(lambda: first.is_done)
        assert self.pool.idle_count == 1

    def ask(self, method: str, body: bytes = b"") -> Waiting:
        """Send a request."""
        return Waiting(self.connection.begin(exchange(method, body=body), HEAD, self.pool.now()))

    def failure(self, waiting: Waiting) -> tuple[bool, bool]:
        """Wait for it; whether the connection was stale, and a byte may have been written."""
        self.loop.until(lambda: waiting.is_done)
        return isinstance(waiting.error, StaleConnection), waiting.error.wrote

    def close(self) -> None:
        """Close everything."""
        self.pool.abort()
        self.loop.until(lambda: not self.pool.open_count)
        self.socket.close()
        self._listening.close()


@pytest.fixture
def place() -> Iterator[Place]:
    with a_loop() as loop:
        made = Place(loop)
        yield made
        made.close()


def test_a_socket_that_was_reset_takes_not_a_byte(place: Place) -> None:
    reset(place.socket)
    assert place.failure(place.ask("POST", b"once")) == (True, False)


def test_one_whose_peer_has_closed_takes_them_all(place: Place) -> None:
    place.socket.close()
    assert place.failure(place.ask("POST", b"once")) == (True, True)


def test_one_that_takes_a_part_has_written(place: Place) -> None:
    waiting = place.ask("POST", bytes(64 << 20))
    assert queued(place.connection.transport) > 0
    reset(place.socket)
    assert place.failure(waiting) == (True, True)
