"""One health check over HTTP: a GET by treq, on a connection of its own, to the target's address.

Nothing of the target's answer but its status is believed: no redirect is followed, no cookie kept, nothing
decoded, and no more than 64 KiB of it read (the head may be as long again).  Nothing is tried twice: a
check that fails has failed.  This module does not know when checks are made, nor what they mean.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from twistedgate.upstream.prober import HealthCheck

LONGEST_BODY = 64 * 1024
"""Bytes of a body after which the answer is taken for complete."""

LONGEST_ANSWER = 4 * LONGEST_BODY
"""Bytes of an answer, head and framing included, after which the connection is cut."""

CLOSING_SECONDS = 2.0
"""Seconds after which a connection that was closed, but did not end, is cut."""

USER_AGENT = "twistedgate-health"


class HTTPProbe:
    """Makes checks."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __call__(self, check: HealthCheck) -> Deferred[int]:
        """Return the status of the target's answer."""
        return Deferred.fromCoroutine(self._get(check))

    async def _get(self, check: HealthCheck) -> int:
        address = f"[{check.address}]" if ":" in check.address else check.address
        pool = HTTPConnectionPool(self._reactor, persistent=False)
        pool.retryAutomatically = False
        agent = Agent.usingEndpointFactory(self._reactor, _ToTarget(self._reactor, check), pool)
        # A client for each check: treq's keeps the cookies that it is given.
        response = await HTTPClient(_Undecoded(agent)).get(
            f"{check.scheme}://{address}:{check.port}{check.path}",
            headers=Headers({"Host": [check.host], "User-Agent": [USER_AGENT], "Accept": ["*/*"]}),
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        body = _Discarded()
        response.deliverBody(body)
        await body.ended
        return int(response.code)


@implementer(IAgentEndpointFactory)
class _ToTarget:
    """Connects to the checked address, whatever the URI says."""

    def __init__(self, reactor: Any, check: HealthCheck) -> None:
        self._reactor = reactor
        self._check = check

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint of the target."""
        check = self._check
        kind = TCP6ClientEndpoint if ":" in check.address else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, check.address, check.port, check.timeout)
        if check.tls is not None:
            endpoint = wrapClientTLS(check.tls, endpoint)
        return _BoundedEndpoint(endpoint, self._reactor)


@implementer(IStreamClientEndpoint)
class _BoundedEndpoint:
    """Makes connections with bounds that the client of twisted.web does not have."""

    def __init__(self, endpoint: IStreamClientEndpoint, reactor: IReactorTime) -> None:
        self._endpoint = endpoint
        self._reactor = reactor

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Return the protocol of ``protocolFactory``, once connected."""
        # Or each check would be two lines in the log.
        quiet: Any = protocolFactory
        quiet.noisy = False
        factory = _BoundedFactory(protocolFactory, self._reactor)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda bounded: bounded.wrappedProtocol)


class _Bounded(ProtocolWrapper):
    """Passes ``LONGEST_ANSWER`` bytes on, and does not wait long for the other side to close TLS."""

    def __init__(self, factory: _BoundedFactory, wrappedProtocol: IProtocol) -> None:
        super().__init__(factory, wrappedProtocol)
        self._reactor = factory.reactor
        self._left = LONGEST_ANSWER
        self._cutting: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """Count what comes."""
        self._left -= len(data)
        if self._left < 0:
            self._cut()
        else:
            super().dataReceived(data)

    def loseConnection(self) -> None:
        """Close, in order if the other side helps."""
        super().loseConnection()
        if self._cutting is None:
            self._cutting = self._reactor.callLater(CLOSING_SECONDS, self._cut)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed."""
        if self._cutting is not None and self._cutting.active():
            self._cutting.cancel()
        super().connectionLost(reason)

    def _cut(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


class _BoundedFactory(WrappingFactory[_Bounded]):
    """Wraps what an agent's factory makes."""

    noisy = False
    protocol = _Bounded

    def __init__(self, wrapped: IProtocolFactory, reactor: IReactorTime) -> None:
        super().__init__(wrapped)
        self.reactor = reactor


@implementer(IAgent)
class _Undecoded:
    """Neither offers an encoding nor tells of one: what is thrown away need not be unpacked first."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send the request."""
        kept = Headers() if headers is None else headers.copy()
        kept.removeHeader(b"accept-encoding")
        asking: Deferred[IResponse] = self._agent.request(method, uri, kept, bodyProducer)
        return asking.addCallback(_without_encoding)


def _without_encoding(response: IResponse) -> IResponse:
    response.headers.removeHeader(b"content-encoding")
    return response


class _Discarded(Protocol):
    """Reads a body to its end, or to the bound, and keeps nothing."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred(lambda _: self._hang_up())
        self._left = LONGEST_BODY

    def dataReceived(self, data: bytes) -> None:
        """Count what comes; enough is as good as the end."""
        self._left -= len(data)
        if self._left < 0 and not self.ended.called:
            self._hang_up()
            self.ended.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body ends, whole or not."""
        if self.ended.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.ended.callback(None)
        else:
            self.ended.errback(reason)

    def _hang_up(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()
