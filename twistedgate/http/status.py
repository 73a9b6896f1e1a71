"""Status codes and their phrases (RFC 9110 section 15), and the status lines made of them."""

from __future__ import annotations

from http import HTTPStatus

PHRASES: dict[int, bytes] = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
PHRASES[413] = b"Content Too Large"
PHRASES[422] = b"Unprocessable Content"

_MAX_LINES = 512
_MAX_PHRASE = 64
"""Status lines remembered, and the longest phrase of one: upstreams may write what they like."""

_lines: dict[tuple[int, bytes], bytes] = {}


def status_line(status: int, phrase: bytes = b"") -> bytes:
    """Return ``HTTP/1.1 STATUS PHRASE`` with its CRLF; an upstream's own phrase is kept."""
    line = _lines.get((status, phrase))
    if line is None:
        line = b"HTTP/1.1 %d %b\r\n" % (status, phrase or PHRASES.get(status, b""))
        if len(_lines) < _MAX_LINES and len(phrase) <= _MAX_PHRASE:
            _lines[status, phrase] = line
    return line
