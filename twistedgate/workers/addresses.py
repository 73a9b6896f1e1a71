"""The listening sockets that the supervisor opens for its workers, across reloads and upgrades.

It makes the same choice as the workers' ``Listeners``: an address that stays keeps its socket, also under
another name.  New ones are opened while a reload is prepared; those that are gone are closed when it takes
effect.  A closed socket that a worker still has goes on listening until the worker closes it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twisted.internet.error import CannotListenError

from twistedgate.config.model import ListenerConfig
from twistedgate.downstream.listeners import CannotListen, kept_names, tell_listening
from twistedgate.net.opened import Opened, open_listening


@dataclass(frozen=True, slots=True)
class PreparedAddresses:
    """The sockets of a configuration, by the names of its listeners."""

    configs: Mapping[str, ListenerConfig]
    sockets: dict[str, Opened]
    fresh: dict[str, Opened]
    """Those that were opened for it."""


def place(config: ListenerConfig) -> str:
    """Return what tells where a listener listens; an address that anybody may have goes by its name, too."""
    endpoint = config.endpoint
    is_one = endpoint.port or endpoint.path or endpoint.scheme == "systemd"
    return endpoint.text if is_one else f"{config.name} {endpoint.text}"


class Addresses:
    """Open sockets by the names of their listeners."""

    def __init__(self, inherited: Mapping[str, Opened] | None = None) -> None:
        """``inherited`` are sockets that an earlier program of this process opened, by ``place``."""
        self._inherited = dict(inherited or {})
        self._configs: Mapping[str, ListenerConfig] = {}
        self.sockets: dict[str, Opened] = {}

    def prepare(self, configs: Mapping[str, ListenerConfig]) -> PreparedAddresses:
        """Open what is new; raises ``CannotListen`` and leaves nothing behind."""
        kept = kept_names(self._configs.values(), configs)
        sockets: dict[str, Opened] = {}
        fresh: dict[str, Opened] = {}
        for name, config in configs.items():
            if name in kept:
                sockets[name] = self.sockets[kept[name]]
                continue
            try:
                sockets[name] = fresh[name] = self._open(config)
            except CannotListenError as error:
                for opened in fresh.values():
                    opened.close()
                raise CannotListen(f"[listener:{name}] endpoint: {config.endpoint}: {error}") from error
        return PreparedAddresses(configs, sockets, fresh)

    def _open(self, config: ListenerConfig) -> Opened:
        if place(config) in self._inherited:
            return self._inherited.pop(place(config))
        opened = open_listening(config)
        tell_listening(opened.address, config)
        return opened

    def commit(self, prepared: PreparedAddresses) -> None:
        """Keep these, with the options of now, and close the others."""
        gone = [opened for opened in self.sockets.values() if opened not in prepared.sockets.values()]
        self._configs, self.sockets = prepared.configs, prepared.sockets
        for name, opened in self.sockets.items():
            opened.socket.listen(self._configs[name].backlog)
        for opened in (*gone, *self._inherited.values()):
            opened.close()
        self._inherited = {}

    @staticmethod
    def abandon(prepared: PreparedAddresses) -> None:
        """Close what was opened for a configuration that is not to be."""
        for opened in prepared.fresh.values():
            opened.close()

    @property
    def places(self) -> dict[str, Opened]:
        """The open sockets by ``place``, for the next program."""
        return {place(self._configs[name]): opened for name, opened in self.sockets.items()}

    def close(self, serve: str = "") -> None:
        """Close the sockets of listeners that serve so, or all."""
        for name in list(self.sockets):
            if not serve or self._configs[name].serve == serve:
                self.sockets.pop(name).close()
