"""One question to one address, asked by the client of twisted.web, with the bounds that it does not have.

The connection goes to the address that was chosen, whatever the URI says, and is used once; nothing is sent
twice and no redirect is followed.  So many bytes of an answer are taken, head and framing included, and then
the connection is cut; a connection that was closed and does not end is cut, too.  This module does not know
what is asked, nor what the answer means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from twistedgate.net.tls import ClientTLS

CLOSING_SECONDS = 2.0
"""Seconds after which a connection that was closed, but did not end, is cut."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question goes, and what its answer may cost."""

    address: str
    """Never a name."""
    port: int
    timeout: float
    """Seconds to connect, TLS not included."""
    longest: int
    """Bytes of an answer, as it is on the wire inside TLS."""
    tls: ClientTLS | None = None


def agent_to(reactor: Any, place: Place) -> Agent:
    """Return what asks one question there, on a connection of its own."""
    pool = HTTPConnectionPool(reactor, persistent=False)
    pool.retryAutomatically = False
    agent: Agent = Agent.usingEndpointFactory(reactor, _ToPlace(reactor, place), pool)
    return agent


@implementer(IAgentEndpointFactory)
class _ToPlace:
    """Connects to the place, whatever the URI says."""

    def __init__(self, reactor: Any, place: Place) -> None:
        self._reactor = reactor
        self._place = place

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint of the place."""
        place = self._place
        kind = TCP6ClientEndpoint if ":" in place.address else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, place.address, place.port, place.timeout)
        if place.tls is not None:
            endpoint = wrapClientTLS(place.tls, endpoint)
        return _BoundedEndpoint(endpoint, self._reactor, place.longest)


@implementer(IStreamClientEndpoint)
class _BoundedEndpoint:
    """Makes connections with bounds that the client of twisted.web does not have."""

    def __init__(self, endpoint: IStreamClientEndpoint, reactor: IReactorTime, longest: int) -> None:
        self._endpoint = endpoint
        self._reactor = reactor
        self._longest = longest

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Return the protocol of ``protocolFactory``, once connected."""
        # Or each question would be two lines in the log.
        quiet: Any = protocolFactory
        quiet.noisy = False
        factory = _BoundedFactory(protocolFactory, self._reactor, self._longest)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda bounded: bounded.wrappedProtocol)


class _Bounded(ProtocolWrapper):
    """Passes so many bytes on, and does not wait long for the other side to close TLS."""

    def __init__(self, factory: _BoundedFactory, wrappedProtocol: IProtocol) -> None:
        super().__init__(factory, wrappedProtocol)
        self._reactor = factory.reactor
        self._left = factory.longest
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

    def __init__(self, wrapped: IProtocolFactory, reactor: IReactorTime, longest: int) -> None:
        super().__init__(wrapped)
        self.reactor = reactor
        self.longest = longest


class Discarded(Protocol):
    """Reads a body to its end, or ``longest`` bytes of it, and keeps nothing."""

    def __init__(self, longest: int) -> None:
        self.ended: Deferred[None] = Deferred(lambda _: self._hang_up())
        self._left = longest

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
