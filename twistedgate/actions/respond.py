"""``respond = STATUS "text"``: the gateway's own short answer."""

from __future__ import annotations

from twistedgate.config.model import RouteConfig
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.runtime import Runtime


class Respond:
    """Answers with a status and a text, and reads nothing of the request's body."""

    def __init__(self, route: RouteConfig, runtime: Runtime) -> None:
        if route.respond is None:
            raise ValueError(f"route {route.name} has nothing to respond with")
        self._status = route.respond.status
        self._text = route.respond.text.encode("utf-8")

    async def answer(self, exchange: Exchange) -> Response:
        """Return the response."""
        if not self._text:
            return Response(self._status)
        headers = Headers.of(
            (b"Content-Type", b"text/plain; charset=utf-8"), (b"X-Content-Type-Options", b"nosniff")
        )
        return Response(self._status, headers, self._text)

    def finish(self, exchange: Exchange) -> None:
        """Nothing was taken."""
