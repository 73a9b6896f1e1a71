"""The web server behind ``serve = admin``: twisted.web with bounds that it does not have by itself.

A head must be complete within ``header_timeout``, whatever trickles in; a connection that is idle longer
than ``idle_timeout`` is closed; there are 256 at most.  The body of a request is never kept.  Nothing tells
which software answers, and no access log is written.  This module does not know what is answered.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from twistedgate.admin.answers import refuse
from twistedgate.admin.guard import Guard, check_origin
from twistedgate.admin.job_documents import Discretion
from twistedgate.admin.resources import METHODS as READING
from twistedgate.admin.resources import OperatorResource, RefusedResource
from twistedgate.admin.view import AdminOperations, AdminView
from twistedgate.config.model import GatewayConfig, ListenerConfig
from twistedgate.errors import Refusal

MOST_CONNECTIONS = 256
"""Open at once: an operator, a monitor and an orchestrator need a few."""

LONGEST_BODY = 64 * 1024
"""Bytes of a request's body that are read and thrown away; past it the connection is cut."""

MOST_HEADERS = 100

_log = Logger()


def admin_factory(
    view: AdminView,
    operations: AdminOperations,
    listener: ListenerConfig,
    gateway: GatewayConfig,
    reactor: IReactorTime | None = None,
) -> AdminSite:
    """Return what serves the operator's resources on ``listener``, by the global clock if none is given."""
    discretion = Discretion(gateway.redact_query, view.credential_names)
    resource = OperatorResource(view, operations, discretion)
    return AdminSite(resource, Guard(gateway.admin_token), listener, reactor)


class AdminRequest(Request):
    """A request whose body nobody wants."""

    _unwanted = 0

    def gotLength(self, length: int | None) -> None:
        """Make no file for the body."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Throw a piece of the body away."""
        self._unwanted += len(data)
        if self._unwanted > LONGEST_BODY:
            channel: Any = self.channel
            channel.cut()

    def process(self) -> None:
        """Answer."""
        if self.path == b"*":
            # Or twisted.web answers by itself, before anybody was asked who may.
            self.path = b"/*"
        super().process()

    def render(self, resrc: IResource) -> None:
        """Answer with ``resrc``."""
        self.responseHeaders.removeHeader(b"server")
        super().render(resrc)

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer although the gateway failed; what went wrong is for the log only."""
        _log.failure("the admin listener failed at {path}", reason, path=self.path)
        self.responseHeaders.removeHeader(b"server")
        if not self.startedWriting:
            self.write(refuse(self, Refusal(500, "internal")))
            self.finish()
        return reason


class AdminChannel(HTTPChannel):
    """A connection whose next head has a deadline."""

    maxHeaders = MOST_HEADERS
    requestFactory = AdminRequest
    factory: AdminSite
    _deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Count the time of the first head from now."""
        self.factory.open_count += 1
        self._expect_head()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Count the time of a further head from its first byte."""
        self._expect_head()
        super().dataReceived(data)

    def allContentReceived(self) -> None:
        """The request is complete."""
        self._stop_deadline()
        super().allContentReceived()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.factory.open_count -= 1
        self._stop_deadline()
        super().connectionLost(reason)

    def cut(self) -> None:
        """End the connection at once."""
        transport: Any = self.transport
        transport.abortConnection()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.factory.reactor.callLater(self.factory.header_timeout, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        self.cut()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class AdminSite(Site):
    """Serves requests that the guard lets through."""

    # Not the one that may turn to HTTP/2.
    protocol = AdminChannel  # type: ignore[assignment]
    requestFactory = AdminRequest
    noisy = False

    def __init__(
        self, resource: IResource, guard: Guard, listener: ListenerConfig, reactor: IReactorTime | None
    ) -> None:
        super().__init__(
            resource, timeout=listener.idle_timeout, parsePOSTFormSubmission=False, reactor=reactor
        )
        self._guard = guard
        self.header_timeout = listener.header_timeout
        self.open_count = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Accept a connection, unless there are too many."""
        return super().buildProtocol(addr) if self.open_count < MOST_CONNECTIONS else None

    def getResourceFor(self, request: Request) -> IResource:
        """Return what answers the request, or refuses it."""
        headers = request.requestHeaders
        try:
            self._guard.check(
                headers.getRawHeaders(b"host", []),
                getattr(request.getHost(), "host", None),
                headers.getRawHeaders(b"authorization", []),
            )
            if request.method not in READING:
                check_origin(headers.hasHeader, headers.getRawHeaders(b"content-type", []))
        except Refusal as refusal:
            return RefusedResource(refusal)
        found: IResource = super().getResourceFor(request)
        return found

    def startFactory(self) -> None:
        """Open no log and keep no time for one."""

    def stopFactory(self) -> None:
        """Close nothing."""

    def log(self, request: Any) -> None:
        """Write nothing: the access log is that of the proxy."""

    def acceptableProtocols(self) -> list[bytes]:
        """Speak HTTP/1.1 only."""
        return [b"http/1.1"]
