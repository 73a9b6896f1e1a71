"""A listener of ``serve = admin``: the operator's resources on an address of their own.

It stays open while the gateway drains, so that whoever asks for readiness is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from twistedgate.config.model import ListenerConfig
from twistedgate.net.binding import Binding, bind
from twistedgate.net.opened import Opened
from twistedgate.net.tls import CurrentTLS, ServerTLS, ServerTLSFactory

MakeSite = Callable[[ListenerConfig], Any]


class _CurrentSite(Factory):
    """Hands new connections to the site of now."""

    noisy = False

    def __init__(self, site: Any) -> None:
        self.site = site

    def replace(self, site: Any) -> None:
        """Serve new connections by ``site``; open ones keep theirs."""
        if self.numPorts:
            site.doStart()
            self.site.doStop()
        self.site = site

    def startFactory(self) -> None:
        """The address is open."""
        self.site.doStart()

    def stopFactory(self) -> None:
        """The address is closed."""
        self.site.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Accept a connection."""
        return self.site.buildProtocol(addr)


class AdminListener:
    """Serves whatever ``make_site`` makes of the configuration in use."""

    def __init__(self, config: ListenerConfig, make_site: MakeSite) -> None:
        self.config = config
        self._make_site = make_site
        self._factory = _CurrentSite(make_site(config))
        self._tls: CurrentTLS | None = None
        self._binding: Binding | None = None

    def __repr__(self) -> str:
        return f"<AdminListener {self.config.name}>"

    @property
    def open_count(self) -> int:
        """Connections that a stop waits for: none."""
        return 0

    def listen(self, reactor: Any, tls: ServerTLS | None, opened: Opened | None = None) -> str:
        """Bind, unless the socket is open already, and return the address as it can be connected to."""
        factory: Any = self._factory
        if tls is not None:
            self._tls = CurrentTLS(tls)
            factory = ServerTLSFactory(self._tls, False, factory, reactor)
        self._binding = bind(reactor, self.config, factory, opened)
        return self._binding.address

    def configure(self, config: ListenerConfig, tls: ServerTLS | None) -> None:
        """Take new options; connections that are open keep the old ones."""
        if self._binding is not None:
            self._binding.configure(config)
        self.config = config
        if self._tls is not None and tls is not None:
            self._tls.current = tls
        self._factory.replace(self._make_site(config))

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
        """Nothing to wait for: an operator's question is answered at once."""

    def drain_gently(self, quiet_since: float) -> None:
        """Nothing to wait for, neither."""

    def abort(self) -> None:
        """Open connections end with the process."""
