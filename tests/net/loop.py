"""A reactor of the gateway's own kind, turned by hand beside the one that pytest runs, with real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedgate.net.reactor import LeanEPollReactor

PATIENCE = 2000
"""Turns of the reactor, most of them of no time at all, after which something will never happen."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Recorder(Protocol):
    """Writes down everything that happens to its connection."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.events: list[str] = []
        self.reason: type[BaseException] | None = None
        self.on_piece: Callable[[bytes], object] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        return self.reason is not None

    def dataReceived(self, piece: bytes) -> None:
        """Take bytes."""
        self.received += piece
        if self.on_piece is not None:
            self.on_piece(piece)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        assert reason.type is not None
        self.reason = reason.type
        self.events.append("lost")

    def readConnectionLost(self) -> None:
        """The peer will send no more."""
        self.events.append("peer is done")

    def writeConnectionLost(self) -> None:
        """Our half-close went out."""
        self.events.append("we are done")

    def pauseProducing(self) -> None:
        """Too much is queued."""
        self.events.append("pause")

    def resumeProducing(self) -> None:
        """The queue is empty."""
        self.events.append("resume")

    def stopProducing(self) -> None:
        """The connection is closing."""
        self.events.append("stop")


class Loop:
    """A ``LeanEPollReactor`` that turns when it is told to."""

    def __init__(self) -> None:
        self.reactor = LeanEPollReactor()
        self.accepted: list[Recorder] = []
        self.ports: list[Any] = []
        self._sockets: list[socket.socket] = []

    def turn(self, times: int = 3) -> None:
        """Do what there is to do."""
        for _ in range(times):
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0)

    def until(self, happened: Callable[[], object]) -> None:
        """Turn until something has happened."""
        for number in range(PATIENCE):
            if happened():
                return
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.0 if number < 10 else 0.005)
        raise AssertionError("it never happened")

    def factory(self) -> Factory:
        """Return what makes a ``Recorder`` of each connection that is accepted."""
        return Factory.forProtocol(self._make)

    def _make(self) -> Recorder:
        self.accepted.append(Recorder())
        return self.accepted[-1]

    def listen(self) -> int:
        """Listen on a port of the system's choice, and return it."""
        port = self.reactor.listenTCP(0, self.factory(), 1024, "127.0.0.1")
        self.ports.append(port)
        number: int = port.getHost().port
        return number

    def connect(self, port: int) -> socket.socket:
        """Return a plain socket that is connected to ``port``."""
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._sockets.append(client)
        return client

    def pair(self) -> tuple[Recorder, socket.socket]:
        """Return an accepted connection, and the socket at its other end."""
        count = len(self.accepted)
        client = self.connect(self.listen())
        self.until(lambda: len(self.accepted) > count)
        return self.accepted[count], client

    def close(self) -> None:
        """Close everything."""
        for client in self._sockets:
            client.close()
        for port in self.ports:
            port.stopListening()
        for recorder in self.accepted:
            if recorder.transport is not None and not recorder.is_lost:
                recorder.transport.abortConnection()
        self.turn()
        for selectable in self.reactor.removeAll():
            selectable.connectionLost(connectionDone)
        if self.reactor.waker is not None:
            self.reactor.waker.connectionLost(connectionDone)
        self.reactor._poller.close()


@contextmanager
def a_loop() -> Iterator[Loop]:
    """Give a loop, and close it."""
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()


def receive_all(client: socket.socket, size: int) -> bytes:
    """Return exactly ``size`` bytes."""
    pieces = b""
    while len(pieces) < size:
        piece = client.recv(size - len(pieces))
        assert piece, "the end came too early"
        pieces += piece
    return pieces


def reset(client: socket.socket) -> None:
    """Close with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()
