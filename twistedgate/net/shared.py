"""Listening on a socket that somebody else opened, and that others may listen on too.

Whoever stops here only closes its own descriptor: the socket is not shut down, the path of a unix socket is
not taken away, its mode is not changed, and the queue of connections stays with the others.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix
from twisted.python.failure import Failure


class SharedUNIXPort(unix.Port):
    """A unix socket that belongs to somebody else."""

    _shouldShutdown = False
    room: Callable[[], int] = staticmethod(lambda: 1)
    """How many connections may be accepted in this turn."""

    def startListening(self) -> None:
        """Accept connections."""
        tcp._reservedFD.reserve()  # noqa: SLF001 -- as the inherited one does
        port: Any = self
        port.factory.doStart()
        port.socket, port._preexistingSocket = port._preexistingSocket, None  # noqa: SLF001 -- our own
        port.connected = True
        port.fileno = port.socket.fileno
        port.startReading()

    def doRead(self) -> None:
        """Accept a batch: of Twisted's own hundred the others would have none."""
        self.numberAccepts = max(self.room(), 1)
        super().doRead()

    def connectionLost(self, reason: Failure) -> None:
        """Close the descriptor, and leave the path to whom it belongs."""
        tcp.Port.connectionLost(self, reason)


def adopt(reactor: Any, opened: socket.socket, factory: Any) -> Any:
    """Listen on a copy of ``opened``, which stays open; return the listening port."""
    if opened.family != socket.AF_UNIX:
        return reactor.adoptStreamPort(opened.fileno(), opened.family, factory)
    port = SharedUNIXPort._fromListeningDescriptor(  # noqa: SLF001 -- as the reactor does
        reactor, opened.fileno(), factory
    )
    port.startListening()
    return port
