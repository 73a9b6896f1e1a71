"""The two bodies of an exchange as the client's side sees them: one that comes, one that goes.

What is held of a body is bounded: up to ``REPLAYED`` bytes of a request so that it can be sent again, one
read of an answer while the client takes no more.  A piece that comes is a piece that goes; nothing waits for
more.
"""

from __future__ import annotations

from typing import Any, Protocol

from twistedgate.errors import Refusal
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.message import BodySink, BodySource
from twistedgate.net.task import Signal
from twistedgate.net.transport import is_eager
from twistedgate.wire.body import BodyReader
from twistedgate.wire.serialise import chunk, last_chunk

REPLAYED = 64 * 1024
"""Bytes of a request's body that are held for a retry; reading pauses there while they could be needed."""


class Reading(Protocol):
    """What a body needs of the connection that it comes on."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Read again."""

    def body_wanted(self) -> None:
        """Somebody waits for the body: the client may be told to send it."""

    def body_ended(self, rest: bytes) -> None:
        """All of the body is here; ``rest`` came behind it."""


class IncomingBody:
    """A request's body: held until a sink takes it, and kept for a retry while it is small."""

    __slots__ = ("_connection", "_exchange", "_kept", "_limit", "_reader", "_sink", "_whole", "is_complete")

    def __init__(self, connection: Reading, exchange: Exchange, reader: BodyReader) -> None:
        self._connection = connection
        self._exchange = exchange
        self._reader = reader
        self._kept: list[bytes] | None = []
        self._limit = 0
        self._sink: BodySink | None = None
        self._whole: Signal[bytes] | None = None
        self.is_complete = False

    @property
    def can_replay(self) -> bool:
        """Whether all that has come is still held."""
        return self._kept is not None

    def receive(self, piece: bytes) -> None:
        """Take bytes from the connection; raises ``BadMessage`` or ``Refusal``."""
        data = self._reader.receive(piece)
        if self._reader.is_complete:
            # told first: whoever takes the last byte may answer at once
            self.is_complete = True
            self._connection.body_ended(self._reader.rest)
        if data:
            self._exchange.bytes_in += len(data)
            self._check_limit()
            self._keep(data)
            if self._sink is not None:
                self._sink.receive(data)
        if self.is_complete:
            self._complete()

    def _keep(self, data: bytes) -> None:
        if self._kept is None:
            return
        self._kept.append(data)
        if self._whole is None and self._exchange.bytes_in > REPLAYED:
            if self._sink is not None:
                self._kept = None
            else:
                self._connection.pause_reading()

    def _complete(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.finish(None)
        if self._whole is not None:
            self._whole.set(b"".join(self._kept or ()))

    def attach(self, sink: BodySink) -> None:
        """Deliver from the first byte on."""
        self._sink = None if self.is_complete else sink
        kept = self._kept or []
        if len(kept) > 1:
            kept = self._kept = [b"".join(kept)]
        if not self.is_complete:
            if self._exchange.bytes_in > REPLAYED:
                self._kept = None
            # first, as a sink that is full pauses it again
            self._connection.resume_reading()
        if kept:
            sink.receive(kept[0])
        if self.is_complete:
            sink.finish(None)

    def detach(self) -> None:
        """The sink takes no more."""
        self._sink = None

    def pause(self) -> None:
        """The sink is full."""
        if not self.is_complete:
            self._connection.pause_reading()

    def resume(self) -> None:
        """The sink takes more."""
        if not self.is_complete:
            self._connection.resume_reading()

    def abandon(self) -> None:
        """Nobody wants the rest."""
        self._sink = None
        self._kept = None

    def fail(self) -> None:
        """The rest will never come."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.fail()

    def bound(self, size: int) -> None:
        """Refuse more than ``size`` bytes."""
        self._limit = size
        if size and self._exchange.request.length > size:
            raise Refusal(413, "body-too-large", closes=True)
        self._check_limit()

    def _check_limit(self) -> None:
        if self._limit and self._exchange.bytes_in > self._limit:
            raise Refusal(413, "body-too-large", closes=True)

    async def read(self) -> bytes:
        """Return the whole body."""
        if self.is_complete:
            return b"".join(self._kept or ())
        self._whole = Signal()
        self._connection.body_wanted()
        self._connection.resume_reading()
        return await self._whole


class OutgoingBody:
    """An answer's body on its way to the client: the sink of whatever produces it."""

    __slots__ = ("_chunks", "_exchange", "_head", "_passes_trailers", "_source", "_transport", "ended")

    def __init__(
        self, transport: Any, exchange: Exchange, head: bytes, source: BodySource, *, chunks: bool
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._head = head
        self._source: BodySource | None = source
        self._chunks = chunks
        self._passes_trailers = exchange.request.accepts_trailers
        self.ended: Signal[bool] = Signal()

    def start(self) -> None:
        """Take the body; the head goes out with its first piece, or at once if there is none yet."""
        assert self._source is not None
        self._source.attach(self)
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)

    def receive(self, piece: bytes) -> None:
        """Send a piece."""
        self._exchange.bytes_out += len(piece)
        if self._chunks:
            piece = chunk(piece)
        head = self._head
        if head:
            self._head = b""
            piece = head + piece
        self._transport.write(piece)

    @property
    def outlet(self) -> Any:
        """Where pieces may go unseen: the transport, if it takes them as they are."""
        return None if self._chunks or self._head or not is_eager(self._transport) else self._transport

    def passed(self, size: int) -> None:
        """So many bytes went to the outlet."""
        self._exchange.bytes_out += size

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete."""
        # where it came from is somebody else's from now on
        self._source = None
        if self._chunks:
            end = last_chunk(trailers if self._passes_trailers else None)
            head, self._head = self._head, b""
            self._transport.write(head + end)
        self.ended.set(True)

    def fail(self) -> None:
        """The body was cut short."""
        self._source = None
        self.ended.set(False)

    def pause(self) -> None:
        """The client takes no more for now."""
        if self._source is not None:
            self._source.pause()

    def resume(self) -> None:
        """The client takes more."""
        if self._source is not None:
            self._source.resume()

    def abandon(self) -> None:
        """The client is gone."""
        if self._source is not None:
            self._source.abandon()
