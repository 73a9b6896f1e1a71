"""A listener of ``serve = admin``: the operator's resources on an address of their own."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from twistedgate.config.model import ListenerConfig
from twistedgate.net.binding import Binding, bind


class AdminListener:
    """Serves whatever ``make_site`` makes of the configuration in use."""

    def __init__(self, config: ListenerConfig, make_site: Any) -> None:
        self.config = config
        self._make_site = make_site
        self._factory: WrappingFactory[ProtocolWrapper] = WrappingFactory(make_site(config))
        self._factory.noisy = False
        self._certificate: Any = None
        self._binding: Binding | None = None

    def __repr__(self) -> str:
        return f"<AdminListener {self.config.name} connections={self.open_count}>"

    @property
    def open_count(self) -> int:
        """Connections that are open."""
        return 0

    def listen(self, reactor: Any, tls: Any) -> str:
        """Bind, and return the address as it can be connected to."""
        factory: Any = self._factory
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, factory)
            factory.noisy = False
        self._binding = bind(reactor, self.config, factory)
        return self._binding.address

    def configure(self, config: ListenerConfig, tls: Any) -> None:
        """Take new options; connections that are open keep the old ones."""
        self.config = config
        self._factory.wrappedFactory = self._make_site(config)

    def resume_accepting(self) -> None:
        """Accept connections."""
        if self._binding is not None:
            self._binding.port_object.startReading()

    def pause_accepting(self) -> None:
        """Leave new connections in the kernel's queue."""
        if self._binding is not None:
            self._binding.port_object.stopReading()

    def stop_accepting(self) -> Deferred[None]:
        """Close the address."""
        binding, self._binding = self._binding, None
        return succeed(None) if binding is None else binding.stop()

    def sweep(self, now: float) -> None:
        """The site minds its own timeouts."""

    def drain(self) -> None:
        """Close what is open: an operator's question is answered at once, or not at all."""
        self.abort()

    def abort(self) -> None:
        """Cut every connection that is left."""
        for protocol in list(self._factory.protocols):
            protocol.loseConnection()
