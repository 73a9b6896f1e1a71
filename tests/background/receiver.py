"""Receivers of callbacks on real ports of this machine, with TLS or without."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from tests.certificates import Pair
from twistedgate.net.tls import ServerTLS

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Call(Protocol):
    """One connection: keeps what it hears, and answers when the request is there whole."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.heard = b""
        self.asked: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Hear some of it."""
        self.heard += data
        assert self.transport is not None
        if not self.asked.called and self._is_whole:
            self.transport.write(self._answer)
            self.asked.callback(None)

    @property
    def _is_whole(self) -> bool:
        is_headed = b"\r\n\r\n" in self.heard
        return is_headed and len(self.body) == int(self.fields["content-length"])

    @property
    def request(self) -> str:
        """The request line."""
        return self.heard.partition(b"\r\n")[0].decode()

    @property
    def fields(self) -> dict[str, str]:
        """The header fields, by name in lower case."""
        lines = self.heard.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        """What was posted."""
        return self.heard.partition(b"\r\n\r\n")[2]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The gateway has left."""
        self.gone.callback(None)


class Receiver:
    """Listens at 127.0.0.1."""

    def __init__(self, reactor: Any, answer: bytes = NO_CONTENT, pair: Pair | None = None) -> None:
        self._reactor = reactor
        self._answer = answer
        self.calls: list[Call] = []
        self.accepted: Deferred[None] = Deferred()
        factory: Any = Factory.forProtocol(self._accept)
        factory.noisy = False
        if pair is not None:
            factory = TLSMemoryBIOFactory(ServerTLS(pair.certificate, pair.key), False, factory)
            factory.noisy = False
        self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")

    def _accept(self) -> Call:
        self.calls.append(Call(self._answer))
        if not self.accepted.called:
            self.accepted.callback(None)
        return self.calls[-1]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._port.getHost().port)

    async def close(self) -> None:
        """Wait until both ends of every connection are closed, and listen no more."""
        for call in self.calls:
            await call.gone
        while any("_cut" in str(call) for call in self._reactor.getDelayedCalls()):
            await deferLater(self._reactor, 0)
        await self._port.stopListening()
