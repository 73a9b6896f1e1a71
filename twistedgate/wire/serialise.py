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
    # sums: a format costs twice as much
    if length >= 0:
        return line + lines + b"Content-Length: %d\r\n" % length + extra + b"\r\n"
    if length == CHUNKED:
        return line + lines + b"Transfer-Encoding: chunked\r\n" + extra + b"\r\n"
    return line + lines + extra + b"\r\n" if extra else line + lines + b"\r\n"


def chunk(piece: bytes) -> bytes:
    """Return one chunk (RFC 9112 section 7.1); ``piece`` is not empty."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def last_chunk(trailers: Headers | None) -> bytes:
    """Return the end of a chunked body."""
    if trailers is None:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % trailers.lines
