"""A target's connection without a socket: a transport in memory, the pool, and somebody who waits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from twistedgate.config.model import TargetConfig
from twistedgate.exchange import Exchange
from twistedgate.fakes.clock import Clock
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.net.task import Task
from twistedgate.testing import exchange
from twistedgate.upstream.connection import UpstreamConnection
from twistedgate.upstream.lending import Terms
from twistedgate.upstream.target import Target
from twistedgate.wire.codec import HeadLimits

TERMS = {"response_timeout": 60.0, "read_timeout": 300.0}
HEAD = b"GET / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"


class Wire:
    """A TCP transport without a socket: its kernel takes ``room`` bytes, the rest is queued.

    With ``is_layered`` it speaks TLS, as far as its protocol can tell: how much is queued is not known.
    """

    bufferSize = 64 * 1024

    def __init__(self, room: float = math.inf, *, is_layered: bool = False) -> None:
        self.room = room
        self.sent = b""
        """What the kernel took."""
        self._is_reading = True
        self.is_closing = False
        self.is_aborted = False
        self.is_half_closed = False
        self.options: set[str] = set()
        self.producer: Any = None
        self._queue = b""
        self._is_producer_paused = False
        self._is_layered = is_layered

    @property
    def queued(self) -> int:
        """Bytes that wait for the kernel."""
        return 0 if self._is_layered else len(self._queue)

    @property
    def is_over(self) -> bool:
        """Whether the connection is closed, or will be in the next turn of the reactor."""
        return self.is_aborted or self.is_closing

    def reads(self) -> bool:
        """Whether what the target sends is read."""
        return self._is_reading

    def write(self, piece: bytes) -> None:
        """Send what the kernel takes, queue the rest."""
        if self.is_over:
            return
        at_once = 0 if self._queue else int(min(self.room, len(piece)))
        self.room -= at_once
        self.sent += piece[:at_once]
        self._queue += piece[at_once:]
        if self.producer is not None and len(self._queue) > self.bufferSize:
            self._is_producer_paused = True
            self.producer.pauseProducing()

    def take(self, size: float = math.inf) -> None:
        """Let the kernel take so many bytes more."""
        self.room += size
        taken = self._queue[: int(min(self.room, len(self._queue)))]
        self._queue = self._queue[len(taken) :]
        self.room -= len(taken)
        self.sent += taken
        if not self._queue and self._is_producer_paused:
            self._is_producer_paused = False
            if self.producer is not None:
                self.producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take whom to pause."""
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Pause nobody."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read no more."""
        self._is_reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        self._is_reading = not self.is_over

    def loseWriteConnection(self) -> None:
        """Close the sending side."""
        self.is_half_closed = True

    def loseConnection(self) -> None:
        """Close after what is queued."""
        self._is_reading = False
        self.is_closing = True

    def abortConnection(self) -> None:
        """Close at once; the reactor tells the protocol in its next turn."""
        self._is_reading = False
        self.is_aborted = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Remember it."""
        self.options.add("no-delay" if enabled else "delay")

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Remember it."""
        self.options.add("keep-alive" if enabled else "no-keep-alive")


class Desk:
    """The pool, as a connection sees it: what was given back, and what is not to be lent any more."""

    def __init__(self) -> None:
        self.idle: list[UpstreamConnection] = []
        self.forgotten: list[UpstreamConnection] = []
        self.gone: list[UpstreamConnection] = []

    def give_back(self, connection: UpstreamConnection, now: float) -> None:
        """Take an idle connection."""
        connection.idle_since = now
        self.idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Lend it no more."""
        self.forgotten.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """It is gone."""
        self.gone.append(connection)


class Sink:
    """Takes a body."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.trailers: Headers | None = None
        self._end = ""

    @classmethod
    def of(cls, response: Response) -> Sink:
        """Take the body of an answer."""
        sink = cls()
        if not isinstance(response.body, bytes):
            response.body.attach(sink)
        else:
            if response.body:
                sink.receive(response.body)
            sink.finish(None)
        return sink

    @property
    def body(self) -> bytes:
        """All that came."""
        return b"".join(self.pieces)

    def end(self) -> str:
        """``whole`` or ``cut``, nothing before it has come."""
        return self._end

    def receive(self, piece: bytes) -> None:
        """Take a piece."""
        assert piece
        assert not self._end
        self.pieces.append(piece)

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete."""
        assert not self._end
        self._end = "whole"
        self.trailers = trailers

    def fail(self) -> None:
        """The body was cut short."""
        assert not self._end
        self._end = "cut"


class Waiting:
    """Somebody who waits for an answer, as the line does."""

    def __init__(self, answer: Awaitable[Any], told: Deferred[None] | None = None) -> None:
        """``told`` is told when the wait is over."""
        self._told = told
        self.response: Any = None
        self.error: Any = None
        self.is_done = False
        self._task = Task(self._wait(answer), self._ended)
        self._task.step()

    async def _wait(self, answer: Awaitable[Any]) -> None:
        try:
            self.response = await answer
        except BaseException as error:  # noqa: BLE001 -- whatever the line would see
            # without the frames that it came through: they hold everything
            self.error = error.with_traceback(None)

    def _ended(self) -> None:
        self.is_done = True
        if self._told is not None:
            self._told.callback(None)

    def throw(self, error: BaseException) -> None:
        """Interrupt the wait, as a client does that leaves."""
        self._task.throw(error)

    @property
    def failure(self) -> tuple[int, str, bool]:
        """The status, the reason, and whether bytes may have reached the target."""
        assert self.error is not None
        return self.error.status, self.error.reason, self.error.wrote


class Talk:
    """A connection to a target, and the test at its other end."""

    def __init__(
        self, room: float = math.inf, *, scheme: str = "http", name: str = "192.0.2.1", **limits: Any
    ) -> None:
        self.clock = Clock()
        self.desk = Desk()
        self.target = Target(TargetConfig(scheme, name, 8080), name)
        terms = Terms(HeadLimits(max_headers=200, **limits), now=self.clock, **TERMS)
        self.connection = UpstreamConnection(self.target, self.desk, terms)
        self.wire = Wire(room, is_layered=scheme == "https")
        self.connection.makeConnection(self.wire)
        if scheme == "https":
            self.connection.handshakeCompleted()

    def ask(self, asked: Exchange | None = None, head: bytes = HEAD) -> Waiting:
        """Send a request."""
        return Waiting(self.connection.begin(asked or exchange(), head, self.clock()))

    def answered(self, *pieces: bytes, method: str = "GET") -> Response:
        """Send a request, let these pieces come, and return the answer."""
        waiting = self.ask(exchange(method))
        self.say(*pieces)
        assert waiting.error is None, waiting.error
        assert isinstance(waiting.response, Response)
        return waiting.response

    def say(self, *pieces: bytes) -> None:
        """Let the target send."""
        for piece in pieces:
            self.connection.dataReceived(piece)

    def finish(self) -> None:
        """Let the target close its side."""
        self.connection.readConnectionLost()

    def lose(self, reason: type[Exception] = ConnectionLost) -> None:
        """Let the connection be lost, with a reset if nothing else is said."""
        self.connection.connectionLost(Failure(reason()))

    def turn(self) -> None:
        """Let the reactor tell what was asked for: an aborted connection is lost, a closed one ends."""
        if self.wire.is_aborted:
            self.lose(ConnectionAborted)
        elif self.wire.is_closing and not self.wire.queued:
            self.lose(ConnectionDone)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the pool look at the deadline."""
        self.clock.advance(seconds)
        if self.connection.deadline <= self.clock():
            self.connection.expire(self.clock())

    @property
    def is_lent_again(self) -> bool:
        """Whether the connection was given back, open and with nothing under way."""
        return self.desk.idle == [self.connection] and self.connection.is_open and not self.wire.is_over


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """Cut a text at these places."""
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges) if end > start]
