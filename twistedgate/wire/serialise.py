"""HTTP messages to bytes: each head written anew, with exactly one framing.

Fields come checked (``http.headers.field`` or the codec), so that writing cannot split a line
(RFC 9110 section 5.5).  This module decides nothing: what stands in a head was decided by its callers.
"""

from __future__ import annotations

from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED

NO_FRAMING = -3
"""A ``length`` for a head that is followed by no body and says nothing of one."""

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def head(line: bytes, headers: Headers, length: int, extra: bytes = b"") -> bytes:
    """Return a head: its first line, the fields, the framing of a body of ``length``, and ``extra`` lines.

    ``length`` is 0 or more for Content-Length, ``CHUNKED``, or anything else for no framing at all.
    """
    lines = headers.known_lines
    if lines is None:
        lines = headers.lines
    if length >= 0:
        return b"%b%bContent-Length: %d\r\n%b\r\n" % (line, lines, length, extra)
    if length == CHUNKED:
        return b"%b%bTransfer-Encoding: chunked\r\n%b\r\n" % (line, lines, extra)
    return b"%b%b%b\r\n" % (line, lines, extra)


def chunk(piece: bytes) -> bytes:
    """Return one chunk (RFC 9112 section 7.1); ``piece`` is not empty."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def last_chunk(trailers: Headers | None) -> bytes:
    """Return the end of a chunked body."""
    if trailers is None:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % trailers.lines
