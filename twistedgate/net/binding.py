"""Listening at a listener's address, with the options that accepted sockets inherit from it.

The address is opened here, or it is a socket that was opened elsewhere and other processes share: that is
never shut down, and the path of a unix socket stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError

from twistedgate.config.model import ListenerConfig
from twistedgate.net.opened import Opened, prepare
from twistedgate.net.shared import adopt


@dataclass(frozen=True, slots=True)
class Binding:
    """An open address."""

    port_object: Any
    """Twisted's ``IListeningPort``."""
    address: str
    """As it can be connected to, such as ``tcp:127.0.0.1:8080``."""
    port: int
    """The port's number, 0 for a unix socket."""

    def configure(self, config: ListenerConfig) -> None:
        """Take the ``backlog`` of new options; all else that is bound stays."""
        self.port_object.socket.listen(config.backlog)

    def stop(self) -> Deferred[None]:
        """Close it."""
        return maybeDeferred(self.port_object.stopListening)


def bind(reactor: Any, config: ListenerConfig, factory: Any, opened: Opened | None = None) -> Binding:
    """Listen on ``opened``, or else open the address of ``config``; raises ``CannotListenError``."""
    if opened is not None:
        return Binding(adopt(reactor, opened.socket, factory), opened.address, opened.port)
    endpoint = config.endpoint
    if endpoint.scheme == "unix":
        port = reactor.listenUNIX(
            endpoint.path, factory, backlog=config.backlog, mode=config.mode, wantPID=True
        )
    elif endpoint.scheme == "systemd":
        port = _adopt(reactor, endpoint.text, factory)
    else:
        interface = endpoint.interface or ("::" if endpoint.scheme == "tcp6" else "")
        port = reactor.listenTCP(endpoint.port, factory, config.backlog, interface)
    host = port.getHost()
    number: int = getattr(host, "port", 0)
    if not number:
        return Binding(port, f"unix:{endpoint.path or config.endpoint.text}", 0)
    prepare(port.socket)
    shown = f"[{host.host}]" if ":" in host.host else host.host
    return Binding(port, f"tcp:{shown}:{number}", number)


def _adopt(reactor: Any, text: str, factory: Any) -> Any:
    """Take a socket that systemd opened; it is there at once, or never."""
    ports: list[Any] = []
    failures: list[Any] = []
    try:
        endpoint = serverFromString(reactor, text)
    except (LookupError, ValueError) as error:
        raise CannotListenError("systemd", text, OSError(f"no such socket: {error}")) from None
    endpoint.listen(factory).addCallbacks(ports.append, failures.append)
    if not ports:
        raise CannotListenError("systemd", text, failures[0].value if failures else OSError("no such socket"))
    return ports[0]
