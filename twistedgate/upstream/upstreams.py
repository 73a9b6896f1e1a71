"""Every upstream of the process, across reloads: what did not change keeps its pools and counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from twistedgate.config.model import UpstreamConfig
from twistedgate.upstream.judging import Standing
from twistedgate.upstream.targets import Surroundings
from twistedgate.upstream.upstream import Upstream


class Upstreams:
    """The upstreams in use, and those whose last exchanges are still under way."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._leaving: list[Upstream] = []
        self.upstreams: dict[str, Upstream] = {}

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self.upstreams.values())

    @property
    def open_count(self) -> int:
        """Connections to targets, those of leaving upstreams included."""
        return sum(upstream.pool.open_count for upstream in [*self.upstreams.values(), *self._leaving])

    def prepare(self, configs: Mapping[str, UpstreamConfig]) -> dict[str, Upstream]:
        """Return the upstreams of a new configuration; nothing is started, and the old ones stay in use."""
        prepared: dict[str, Upstream] = {}
        for name, config in configs.items():
            present = self.upstreams.get(name)
            if present is not None and present.config == config:
                prepared[name] = present
            else:
                prepared[name] = Upstream(config, self._surroundings, present)
        return prepared

    def commit(self, prepared: dict[str, Upstream]) -> None:
        """Use the prepared upstreams from now on; this cannot fail.

        Those that are new have no targets before it is said how they stand: in the same turn, or clients
        are told that there are none.
        """
        before, self.upstreams = self.upstreams, dict(prepared)
        for name, upstream in prepared.items():
            if before.get(name) is upstream:
                upstream.renew()
            else:
                upstream.start()
        for name, upstream in before.items():
            if prepared.get(name) is not upstream:
                upstream.retire(self._leave)
                self._leave(upstream)

    def take(self, name: str, standings: Iterable[Standing]) -> None:
        """Take how all targets of an upstream stand now."""
        upstream = self.upstreams.get(name)
        if upstream is not None:
            upstream.targets.take(standings)

    def _leave(self, upstream: Upstream) -> None:
        """Look after an upstream that is not in use any more, as long as it has connections."""
        if upstream not in self._leaving:
            self._leaving.append(upstream)

    def sweep(self, now: float) -> None:
        """End what is past its deadline, and forget what has nothing under way."""
        for upstream in self.upstreams.values():
            upstream.sweep(now)
        for upstream in self._leaving[:]:
            upstream.pool.sweep(now)
            if not upstream.pool.open_count:
                self._leaving.remove(upstream)

    def stop(self) -> None:
        """End every connection."""
        for upstream in [*self.upstreams.values(), *self._leaving]:
            upstream.retire(self._leave)
            upstream.pool.abort()
