"""A bound address: accepts connections, gives each what it needs, sweeps their deadlines, drains them.

One sweep looks at all connections of a listener, instead of a timer for each request.  A reload changes a
listener's options in place: connections that are open keep the size of a head that they were accepted with;
times, and the gateway that serves the next request, are those of now.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from twistedgate.config.model import ListenerConfig
from twistedgate.downstream.capacity import NO_ADDRESS, Capacity
from twistedgate.downstream.connection import Connection
from twistedgate.downstream.hosting import Serving
from twistedgate.http.hops import Peer
from twistedgate.net.binding import Binding, bind
from twistedgate.net.opened import Opened
from twistedgate.net.tls import CurrentTLS, ServerTLS, ServerTLSFactory
from twistedgate.wire.codec import HeadLimits

_log = Logger()


class RequestIds:
    """Ids that no two requests share: a random prefix for the process, a counter behind it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}-"
        self._count = 0

    def make(self) -> str:
        """Return a new id."""
        self._count = count = self._count + 1
        # in decimal: any other format costs three times as much
        return f"{self._prefix}{count}"


class Calendar:
    """The Date header, written once a second (RFC 9110 section 6.6.1)."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._second = 0
        self._text = b""

    def date(self) -> bytes:
        """Return the value for now."""
        second = int(self._wall_clock())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode("ascii")
        return self._text


class Listener(Factory):
    """A listener of ``serve = proxy``."""

    noisy = False

    def __init__(
        self,
        config: ListenerConfig,
        serving: Serving,
        capacity: Capacity,
        request_ids: RequestIds,
    ) -> None:
        self.config = config
        self.serving = serving
        self.limits = HeadLimits(config.max_head, config.max_uri, config.max_headers)
        self.is_draining = False
        self.connections: set[Connection] = set()
        # bound once: each is called for every request
        self.now: Callable[[], float] = time.monotonic
        self.make_request_id: Callable[[], str] = request_ids.make
        self.date: Callable[[], bytes] = Calendar(time.time).date
        self._capacity = capacity
        self._binding: Binding | None = None
        self._tls: CurrentTLS | None = None

    def __repr__(self) -> str:
        return f"<Listener {self.config.name} connections={len(self.connections)}>"

    def configure(self, config: ListenerConfig, tls: ServerTLS | None) -> None:
        """Take new options; ``tls`` makes the TLS of new connections, ``None`` for plain TCP."""
        if self._binding is not None:
            self._binding.configure(config)
        self.config = config
        self.limits = HeadLimits(config.max_head, config.max_uri, config.max_headers)
        if self._tls is not None and tls is not None:
            self._tls.current = tls

    def listen(self, reactor: Any, tls: ServerTLS | None, opened: Opened | None = None) -> str:
        """Bind, unless the socket is open already, and return the address as it can be connected to.

        Raises ``CannotListenError``.
        """
        factory: Any = self
        if tls is not None:
            self._tls = CurrentTLS(tls)
            factory = ServerTLSFactory(self._tls, False, self, reactor)
        self._binding = bind(reactor, self.config, factory, opened)
        self._binding.port_object.room = self._capacity.room
        return self._binding.address

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:
        """Accept a connection, unless its address has its share."""
        binding = self._binding
        address: str = getattr(addr, "host", "") or NO_ADDRESS
        if binding is None or not self._capacity.admit(address):
            return None
        peer = Peer(
            address=address,
            port=binding.port,
            scheme="http" if self._tls is None else "https",
            is_trusted=self.serving.forwarder.is_trusted(address),
            listener=self.config.name,
        )
        connection = Connection(self, peer)
        self.connections.add(connection)
        return connection

    def closed(self, connection: object) -> None:
        """A connection is gone."""
        if isinstance(connection, Connection) and connection in self.connections:
            self.connections.discard(connection)
            self._capacity.leave(connection.peer.address)

    @property
    def open_count(self) -> int:
        """Connections that are open."""
        return len(self.connections)

    def pause_accepting(self) -> None:
        """Leave new connections in the kernel's queue."""
        if self._binding is not None:
            self._binding.port_object.stopReading()

    def resume_accepting(self) -> None:
        """Accept, from now on as long as there is room."""
        if self._binding is not None:
            self._capacity.add(self)
            if not self._capacity.is_paused:
                self._binding.port_object.startReading()

    def has_waiting(self) -> bool:
        """Whether a connection waits to be accepted."""
        if self._binding is None:
            return False
        polling = select.poll()
        polling.register(self._binding.port_object.fileno(), select.POLLIN)
        return bool(polling.poll(0))

    def sweep(self, now: float) -> None:
        """End what has taken too long."""
        for connection in list(self.connections):
            try:
                connection.sweep(now)
            except Exception:  # noqa: BLE001 -- as in the reactor: it ends this connection, and only this one
                _log.failure("a connection failed when its time was over")
                connection.abort()

    def stop_accepting(self) -> Deferred[None]:
        """Close the address; connections stay."""
        binding, self._binding = self._binding, None
        self._capacity.remove(self)
        if binding is None:
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        return binding.stop()

    def drain(self) -> None:
        """Close what is idle; every other connection ends with the answer under way."""
        self.is_draining = True
        for connection in list(self.connections):
            connection.drain()

    def drain_gently(self, quiet_since: float) -> None:
        """Close what has been idle since then; every other connection ends with its next answer."""
        self.is_draining = True
        for connection in list(self.connections):
            connection.drain_gently(quiet_since)

    def abort(self) -> None:
        """Cut every connection that is left."""
        for connection in list(self.connections):
            connection.abort()
