"""``upstream = NAME``: send the request to a target and bring its answer back.

Retries (RFC 9110 section 9.2.2)
- Only while nothing of an answer has been seen, and never to the same target while another is up.
- A connection that could not be made: any method.  A connection that broke after the request began:
  idempotent methods only.  A time that ran out: never.
- Only while the body can be sent again from its first byte, and while the upstream's budget lasts.
"""

from __future__ import annotations

from twistedgate.config.model import RouteConfig
from twistedgate.errors import Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.message import Request, Response
from twistedgate.routing.routes import upstream_path
from twistedgate.runtime import Runtime, TargetPort
from twistedgate.wire import serialise
from twistedgate.wire.framing import IDEMPOTENT

_RETRIED = frozenset(("connect-failed", "reset"))
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_EXPECT = b"Expect: 100-continue\r\n"
_TRAILERS = b"Connection: TE\r\nTE: trailers\r\n"


class Proxy:
    """Sends requests to the targets of one upstream."""

    def __init__(self, route: RouteConfig, runtime: Runtime) -> None:
        self._upstream = runtime.upstreams[route.upstream]
        self._now = runtime.now
        self._retries = self._upstream.config.retries
        self._route = route
        self._moves = bool(route.strip_prefix or route.add_prefix)
        host = self._upstream.config.host_header
        self._host = host.encode("ascii") if host not in ("preserve", "target") else b""
        self._keeps_host = host == "preserve"

    async def answer(self, exchange: Exchange) -> Response:
        """Return the answer of the first target that gives one."""
        upstream = self._upstream
        exchange.upstream = upstream.name
        if not upstream.enter(exchange.started):
            raise Refusal(503, "too-many")
        exchange.holds_upstream = True
        tried: list[TargetPort] = []
        while True:
            target = upstream.pick(exchange, tried)
            if target is None:
                raise UpstreamFailure(503, "no-target")
            exchange.holds_target = target
            exchange.target = target.name
            exchange.attempts += 1
            try:
                return await upstream.send(target, exchange, self._head(exchange.request, target))
            except UpstreamFailure as failure:
                if not self._may_retry(exchange, failure):
                    raise
            tried.append(target)
            exchange.holds_target = None
            upstream.release(target, exchange)

    def _may_retry(self, exchange: Exchange, failure: UpstreamFailure) -> bool:
        request = exchange.request
        if exchange.is_run or exchange.attempts > self._retries or failure.reason not in _RETRIED:
            return False
        if failure.wrote and request.method not in IDEMPOTENT:
            return False
        if not isinstance(request.body, bytes) and not request.body.can_replay:
            return False
        return self._upstream.may_retry(self._now())

    def finish(self, exchange: Exchange) -> None:
        """Count the exchange out of its target and its upstream."""
        target = exchange.holds_target
        if target is not None:
            exchange.holds_target = None
            self._upstream.release(target, exchange)
        if exchange.holds_upstream:
            exchange.holds_upstream = False
            self._upstream.leave()

    def _head(self, request: Request, target: TargetPort) -> bytes:
        """Write the head anew, as ``target`` is to see it."""
        asked = request.target
        path = upstream_path(self._route, asked.path) if self._moves else asked.path
        line = f"{request.method} {path}{asked.query} HTTP/1.1\r\n".encode()
        extra = b""
        if request.upgrade is not None:
            extra = _UPGRADE
        else:
            if request.expects_continue:
                extra = _EXPECT
            if request.accepts_trailers:
                extra += _TRAILERS
        headers = request.headers
        if not self._keeps_host or not asked.authority:
            host = self._host or target.authority
            rest = [field for field in headers if field[0] != b"host"]
            headers = Headers(((b"host", b"Host", host), *rest))
        length = request.length
        if length == 0 and request.method in _BODILESS:
            length = serialise.NO_FRAMING
        return serialise.head(line, headers, length, extra)


_BODILESS = frozenset(("GET", "HEAD", "OPTIONS", "DELETE", "TRACE"))
"""Methods whose request without a body has no Content-Length (RFC 9110 section 8.6)."""
