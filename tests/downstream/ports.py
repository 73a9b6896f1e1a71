"""Addresses that are bound without a socket."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from tests.downstream.conversation import Line
from twistedgate.config.model import ListenerConfig
from twistedgate.config.notation import endpoint
from twistedgate.config.values import Surroundings


class Socket:
    """What is asked of a listening socket."""

    def __init__(self, backlog: int) -> None:
        self.backlog = backlog
        self.options: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Remember an option."""
        self.options.append((level, option, value))

    def listen(self, backlog: int) -> None:
        """Take another backlog."""
        self.backlog = backlog


class Port:
    """A bound address; the test connects to it."""

    def __init__(self, address: Any, factory: Any, backlog: int) -> None:
        self.address = address
        self.factory = factory
        self.socket = Socket(backlog)
        self.is_reading = True
        self.is_open = True
        self.starts = 0
        """How often reading was started."""
        factory.doStart()

    def getHost(self) -> Any:
        """Return the address."""
        return self.address

    def startReading(self) -> None:
        """Accept."""
        assert self.is_open
        self.starts += not self.is_reading
        self.is_reading = True

    def stopReading(self) -> None:
        """Accept nothing."""
        self.is_reading = False

    def stopListening(self) -> Deferred[None]:
        """Close the address."""
        assert self.is_open
        self.is_open = self.is_reading = False
        self.factory.doStop()
        return succeed(None)

    def connect(self, host: str = "192.0.2.1") -> Line | None:
        """Connect from an address, or from none; ``None`` if the connection is turned away."""
        peer = IPv4Address("TCP", host, 50000) if host else UNIXAddress(None)
        protocol = self.factory.buildProtocol(peer)
        if protocol is None:
            return None
        line = Line()
        line.protocol = protocol
        protocol.makeConnection(line)
        return line

    def connect_many(self, count: int, host: str = "192.0.2.1") -> list[Line]:
        """Connect as long as the port accepts, at most so often."""
        lines: list[Line] = []
        while self.is_reading and len(lines) < count:
            line = self.connect(host)
            assert line is not None
            lines.append(line)
        return lines


class Harbour(Clock):
    """A reactor that binds what nobody has."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []
        self._next = 40000

    def listenTCP(self, port: int, factory: Any, backlog: int, interface: str) -> Port:
        """Bind a TCP address."""
        if not port:
            port = self._next = self._next + 1
        return self._bind(IPv4Address("TCP", interface or "0.0.0.0", port), factory, backlog)

    def listenUNIX(self, path: str, factory: Any, backlog: int, mode: int, wantPID: bool) -> Port:
        """Bind the path of a unix socket."""
        return self._bind(UNIXAddress(path), factory, backlog)

    def _bind(self, address: Any, factory: Any, backlog: int) -> Port:
        if any(port.is_open and port.address == address for port in self.ports):
            raise CannotListenError(None, address, OSError("Address already in use"))
        port = Port(address, factory, backlog)
        self.ports.append(port)
        return port

    @property
    def open_ports(self) -> list[Any]:
        """The addresses that are bound."""
        return [port.address for port in self.ports if port.is_open]


def configured(name: str, where: str = "tcp:0:interface=127.0.0.1", **options: Any) -> ListenerConfig:
    """Return the options of a listener at an endpoint."""
    return ListenerConfig(name, endpoint=endpoint.read(where, Surroundings()), **options)
