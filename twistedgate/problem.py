"""Refusals as problem documents (RFC 9457): what a client reads when the gateway itself answers.

Nothing of the request and nothing of an exception's text is repeated in one; ``reason`` is the machine word
that the access log has too, and the request id joins the two.
"""

from __future__ import annotations

import json

from twistedgate.errors import TITLES, Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.http.status import PHRASES

RETRY_AFTER: tuple[tuple[bytes, bytes], ...] = ((b"Retry-After", b"1"),)
"""With every 503: the client may come again (RFC 9110 section 10.2.3)."""


def refuse(status: int, reason: str, *, fields: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    """Return a refusal; its body is written by ``complete`` once the exchange is known."""
    response = Response(status, Headers.of(*fields), reason=reason)
    if status == 503 and not response.headers.has(b"retry-after"):
        response.headers.add(*RETRY_AFTER[0])
    return response


def from_refusal(refusal: Refusal) -> Response:
    """Return the answer to a request that was refused by raising."""
    response = refuse(refusal.status, refusal.reason, fields=refusal.fields)
    response.closes = refusal.closes
    return response


def from_failure(failure: UpstreamFailure) -> Response:
    """Return the answer when the upstream gave none."""
    return refuse(failure.status, failure.reason)


def complete(response: Response, exchange: Exchange) -> None:
    """Write the problem document of a refusal that has no body of its own."""
    if not response.reason or response.body != b"":
        return
    document = {
        "type": "about:blank",
        "title": TITLES.get(response.reason, PHRASES.get(response.status, b"").decode("ascii")),
        "status": response.status,
        "reason": response.reason,
        "request_id": exchange.request_id,
    }
    response.body = json.dumps(document).encode("ascii") + b"\n"
    response.length = len(response.body)
    response.headers.set(b"Content-Type", b"application/problem+json")
    response.headers.set(b"Cache-Control", b"no-store")
    response.headers.set(b"X-Content-Type-Options", b"nosniff")
