"""``redirect = STATUS URL``: send the client elsewhere (RFC 9110 section 15.4)."""

from __future__ import annotations

from twistedgate.config.model import RouteConfig
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.runtime import Runtime


class Redirect:
    """Answers with a Location that the configuration gives."""

    def __init__(self, route: RouteConfig, runtime: Runtime) -> None:
        if route.redirect is None:
            raise ValueError(f"route {route.name} has nowhere to redirect to")
        self._status = route.redirect.status
        self._location = route.redirect.location.encode("ascii")

    async def answer(self, exchange: Exchange) -> Response:
        """Return the response."""
        return Response(self._status, Headers.of((b"Location", self._location)))

    def finish(self, exchange: Exchange) -> None:
        """Nothing was taken."""
