"""Serves in this process, judges in it and runs jobs in it: a gateway with ``workers = 1``.

Nobody is let in before there is a place for jobs.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.background.service import JobService
from twistedgate.config.model import Configuration, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.facts import ProcessFacts, TargetFacts, UpstreamFacts
from twistedgate.jobs.store import StoreAway
from twistedgate.net.tls import ClientTLS
from twistedgate.observers.measures import Measures
from twistedgate.observers.own import OwnCells
from twistedgate.serving import Circumstances, Prepared, Server, TLSOf
from twistedgate.stores.choosing import make_store
from twistedgate.units import Units
from twistedgate.upstream.judges import Judges
from twistedgate.upstream.judging import Judging, Standing, Watching
from twistedgate.upstream.targets import Surroundings
from twistedgate.upstream.witness import Witness
from twistedgate.workers.columns import Columns

_log = Logger()

WatchingOf = Callable[[TLSOf, Witness], Watching]


@dataclass(frozen=True, slots=True)
class Both:
    """A configuration, ready to be served and judged by."""

    serving: Prepared
    judgings: dict[str, Judging]


class Alone:
    """One process that does everything."""

    wanted = 1

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        units: Units,
        watching: WatchingOf,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``configuration`` is the one to begin with; it still wants to be prepared and committed."""
        self.board = OwnCells()
        self.measures = Measures(self.board.cells, Columns(sys.maxsize, self.board.clear))
        self._reactor = reactor
        self._chance = chance
        self.judges = Judges(watching(self._tls_of, self.measures), self._publish)
        jobs = JobService(reactor, make_store(configuration.gateway, reactor), self.measures.metrics.jobs)
        self.store = jobs.store
        self.server = Server(
            reactor,
            configuration,
            units,
            Circumstances(self._make_surroundings, self.measures.metrics, jobs),
        )
        self.server.swept = self.judges.sweep
        self._is_accepting = False
        self._is_draining = False
        self._is_open = False
        self._waiting: list[Deferred[None]] = []
        self.on_deserted: Callable[[], object] = lambda: None
        """Called when there is no place for jobs."""

    def _make_surroundings(self, tls: TLSOf) -> Surroundings:
        return Surroundings(self._reactor, time.monotonic, self._chance, tls, self.judges.port)

    def _tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return the TLS of a target for its checks: that of the requests."""
        return self.server.tls_of(upstream, target)

    def _publish(self, upstream: str, standings: tuple[Standing, ...]) -> None:
        """Tell those who send requests how the targets stand."""
        self.server.upstreams.take(upstream, standings)
        self.measures.keep_targets(upstream, [standing.name for standing in standings])

    # a configuration takes effect

    def prepare(self, configuration: Configuration) -> Deferred[Both]:
        """Make everything that a configuration wants, aside."""
        return maybeDeferred(self._prepare, configuration)

    def _prepare(self, configuration: Configuration) -> Both:
        return Both(self.server.prepare(configuration), self.judges.prepare(configuration.upstreams))

    def commit(self, prepared: Both) -> Deferred[None]:
        """Swap a prepared configuration in."""
        self.measures.configure(prepared.serving.configuration)
        self.server.commit(prepared.serving)
        # at once: whoever is new there knows of no target before
        self.judges.commit(prepared.judgings)
        return succeed(None)

    def abandon(self, prepared: Both) -> None:
        """Leave everything as it is."""
        self.server.abandon(prepared.serving)

    def opened(self, config: ListenerConfig) -> None:
        """Nothing is open before its listener opens it."""

    # the life of it

    def start(self) -> None:
        """The reactor runs."""
        self.server.access_log.reopen()
        self.server.jobs.start().addCallbacks(self._opened, self._lack_store)

    def _opened(self, _: None) -> None:
        """There is a place for jobs: those may come in who waited for it."""
        self._is_open = True
        waiting, self._waiting = self._waiting, []
        for waits in waiting:
            self.resume_accepting().chainDeferred(waits)

    def _lack_store(self, failure: Failure) -> None:
        failure.trap(StoreAway)
        _log.critical("jobs cannot be kept: {why}", why=failure.value)
        self.on_deserted()

    def resume_accepting(self) -> Deferred[None]:
        """Let clients in, once there is a place for their jobs."""
        if not self._is_open:
            waits: Deferred[None] = Deferred()
            self._waiting.append(waits)
            return waits
        self._is_accepting = True
        self.server.listeners.resume_accepting()
        return succeed(None)

    def reopen_logs(self) -> None:
        """Write the access log to a new file of its name from now on."""
        self.server.access_log.reopen()

    def drain(self, timeout: float) -> Deferred[None]:
        """Accept no more, and wait until what is under way has ended."""
        self._is_draining = True
        return self.server.drain(timeout)

    def stop(self) -> Deferred[None]:
        """Close everything that is left."""
        self.judges.stop()
        return self.server.stop()

    def is_well(self) -> bool:
        """Whoever asks is served by this process, so it turns."""
        return True

    # what is known

    def tally(self) -> None:
        """Bring the metrics up to date."""
        self.server.tally()

    @property
    def processes(self) -> list[ProcessFacts]:
        """This one."""
        state = "draining" if self._is_draining else "serving" if self._is_accepting else "starting"
        return [ProcessFacts(os.getpid(), state, self.connections, self.requests)]

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return self.server.answered

    @property
    def connections(self) -> int:
        """Connections of clients."""
        return self.server.capacity.open_count

    @property
    def is_paused(self) -> bool:
        """Whether no connection is accepted, as there are as many as may be."""
        return self.server.capacity.is_full

    @property
    def dropped(self) -> int:
        """Lines of the access log that could not be written."""
        return self.server.access_log.dropped

    @property
    def addresses(self) -> dict[str, str]:
        """Where each listener for clients is."""
        return self.server.listeners.addresses

    def connections_of(self, listener: str) -> int:
        """Return the connections of one listener."""
        bound = (bound for bound in self.server.listeners.bound if bound.config.name == listener)
        return sum(one.open_count for one in bound)

    def in_flight(self, route: str) -> int:
        """Return how many exchanges of a route are under way."""
        return self.server.gates.under_way(route)

    def upstream(self, name: str) -> UpstreamFacts:
        """Return what is known of an upstream."""
        upstream = self.server.upstreams.upstreams[name]
        return UpstreamFacts(
            upstream.requests, upstream.gate.total, upstream.pool.open_count, upstream.pool.idle_count
        )

    def target(self, upstream: str, name: str) -> TargetFacts:
        """Return what is known of a target."""
        target = self.server.upstreams.upstreams[upstream].targets.by_name.get(name)
        return (
            TargetFacts(0, 0, 0)
            if target is None
            else TargetFacts(target.in_flight, target.requests, target.failed)
        )
