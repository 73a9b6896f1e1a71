"""A client's connection without a socket: a line in memory, the listener's side of it, what a client does."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.python.failure import Failure

from twistedgate.config.model import Endpoint, ListenerConfig
from twistedgate.downstream.connection import Connection
from twistedgate.downstream.hosting import Serving
from twistedgate.exchange import Exchange
from twistedgate.fakes.upstream import FakeUpstream, Scripted
from twistedgate.http.hops import Forwarder, Peer
from twistedgate.http.message import Response
from twistedgate.net.task import Signal
from twistedgate.policy import Policy
from twistedgate.runtime import Runtime
from twistedgate.testing import MemoryGateway, gateway
from twistedgate.wire.codec import HeadLimits

ENDPOINT = Endpoint("tcp:8080", "tcp", 8080, "")
PEER = Peer("192.0.2.1", 8080, "http", is_trusted=False, listener="public")
DATE = b"Thu, 01 Jan 2026 00:00:00 GMT"

ROUTES = """
    [route:orders]
    path = /orders/*
    upstream = orders
    [route:small]
    path = /small
    upstream = orders
    max_body = 10
    [route:brief]
    path = /brief
    upstream = orders
    timeout = 5s
    [route:static]
    path = /static
    respond = 200 "static"
    [route:read]
    path = /read/*
    policies = reads:all
    respond = 200 "read"
    [reads:all]
    [route:waiting]
    path = /waiting
    policies = waits:all
    upstream = orders
    [waits:all]
"""


class Reads(Policy):
    """Wants the whole body, and does nothing with it."""

    needs_request_body = True

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str


class Waits(Policy):
    """Waits until the test lets the request go on."""

    open: ClassVar[Signal[None]]

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    def __init__(self, config: Config, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        Waits.open = Signal()

    def on_request(self, exchange: Exchange) -> Awaitable[Response | None]:
        """Wait."""
        return self._wait()

    async def _wait(self) -> Response | None:
        await Waits.open
        return None


class Line:
    """A TCP transport without a socket, with the queue, the producer and the half-close of Twisted's own.

    The client takes all that is written, or, with ``room``, so many bytes and then what ``take`` takes.
    """

    bufferSize = 64 * 1024

    def __init__(self, room: float = math.inf) -> None:
        self.protocol: Any = None
        self.received = b""
        """What the client has."""
        self.room = room
        self.written = 0
        self.most_queued = 0
        self.is_reading = True
        self.watches_leaving = True
        self.is_half_closed = False
        self.is_closed = False
        self.is_aborted = False
        self.disconnecting = False
        self.producer: Any = None
        self._is_half_closing = False
        self._is_producer_paused = False
        self._queue = b""

    @property
    def queued(self) -> int:
        """Bytes that the client has not taken yet."""
        return len(self._queue)

    @property
    def is_over(self) -> bool:
        """Whether the socket is closed, or will be in the next turn."""
        return self.is_closed or self.is_aborted

    def write(self, piece: bytes) -> None:
        """Send what the client takes, queue the rest."""
        assert isinstance(piece, bytes)
        if self.is_over or self.is_half_closed:
            return
        at_once = 0 if self._queue else int(min(self.room, len(piece)))
        self._give(piece[:at_once])
        if at_once < len(piece):
            self._queue += piece[at_once:]
            self.most_queued = max(self.most_queued, len(self._queue))
            if self.producer is not None and len(self._queue) > self.bufferSize:
                self._is_producer_paused = True
                self.producer.pauseProducing()

    def _give(self, piece: bytes) -> None:
        self.room -= len(piece)
        self.received += piece

    def take(self, size: float = math.inf) -> None:
        """Let the client take ``size`` bytes, or all there is and whatever comes."""
        self.room += size
        taken = self._queue[: int(min(self.room, len(self._queue)))]
        self._queue = self._queue[len(taken) :]
        self.written += len(taken)
        self._give(taken)
        if not self._queue and taken:
            self._emptied()

    def _emptied(self) -> None:
        if self.producer is not None and self._is_producer_paused:
            self._is_producer_paused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self.is_closed = True
        elif self._is_half_closing:
            self.is_half_closed = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take whom to pause."""
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Pause nobody."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read no more."""
        self.is_reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        if not self.is_over and not self.disconnecting:
            self.is_reading = True

    def loseWriteConnection(self) -> None:
        """Close the sending side after what is queued."""
        self._is_half_closing = True
        if not self._queue:
            self.is_half_closed = True

    def loseConnection(self) -> None:
        """Close after what is queued."""
        self.is_reading = False
        self.disconnecting = True
        if not self._queue:
            self.is_closed = True

    def abortConnection(self) -> None:
        """Close at once."""
        self.is_reading = False
        self.is_aborted = True


class House:
    """What a connection needs of a listener: the real line, fake upstreams, a clock that the test moves."""

    def __init__(self, *script: Scripted, routes: str = ROUTES, **options: Any) -> None:
        """``script`` is what the upstream does with each request; ``options`` are those of the listener."""
        self.made: MemoryGateway = gateway(routes, {"orders": FakeUpstream(*script)}, [Reads, Waits])
        self.clock = self.made.clock
        self.config = ListenerConfig("public", endpoint=ENDPOINT, **options)
        self.limits = HeadLimits(self.config.max_head, self.config.max_uri, self.config.max_headers)
        self.serving = Serving()
        self.serving.gateway = self.made.gateway
        self.serving.forwarder = Forwarder("house")
        self.is_draining = False
        self.gone: list[object] = []
        self.now: Callable[[], float] = self.clock
        self.make_request_id: Callable[[], str] = map("id-{}".format, itertools.count(1)).__next__
        self.date: Callable[[], bytes] = lambda: DATE

    @property
    def observed(self) -> list[Exchange]:
        """The exchanges that ended."""
        return self.made.observed

    @property
    def reasons(self) -> list[str]:
        """Why they ended as they did."""
        return [exchange.reason for exchange in self.observed]

    @property
    def orders(self) -> FakeUpstream:
        """The upstream of most routes."""
        return self.made.upstreams["orders"]

    @property
    def is_even(self) -> bool:
        """Whether all that was counted in was counted out."""
        return not self.orders.gate.under_way and not any(self.orders.in_flight.values())

    def closed(self, connection: object) -> None:
        """Remember who is gone."""
        self.gone.append(connection)


class Conversation:
    """One client of a house."""

    def __init__(self, house: House, room: float = math.inf, peer: Peer = PEER) -> None:
        self.house = house
        self.line = Line(room)
        self.connection = Connection(house, peer)
        self.line.protocol = self.connection
        self.connection.makeConnection(self.line)

    @property
    def received(self) -> bytes:
        """What the client has."""
        return self.line.received

    @property
    def statuses(self) -> list[int]:
        """The statuses of all answers; their bodies must not look like one."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ", self.received)]

    @property
    def is_open(self) -> bool:
        """Whether another request would be read."""
        return not self.line.is_over and not self.line.disconnecting and not self.line.is_half_closed

    def send(self, *pieces: bytes) -> None:
        """Send, each piece in a read of its own; nothing is read while the gateway does not read."""
        for piece in pieces:
            assert self.line.is_reading, "the gateway does not read"
            self.connection.dataReceived(piece)

    def finish_sending(self) -> None:
        """Close the client's sending side."""
        self.connection.readConnectionLost()
        self.settle()

    def leave(self) -> None:
        """Close the connection."""
        self.line.is_closed = True
        self.connection.connectionLost(Failure(ConnectionDone()))

    def settle(self) -> None:
        """Let the reactor's next turn tell the connection of its end."""
        if self.line.is_over and self.connection not in self.house.gone:
            why = ConnectionAborted() if self.line.is_aborted else ConnectionDone()
            self.connection.connectionLost(Failure(why))

    def wait(self, seconds: float) -> None:
        """Let time pass, and the sweep look."""
        self.house.clock.advance(seconds)
        self.connection.sweep(self.house.now())
        self.settle()


def get(path: str = "/orders/7", *fields: str, version: str = "1.1", method: str = "GET") -> bytes:
    """Return a request without a body."""
    lines = [f"{method} {path} HTTP/{version}", "Host: api.example.com", *fields, "", ""]
    return "\r\n".join(lines).encode("ascii")


def post(path: str = "/orders/7", *fields: str, length: int | None = None, body: bytes = b"") -> bytes:
    """Return a request with a body of ``length``, of which ``body`` is here."""
    size = len(body) if length is None else length
    return get(path, f"Content-Length: {size}", *fields, method="POST") + body


def post_chunked(path: str = "/orders/7", *fields: str) -> bytes:
    """Return the head of a request whose body comes in chunks."""
    return get(path, "Transfer-Encoding: chunked", *fields, method="POST")
