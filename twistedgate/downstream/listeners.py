"""Every open address of the process, across reloads.

An address that stays keeps its socket and its connections; a new one is bound while the reload is prepared,
so that a reload that cannot have it changes nothing; one that is gone stops accepting and drains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from twistedgate.config.model import ListenerConfig
from twistedgate.net.opened import Opened
from twistedgate.net.tls import Read, ServerTLS, read_file

_log = Logger()


class Bound(Protocol):
    """A listener, whatever it serves."""

    config: ListenerConfig

    def listen(self, reactor: Any, tls: ServerTLS | None, opened: Opened | None = None) -> str:
        """Bind, unless the socket is open already, and return the address as it can be connected to."""

    def configure(self, config: ListenerConfig, tls: ServerTLS | None) -> None:
        """Take new options."""

    def resume_accepting(self) -> None:
        """Accept connections."""

    def pause_accepting(self) -> None:
        """Leave new connections in the kernel's queue."""

    def stop_accepting(self) -> Deferred[None]:
        """Close the address; connections stay."""

    def drain(self) -> None:
        """Close what is idle; what is under way ends with its answer."""

    def drain_gently(self, quiet_since: float) -> None:
        """Close what has been idle since then; every other connection ends with its next answer."""

    def abort(self) -> None:
        """Cut every connection that is left."""

    def sweep(self, now: float) -> None:
        """End what has taken too long."""

    @property
    def open_count(self) -> int:
        """Connections that are open."""


class CannotListen(Exception):
    """An address cannot be had; the text says which and why."""


Prepared = list[tuple[ListenerConfig, Bound, ServerTLS | None]]


def _key(config: ListenerConfig) -> tuple[str, str, bool, int]:
    """What makes two listeners the same socket."""
    return config.endpoint.text, config.serve, config.tls_certificate is not None, config.mode


def kept_names(present: Iterable[ListenerConfig], wanted: Mapping[str, ListenerConfig]) -> dict[str, str]:
    """Return which open listeners stay: the new name of each, and the present one.

    Those that keep their name come first.  Whoever asks with the same configurations is told the same.
    """
    kept: dict[str, str] = {}
    free: dict[tuple[str, str, bool, int], str] = {}
    for open_ in present:
        config = wanted.get(open_.name)
        if config is not None and _key(config) == _key(open_):
            kept[config.name] = open_.name
        elif open_.endpoint.port or open_.endpoint.path:
            # an address that anybody may have (port 0) is nobody's under another name
            free[_key(open_)] = open_.name
    for name, config in wanted.items():
        if name not in kept and _key(config) in free:
            kept[name] = free.pop(_key(config))
    return kept


def tell_listening(address: str, config: ListenerConfig) -> None:
    """Log that an address was opened."""
    _log.info("listening on {address} (listener {name})", address=address, name=config.name)


class Listeners:
    """The open addresses of one process."""

    def __init__(
        self,
        reactor: Any,
        make: Callable[[ListenerConfig], Bound],
        opened: Callable[[ListenerConfig], Opened | None] = lambda config: None,
    ) -> None:
        """``opened`` returns the socket of a new listener if it is open already."""
        self._reactor = reactor
        self._make = make
        self._opened = opened
        self.bound: list[Bound] = []
        self.leaving: list[Bound] = []
        self._addresses: dict[Bound, str] = {}

    @property
    def addresses(self) -> dict[str, str]:
        """Where each listener is, by its name."""
        return {bound.config.name: self._addresses[bound] for bound in self.bound}

    def prepare(self, configs: Mapping[str, ListenerConfig], read: Read = read_file) -> Prepared:
        """Bind what is new, accepting nothing yet; raises ``CannotListen`` and leaves nothing behind.

        ``read`` gives the content of the files that hold certificates and keys.
        """
        kept = self._kept(configs)
        prepared: Prepared = []
        fresh: list[Bound] = []
        try:
            for config in configs.values():
                tls = ServerTLS.of(config, read)
                bound = kept.get(config.name)
                if bound is None:
                    bound = self._make(config)
                    self._bind(bound, tls)
                    fresh.append(bound)
                prepared.append((config, bound, tls))
        except (CannotListenError, OSError, ValueError) as error:
            for bound in fresh:
                del self._addresses[bound]
                bound.stop_accepting()
            raise CannotListen(f"[listener:{config.name}] endpoint: {config.endpoint}: {error}") from error
        return prepared

    def _kept(self, configs: Mapping[str, ListenerConfig]) -> dict[str, Bound]:
        """Return the open listeners that stay, by their new names."""
        present = {bound.config.name: bound for bound in self.bound}
        names = kept_names((bound.config for bound in self.bound), configs)
        return {name: present[before] for name, before in names.items()}

    def _bind(self, bound: Bound, tls: ServerTLS | None) -> None:
        opened = self._opened(bound.config)
        self._addresses[bound] = bound.listen(self._reactor, tls, opened)
        bound.pause_accepting()
        if opened is None:
            tell_listening(self._addresses[bound], bound.config)

    def abandon(self, prepared: Prepared) -> None:
        """Close what was bound for a configuration that is not to be."""
        for _, bound, _ in prepared:
            if bound not in self.bound:
                del self._addresses[bound]
                bound.stop_accepting()

    def commit(self, prepared: Prepared) -> list[Bound]:
        """Use the prepared listeners; return those that are gone and drain now."""
        kept = [bound for _, bound, _ in prepared]
        gone = [bound for bound in self.bound if bound not in kept]
        for config, bound, tls in prepared:
            if bound.config.name != config.name:
                _log.info("listener {old} is listener {name} now", old=bound.config.name, name=config.name)
            bound.configure(config, tls)
        self.bound = kept
        for bound in gone:
            _log.info("listener {name} closes", name=bound.config.name)
            del self._addresses[bound]
            bound.stop_accepting()
            bound.drain()
            self.leaving.append(bound)
        return gone

    def resume_accepting(self) -> None:
        """Accept connections on every address."""
        for bound in self.bound:
            bound.resume_accepting()

    def stop_accepting(self) -> None:
        """Close every address; connections stay."""
        for bound in self.bound:
            bound.stop_accepting()

    def drain(self) -> None:
        """Let what is under way end."""
        for bound in self.bound:
            bound.drain()

    def drain_gently(self, quiet_since: float) -> None:
        """Let what is under way end, and those ask once more that were not quiet since then."""
        for bound in self.bound:
            bound.drain_gently(quiet_since)

    def sweep(self, now: float) -> None:
        """End what has taken too long; forget listeners that are gone and have no connection left."""
        for bound in (*self.bound, *self.leaving):
            bound.sweep(now)
        if self.leaving:
            self.leaving = [bound for bound in self.leaving if bound.open_count]

    def abort(self) -> None:
        """Cut every connection."""
        for bound in [*self.bound, *self.leaving]:
            bound.abort()

    @property
    def open_count(self) -> int:
        """Connections of all listeners."""
        return sum(bound.open_count for bound in [*self.bound, *self.leaving])
