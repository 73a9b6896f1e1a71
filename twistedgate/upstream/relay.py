"""The two bodies of an exchange as the target's side sees them: one that goes, one that comes.

A piece that comes is a piece that goes.  What comes before somebody takes it is held, and reading pauses: one
read at the most.
"""

from __future__ import annotations

from typing import Any, Protocol

from twistedgate.http.headers import Headers
from twistedgate.http.message import BodySink, RequestBody
from twistedgate.wire.serialise import chunk, last_chunk


class Delivering(Protocol):
    """What a body needs of the connection that it comes on."""

    def attached(self) -> None:
        """Somebody takes the body now."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read again."""

    def abort(self) -> None:
        """Close at once."""


class Sending(Protocol):
    """What a request needs of the connection that it goes out on."""

    transport: Any

    def request_progressed(self) -> None:
        """The target took a piece."""

    def request_finished(self, is_whole: bool) -> None:
        """The body came to its end, or never will."""


class OutgoingRequest:
    """A request whose body is not all here yet: the sink of that body."""

    __slots__ = ("_body", "_chunks", "_connection", "_head")

    def __init__(self, connection: Sending, head: bytes, body: RequestBody, *, chunks: bool) -> None:
        self._connection = connection
        self._head = head
        self._body = body
        self._chunks = chunks

    def start(self) -> None:
        """Take the body; the head goes out with its first piece, or at once if there is none yet."""
        self._body.attach(self)
        head, self._head = self._head, b""
        if head:
            self._connection.transport.write(head)

    def receive(self, piece: bytes) -> None:
        """Send a piece of the body."""
        head, self._head = self._head, b""
        self._connection.request_progressed()
        self._connection.transport.write(head + (chunk(piece) if self._chunks else piece))

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete; a request's trailers are not passed on."""
        head, self._head = self._head, b""
        end = head + last_chunk(None) if self._chunks else head
        if end:
            self._connection.transport.write(end)
        self._connection.request_finished(True)

    def fail(self) -> None:
        """The body will never be complete."""
        self._connection.request_finished(False)

    def pause(self) -> None:
        """The target takes no more for now."""
        self._body.pause()

    def resume(self) -> None:
        """The target takes more."""
        self._body.resume()

    def leave(self) -> None:
        """Take no more of the body."""
        self._body.detach()


class IncomingAnswer:
    """The body of an answer, delivered to one sink.

    Once it has ended it has nothing to do with the connection any more, which may be somebody else's by then.
    """

    __slots__ = ("_connection", "_held", "_sink")

    def __init__(self, connection: Delivering, piece: bytes) -> None:
        self._connection: Delivering | None = connection
        self._held = piece
        self._sink: BodySink | None = None

    def attach(self, sink: BodySink) -> None:
        """Deliver what is held, then each piece as it arrives."""
        held, self._held = self._held, b""
        self._sink = sink
        if held:
            sink.receive(held)
        if self._connection is not None:
            self._connection.attached()

    def pause(self) -> None:
        """Stop reading from the target."""
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Read again."""
        if self._connection is not None:
            self._connection.resume()

    def abandon(self) -> None:
        """Cut the connection to the target."""
        connection, self._connection = self._connection, None
        self._sink = None
        if connection is not None:
            connection.abort()

    def deliver(self, piece: bytes) -> None:
        """Take a piece from the connection; one is held until a sink is there."""
        if self._sink is not None:
            self._sink.receive(piece)
        else:
            self._held += piece
            self.pause()

    @property
    def outlet(self) -> Any:
        """The transport that the sink would write each piece to, as it is; ``None`` if it looks at them."""
        return getattr(self._sink, "outlet", None)

    def passed(self, size: int) -> None:
        """So many bytes have gone out of the outlet; only of a sink that has one."""
        sink: Any = self._sink
        sink.passed(size)

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete."""
        sink, self._sink = self._sink, None
        self._connection = None
        if sink is not None:
            sink.finish(trailers)

    def fail(self) -> None:
        """The body was cut short; whoever attaches later is told then."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._connection = None
            sink.fail()

    @property
    def is_attached(self) -> bool:
        """Whether somebody takes the body."""
        return self._sink is not None
