"""How the operator's resources answer: JSON, problem documents (RFC 9457), and heads that nothing stores.

This module does not know what is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from twisted.web.server import Request

from twistedgate.errors import TITLES, Refusal
from twistedgate.http.status import PHRASES


def refuse(request: Request, refusal: Refusal, more: Mapping[str, object] | None = None) -> bytes:
    """Answer with a problem document (RFC 9457); the refusal's detail and ``more`` are for the operator."""
    for name, value in refusal.fields:
        request.setHeader(name, value)
    document = {
        "type": "about:blank",
        "title": TITLES[refusal.reason],
        "status": refusal.status,
        "reason": refusal.reason,
    }
    if refusal.detail:
        document["detail"] = refusal.detail
    return answer(request, refusal.status, {**document, **(more or {})}, b"application/problem+json")


def answer(
    request: Request, status: int, document: Mapping[str, Any], kind: bytes = b"application/json"
) -> bytes:
    """Set the head of an answer and return its body, which is empty for HEAD."""
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    set_head(request, status, kind, len(body))
    return b"" if request.method == b"HEAD" else body


def set_head(request: Request, status: int, kind: bytes, length: int) -> None:
    """Set the head of an answer whose body, of that type and length, may be left out for HEAD."""
    request.setResponseCode(status, PHRASES.get(status, b""))
    request.setHeader(b"Content-Type", kind)
    request.setHeader(b"Content-Length", b"%d" % length)
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
