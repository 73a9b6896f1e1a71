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
from twistedgate.downstream.listeners import CannotListen, kept_names
from twistedgate.net.opened import Opened, open_listening


@dataclass(frozen=True, slots=True)
class PreparedAddresses:
    """The sockets of a configuration, by the names of its listeners."""

    configs: Mapping[str, ListenerConfig]
    sockets: dict[str, Opened]
    fresh: dict[str, Opened]
    """Those that were opened for it."""


class Addresses:
    """Open sockets by the names of their listeners."""

    def __init__(self, inherited: Mapping[str, Opened] | None = None) -> None:
        """``inherited`` are sockets that an earlier program of this process opened, by listener."""
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
                inherited = self._inherited.pop(name) if name in self._inherited else None
                sockets[name] = fresh[name] = inherited or open_listening(config)
            except CannotListenError as error:
                for opened in fresh.values():
                    opened.close()
                raise CannotListen(f"[listener:{name}] endpoint: {config.endpoint}: {error}") from error
        return PreparedAddresses(configs, sockets, fresh)

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

    def close(self) -> None:
        """Close everything."""
        for opened in self.sockets.values():
            opened.close()
        self._configs, self.sockets = {}, {}
