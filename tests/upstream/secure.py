"""Targets that speak TLS on real ports, and a pool that connects to them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from tests.certificates import Authority
from tests.upstream.conversation import OK, Waiting
from tests.upstream.network import upstream_config
from twistedgate.config.model import TargetConfig
from twistedgate.net.tls import ClientTLS, ServerTLS, client_settings
from twistedgate.net.transport import lowest
from twistedgate.upstream.pool import Pool
from twistedgate.upstream.target import Target


class Peer(Protocol):
    """A target that says what it is told to, once somebody speaks."""

    leaves = ""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Answer, and leave if told so: by TLS's own farewell, or without a word."""
        assert self.transport is not None
        if self._answer:
            self.transport.write(self._answer)
        if self.leaves == "politely":
            self.transport.loseConnection()
        elif self.leaves:
            lowest(self.transport).loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The gateway has left."""
        self.gone.callback(None)


class Host:
    """Targets on real ports, and a pool that connects to them by TLS."""

    def __init__(self, reactor: Any, authority: Authority) -> None:
        self.reactor = reactor
        self.authority = authority
        self.peers: list[Peer] = []
        self._port: Any = None
        self.pool: Any = None
        self.target: Any = None

    def listen(self, name: str, answer: bytes = OK, *, tls: bool = True, patience: float = 20.0) -> None:
        """Open a target that shows a certificate for ``name``, or nothing at all."""
        factory: Any = Factory.forProtocol(lambda: self._accept(answer))
        factory.noisy = False
        if tls:
            pair = self.authority.issue(name)
            factory = TLSMemoryBIOFactory(ServerTLS(pair.certificate, pair.key), False, factory)
            factory.noisy = False
        self._port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        configured = TargetConfig("https", "orders.test", self._port.getHost().port)
        creator = ClientTLS("orders.test", client_settings(self.authority.path, True))
        config = upstream_config(targets=(configured,), connect_timeout=patience)
        self.pool = Pool(config, self.reactor, self.reactor.seconds, lambda target: creator)
        self.target = Target(configured, "127.0.0.1")

    def _accept(self, answer: bytes) -> Peer:
        self.peers.append(Peer(answer or b""))
        return self.peers[-1]

    def close(self) -> Any:
        """Close the port and every connection."""
        self.pool.abort()
        return self._port.stopListening()


def waited(signal: Any) -> Deferred[Any]:
    """Return a Deferred for what a signal brings."""
    return Deferred.fromCoroutine(_wait(signal))


async def _wait(signal: Any) -> Any:
    told: Deferred[None] = Deferred()
    waiting = Waiting(signal, told)
    await told
    if waiting.error is not None:
        raise waiting.error
    return waiting.response
