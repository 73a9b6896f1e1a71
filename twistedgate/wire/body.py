"""Bytes to the pieces of one body: counted, chunked, or until the connection ends.

Rules
- A reader takes exactly the bytes of its body; what follows is left in ``rest`` and never looked at.
- A body with a length is counted and not parsed.  A chunked one is read by llhttp, primed with a head of our
  own and fed only up to its end, which ``chunks`` finds; where the two do not agree, the body is refused.
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
from twistedgate.wire.chunks import ChunkScan
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

    def skip(self, size: int) -> None:
        """Count bytes that somebody else has moved, no more than ``remaining``."""
        self.remaining -= size
        self.is_complete = self.remaining == 0


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
        "_is_primed",
        "_max_trailers",
        "_parser",
        "_pieces",
        "_scan",
        "_status",
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
        self._scan = ChunkScan()
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
        try:
            end = self._scan.find_end(piece)
        except ValueError as error:
            # the parser's own words, if it has any, say better what is wrong
            self._feed(piece)
            raise self._refusal(str(error)) from None
        self._feed(piece if end < 0 else piece[:end])
        if self.is_complete != (end >= 0):
            raise self._refusal("its chunks are not what they seem")
        if self.is_complete:
            # the parser holds our methods: a cycle that nobody needs any more
            self._parser = None
            self.rest = piece[end:]
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _feed(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            self._parser = None
            raise self._refusal(str(error)) from None
        if self._scan.extensions > MAX_CHUNK_EXTENSIONS:
            raise self._refusal("its extensions are too long")
        if self._scan.trailers > self._max_trailers[0]:
            raise self._refusal("its trailers are too long")

    def _refusal(self, detail: str) -> BadMessage:
        return BadMessage(self._status, self._reason, detail)

    @property
    def _reason(self) -> str:
        return "bad-body" if self._status == 400 else "bad-response"

    def on_body(self, piece: bytes) -> None:
        """Take data from the parser."""
        self._pieces.append(piece)

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
