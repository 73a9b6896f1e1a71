"""The operator's resources: ``/live``, ``/ready``, ``/status``; JSON, for GET and HEAD.

A path is compared as it was sent: there is one spelling of each.  This module does not know who may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from twisted.web.resource import Resource
from twisted.web.server import Request

from twistedgate.admin.view import AdminView
from twistedgate.errors import TITLES, Refusal
from twistedgate.http.status import PHRASES

METHODS = (b"GET", b"HEAD")

Page = Callable[[], tuple[int, Mapping[str, object]]]


class OperatorResource(Resource):
    """Everything under the admin listener's root."""

    isLeaf = True

    def __init__(self, view: AdminView) -> None:
        super().__init__()
        self._view = view
        self._pages: dict[bytes, Page] = {
            b"/live": self._live,
            b"/ready": self._ready,
            b"/status": self._status,
        }

    def render(self, request: Request) -> bytes:
        """Answer a request."""
        page = self._pages.get(request.path)
        if page is None:
            return refuse(request, Refusal(404, "no-route"))
        if request.method not in METHODS:
            allow = (b"Allow", b", ".join(METHODS))
            return refuse(request, Refusal(405, "method-not-allowed", fields=(allow,)))
        status, document = page()
        return answer(request, status, document)

    def _live(self) -> tuple[int, Mapping[str, object]]:
        return 200, {"live": True}

    def _ready(self) -> tuple[int, Mapping[str, object]]:
        reasons = ["the gateway is shutting down"] if self._view.is_draining else []
        reasons += self._view.unready_reasons()
        return 503 if reasons else 200, {"ready": not reasons, "reasons": reasons}

    def _status(self) -> tuple[int, Mapping[str, object]]:
        return 200, self._view.status()


class RefusedResource(Resource):
    """Answers every request with one refusal."""

    isLeaf = True

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self._refusal = refusal

    def render(self, request: Request) -> bytes:
        """Answer with the refusal."""
        return refuse(request, self._refusal)


def refuse(request: Request, refusal: Refusal) -> bytes:
    """Answer with a problem document (RFC 9457)."""
    for name, value in refusal.fields:
        request.setHeader(name, value)
    document = {
        "type": "about:blank",
        "title": TITLES[refusal.reason],
        "status": refusal.status,
        "reason": refusal.reason,
    }
    return answer(request, refusal.status, document, b"application/problem+json")


def answer(
    request: Request, status: int, document: Mapping[str, Any], kind: bytes = b"application/json"
) -> bytes:
    """Set the head of an answer and return its body, which is empty for HEAD."""
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    request.setResponseCode(status, PHRASES.get(status, b""))
    request.setHeader(b"Content-Type", kind)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return b"" if request.method == b"HEAD" else body
