"""Bytes to the pieces of one body: counted, chunked, or until the connection ends.

Rules
- A reader takes exactly the bytes of its body; what follows is left in ``rest`` and never looked at.
- A body with a length is counted and not parsed.  A chunked one is read by llhttp, primed with a head of our
  own and fed only up to a place where the body may end, so that its end is always the end of a feed.
- What surrounds the data of chunks (sizes, extensions) and the trailers are bounded: they cost their sender
  more than they cost us (RFC 9112 sections 7.1.1 and 7.1.2).

This module knows neither sockets nor time.
"""

from __future__ import annotations

from typing import Any, Protocol

import httptools

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Field, Headers
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE
from twistedgate.wire.framing import RawField
from twistedgate.wire.names import FORBIDDEN_TRAILERS

_PRIMER = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

MAX_CHUNK_EXTENSIONS = 16 * 1024
"""Bytes of extensions in one body; nobody uses them but attackers (Envoy and nginx bound them alike)."""


class BodyReader(Protocol):
    """Turns bytes into the pieces of one body."""

    is_complete: bool

    @property
    def rest(self) -> bytes:
        """What came behind the body."""

    @property
    def trailers(self) -> Headers | None:
        """What came after the last chunk, without what may not stand there."""

    def receive(self, piece: bytes) -> bytes:
        """Return the body's bytes in ``piece`` (maybe none); raises ``BadMessage``."""


class LengthReader:
    """Counts a body of a known length."""

    __slots__ = ("is_complete", "remaining", "rest")

    trailers: Headers | None = None

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.is_complete = length == 0
        self.rest = b""

    def receive(self, piece: bytes) -> bytes:
        """Return what of ``piece`` belongs to the body."""
        remaining = self.remaining - len(piece)
        if remaining > 0:
            self.remaining = remaining
            return piece
        self.is_complete = True
        if remaining < 0:
            self.rest = piece[self.remaining :]
            piece = piece[: self.remaining]
        self.remaining = 0
        return piece


class UntilCloseReader:
    """A response body without an announced end (RFC 9112 section 6.3)."""

    __slots__ = ("is_complete",)

    trailers: Headers | None = None
    rest = b""

    def __init__(self) -> None:
        self.is_complete = False

    def receive(self, piece: bytes) -> bytes:
        """Everything belongs to the body."""
        return piece


class ChunkedReader:
    """Reads a chunked body (RFC 9112 section 7.1)."""

    __slots__ = (
        "_chunk",
        "_framing",
        "_is_primed",
        "_max_trailers",
        "_parser",
        "_pieces",
        "_status",
        "_tail",
        "_trailers",
        "is_complete",
        "rest",
    )

    def __init__(self, status: int, max_trailers: tuple[int, int]) -> None:
        """``status`` is that of a refusal (400 or 502); ``max_trailers`` the bytes and fields of trailers."""
        self._status = status
        self._max_trailers = max_trailers
        self._pieces: list[bytes] = []
        self._trailers: list[RawField] = []
        self._tail = b""
        self._framing = 0
        self._chunk = 0
        self.is_complete = False
        self.rest = b""
        self._is_primed = False
        self._parser: Any = httptools.HttpRequestParser(self)
        self._parser.feed_data(_PRIMER)
        self._is_primed = True

    @property
    def trailers(self) -> Headers | None:
        """The fields after the last chunk, those that may not stand there dropped."""
        fields: list[Field] = [
            (name.lower(), name, value.strip(b" \t"))
            for name, value in self._trailers
            if name.lower() not in FORBIDDEN_TRAILERS and b"_" not in name
        ]
        return Headers(fields) if fields else None

    def receive(self, piece: bytes) -> bytes:
        """Return the data of the chunks in ``piece``."""
        start = len(self._tail)
        text = self._tail + piece
        while start < len(text) and not self.is_complete:
            # the body ends with CRLF CRLF, whatever comes before: no feed may go past one
            end = text.find(b"\r\n\r\n", max(start - 3, 0)) + 4
            if end == 3:
                end = len(text)
            self._feed(text[start:end])
            start = end
        if self.is_complete:
            # the parser holds our methods: a cycle that nobody needs any more
            self._parser = None
        self.rest = text[start:]
        self._tail = text[-3:]
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _feed(self, piece: bytes) -> None:
        self._framing += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            self._parser = None
            raise BadMessage(self._status, self._reason, str(error)) from None
        if self._framing > MAX_CHUNK_EXTENSIONS + self._max_trailers[0]:
            raise BadMessage(self._status, self._reason, "too much around its chunks")

    @property
    def _reason(self) -> str:
        return "bad-body" if self._status == 400 else "bad-response"

    def on_body(self, piece: bytes) -> None:
        """Take data from the parser."""
        self._pieces.append(piece)
        self._chunk += len(piece)
        self._framing -= len(piece)

    def on_chunk_complete(self) -> None:
        """Count what stood around a chunk beyond its shortest form."""
        self._framing -= len(f"{self._chunk:x}") + 4
        self._chunk = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a trailer from the parser."""
        if not self._is_primed:
            return
        if self._status == 400 and name.lower() in FORBIDDEN_TRAILERS:
            raise ValueError("a field that may not stand behind a body")
        self._trailers.append((name, value))
        if len(self._trailers) > self._max_trailers[1]:
            raise ValueError("too many trailers")

    def on_message_complete(self) -> None:
        """The last chunk and the trailers are read."""
        self.is_complete = True


def make_reader(length: int, status: int, max_trailers: tuple[int, int]) -> BodyReader:
    """Return the reader for a body of ``length`` (a number, ``CHUNKED`` or ``UNTIL_CLOSE``)."""
    if length == CHUNKED:
        return ChunkedReader(status, max_trailers)
    if length == UNTIL_CLOSE:
        return UntilCloseReader()
    return LengthReader(length)
