"""What can be understood of a request's head that was refused for its form; for the access log, and no more.

Rules
- Nothing is guessed and nothing repaired: a request line that is not one tells nothing; a path without a
  canonical form, a query that holds what it must not, two ``Host`` fields or one that is no host stay out.
- What is told has the same form as if the request had been accepted, so that it is escaped, redacted and
  read like every other.

This module does not know why the head was refused.
"""

from __future__ import annotations

import re

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Headers
from twistedgate.http.message import Request
from twistedgate.http.target import RequestTarget, parse_host, parse_target
from twistedgate.wire.framing import MAX_METHOD, REQUEST_LINE

_HOST_LINE = re.compile(rb"\r\nhost:[ \t]*([^\r\n]*)(?=\r\n)", re.IGNORECASE)


def glean(head: bytes, max_uri: int) -> Request | None:
    """Return what the bytes of a refused head say, ``None`` if not even the request line does.

    It has a method; path, query and host are empty where they could not be understood.  It has no fields,
    and must not be answered.
    """
    head, end, _ = head.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if end:
        head += b"\r\n"
    # a line without its end says nothing
    line = REQUEST_LINE.match(head)
    if line is None or len(line[1]) > MAX_METHOD:
        return None
    method = line[1].decode("ascii")
    target = _target(method, line[2]) if len(line[2]) <= max_uri else _NOTHING
    request = Request(method, _with_host(target, _HOST_LINE.findall(head)), Headers())
    request.is_http10 = line[3] == b"0"
    return request


_NOTHING = RequestTarget("", "", "", "", False)


def _target(method: str, raw: bytes) -> RequestTarget:
    """Return the target of a request line, without a query that is not valid."""
    for text in (raw, raw.partition(b"?")[0]):
        try:
            return parse_target(method, text, None, True)
        except BadMessage:
            continue
    return _NOTHING


def _with_host(target: RequestTarget, hosts: list[bytes]) -> RequestTarget:
    """Return the target with the one host that was named; that of an absolute target has the last word."""
    if target.host or len(hosts) != 1:
        return target
    try:
        host, authority = parse_host(hosts[0].rstrip(b" \t"))
    except BadMessage:
        return target
    return RequestTarget(target.path, target.query, host, authority, target.has_encoded_slash)
