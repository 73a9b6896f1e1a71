"""A gateway that runs in memory: addresses, targets, names and time are the test's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionDone, ReactorNotRunning
from twisted.python.failure import Failure

from tests.downstream.conversation import Line, get
from tests.downstream.ports import Harbour, Port
from tests.upstream.network import Attempt, Names, Probe
from twistedgate.alone import Alone
from twistedgate.service import GatewayService
from twistedgate.serving import Server, TLSOf
from twistedgate.units import Units
from twistedgate.upgrading import Program
from twistedgate.upstream.judging import Watching
from twistedgate.upstream.prober import Probing
from twistedgate.upstream.resolver import Resolver
from twistedgate.upstream.witness import Witness

FRONT = """\
[gateway]
access_log = off
drain_timeout = 5s
[listener:public]
endpoint = tcp:8080:interface=127.0.0.1
"""
ADMIN = """\
[listener:admin]
endpoint = tcp:9000:interface=127.0.0.1
serve = admin
"""
WORD = """\
[route:word]
path = /word
respond = 200 "{}"
"""
ORDERS = """\
[upstream:orders]
targets = {}
{}
[route:orders]
path = /orders/*
upstream = orders
"""


def orders(targets: str = "http://192.0.2.1:80", **options: object) -> str:
    """Return an upstream, and the route that leads there."""
    more = "".join(f"{name} = {value}\n" for name, value in options.items())
    return ORDERS.format(targets, more)


class Reactor(Harbour):
    """A reactor that binds and connects in memory, and is told when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []
        self.stops = 0
        self.is_stopping = False
        self._when_running: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float) -> Attempt:
        """Begin to connect."""
        self.attempts.append(Attempt(f"{host}:{port}", factory, timeout))
        return self.attempts[-1]

    def callWhenRunning(self, call: Callable[..., object], *arguments: Any) -> None:
        """Remember what is to be called once the reactor runs."""
        self._when_running.append((call, arguments))

    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call in the next turn."""
        self.callLater(0, call, *arguments)

    def run(self, *, but: Callable[..., object]) -> tuple[Any, ...]:
        """Run, but do not call ``but``; return what it would have been called with."""
        calls, self._when_running = self._when_running, []
        left: tuple[Any, ...] = ()
        for call, arguments in calls:
            if call is but:
                left = arguments
            else:
                call(*arguments)
        return left

    def stop(self) -> None:
        """Stop; a second time it is too late."""
        self.stops += 1
        if self.is_stopping:
            raise ReactorNotRunning
        self.is_stopping = True


class Running(GatewayService):
    """The gateway's service with names and checks in memory."""

    def __init__(self, folder: Path, *sections: str, **known: tuple[str, ...]) -> None:
        self.reactor = Reactor()
        self.names = Names(**known)
        self.probe = Probe()
        self.commits = 0
        self.file = folder / "twistedgate.ini"
        self.write(*sections)
        units = Units()
        super().__init__(self.reactor, str(self.file), units.load(str(self.file)), units)

    def _make_resolver(self) -> Resolver:
        return Resolver(self.reactor, self.names)

    def _make_crew(self, program: Program) -> Alone:
        self.alone = Alone(self.reactor, self.configuration, self._units, self._make_watching, self._chance)
        # a collection of all that the tests have loaded would be most of the time of a start and of a reload
        self.alone.server.committed = self._committed
        return self.alone

    @property
    def server(self) -> Server:
        """What serves."""
        return self.alone.server

    def _make_watching(self, tls: TLSOf, witness: Witness) -> Watching:
        now = time.monotonic  # as the listeners and the sweep have it
        probing = Probing(self.reactor, now, self._chance, self.probe)
        return Watching(now, self._resolver, probing, tls, witness)

    def _committed(self) -> None:
        """Count it; what the tests have loaded stays out of the collector's sight."""
        self.commits += 1

    @staticmethod
    def _chance() -> float:
        return 0.5

    def write(self, *sections: str) -> None:
        """Write another file."""
        self.file.write_text("".join(sections))

    def reload_with(self, *sections: str) -> None:
        """Write another file, and have it read."""
        self.write(*sections)
        self.reload()

    def port(self, number: int) -> Port:
        """Return the open address of that number."""
        (found,) = [port for port in self.reactor.ports if port.is_open and port.address.port == number]
        return found

    def numbers(self) -> list[int]:
        """Return which addresses are open."""
        return sorted(address.port for address in self.reactor.open_ports)

    def accepting(self) -> list[int]:
        """Return on which of them connections are accepted."""
        return sorted(port.address.port for port in self.reactor.ports if port.is_open and port.is_reading)

    def connect(self, number: int = 8080) -> Line:
        """Connect to the gateway."""
        line = self.port(number).connect()
        assert line is not None
        return line

    def ask(self, path: str, line: Line | None = None) -> bytes:
        """Send a request, and return what has come back."""
        line = line or self.connect()
        before = len(line.received)
        line.protocol.dataReceived(get(path))
        return line.received[before:]

    def settle(self, *lines: Line) -> None:
        """Let the reactor tell what was closed and cut."""
        for line in lines:
            if line.is_over:
                line.protocol.connectionLost(Failure(ConnectionDone()))
