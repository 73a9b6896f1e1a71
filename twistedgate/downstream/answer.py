"""The head of an answer: how its body is framed for this client, and what the gateway itself says in it."""

from __future__ import annotations

from twistedgate.exchange import Exchange
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE, Request, Response
from twistedgate.http.status import status_line
from twistedgate.wire import serialise

_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"

_BODILESS = frozenset((204, 304))


def frame(request: Request | None, response: Response) -> int:
    """Return the framing of the answer, as ``serialise.head`` takes it (RFC 9112 section 6).

    A body that is here is as long as it is, whatever a policy left in ``length``.
    """
    if response.status in _BODILESS or response.tunnel is not None:
        return serialise.NO_FRAMING
    body = response.body
    if isinstance(body, bytes) and (body or request is None or request.method != "HEAD"):
        return len(body)
    if response.length in (CHUNKED, UNTIL_CLOSE):
        return serialise.NO_FRAMING if request is None or request.is_http10 else CHUNKED
    return response.length


def ends_by_close(request: Request, response: Response) -> bool:
    """Whether only the end of the connection tells an HTTP/1.0 client where the body ends."""
    return response.length in (CHUNKED, UNTIL_CLOSE) and request.is_http10 and request.method != "HEAD"


def write_head(exchange: Exchange, response: Response, length: int, keeps_alive: bool, date: bytes) -> bytes:
    """Return the head; ``date`` is used where the answer has none (RFC 9110 section 6.6.1)."""
    headers = response.headers
    extra = b"X-Request-Id: %b\r\n" % exchange.request_id.encode("ascii")
    if headers.get(b"date") is None:
        extra += b"Date: %b\r\n" % date
    if response.tunnel is not None:
        extra += _UPGRADE
    elif not keeps_alive:
        extra += _CLOSE
    elif exchange.request.is_http10:
        extra += _KEEP_ALIVE
    return serialise.head(status_line(response.status, response.phrase), headers, length, extra)


def write_interim(response: Response) -> bytes:
    """Return the head of an interim response (RFC 9110 section 15.2)."""
    line = status_line(response.status, response.phrase)
    return serialise.head(line, response.headers, serialise.NO_FRAMING)
