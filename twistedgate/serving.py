"""What serves a configuration: listeners, gateway, upstreams, jobs, access log, and a sweep of deadlines.

A configuration is prepared aside (compiled, new addresses bound), and either swapped in by assignments that
cannot fail, or abandoned.  This module does not know where configurations come from, nor who asks for one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.assembly import Assembler, CannotBeMade, Gates
from twistedgate.background.service import JobService
from twistedgate.config.model import Configuration, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.downstream.capacity import Capacity, Others
from twistedgate.downstream.hosting import Serving
from twistedgate.downstream.listener import Listener, RequestIds
from twistedgate.downstream.listeners import Listeners
from twistedgate.downstream.listeners import Prepared as PreparedListeners
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.http.hops import Forwarder
from twistedgate.net.collecting import keep_what_stays
from twistedgate.net.descriptors import count_descriptors, raise_descriptors
from twistedgate.net.opened import Opened
from twistedgate.net.tls import ClientTLS, Read, UpstreamTLS, read_file
from twistedgate.observers.access_log import AccessLog
from twistedgate.observers.metrics import Metrics
from twistedgate.observers.tally import Tally
from twistedgate.units import Units
from twistedgate.upstream.counting import Counting, OwnCounts
from twistedgate.upstream.targets import Surroundings
from twistedgate.upstream.upstream import Upstream
from twistedgate.upstream.upstreams import Upstreams

_log = Logger()

LONGEST_SWEEP = 1.0
SHORTEST_SWEEP = 0.02
"""Seconds between two looks at all deadlines; a quarter of the shortest timeout, between these two."""

OWN_DESCRIPTORS = 8
"""Descriptors that a running gateway needs besides connections: listeners, logs, probes, names."""

QUIET = 1.0
"""Seconds without a request after which a client is not about to send one, in all likelihood."""

DRAIN_POLL = 0.05
"""Seconds between two looks at whether everything under way has ended."""

CANNOT_BE_MADE = "what it asks for cannot be made; the gateway's log has the traceback"
"""Said of a failure that nobody expected: whoever asks for a reload is told nothing of its text."""

TLSOf = Callable[[UpstreamConfig, TargetConfig], ClientTLS | None]


class CannotServe(Exception):
    """Somebody who serves cannot serve by a configuration; ``errors`` say why, for the operator."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def fault(error: BaseException) -> tuple[Failure, str]:
    """Return what the log has to have of what cannot be made, and what is said to whoever asked for it."""
    if isinstance(error, CannotBeMade):
        return Failure(error.cause, type(error.cause), error.cause.__traceback__), error.told
    return Failure(error, type(error), error.__traceback__), CANNOT_BE_MADE


def _no_socket(config: ListenerConfig) -> Opened | None:
    return None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a server gets from the process that it lives in."""

    surroundings: Callable[[TLSOf], Surroundings]
    metrics: Metrics
    jobs: JobService
    counting: Counting = field(default_factory=OwnCounts)
    opened: Callable[[ListenerConfig], Opened | None] = _no_socket
    """Returns the socket of a new listener if it is open already."""
    others: Others | None = None
    """Other processes that accept on the same addresses."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration, ready to be swapped in."""

    configuration: Configuration
    upstreams: dict[str, Upstream]
    gateway: Gateway
    forwarder: Forwarder
    tls: UpstreamTLS
    access_log: AccessLog
    listeners: PreparedListeners


class Server:
    """Serves clients by the configuration that was committed last."""

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        units: Units,
        circumstances: Circumstances,
    ) -> None:
        """``configuration`` is the one to begin with; it still wants to be prepared and committed."""
        self.configuration = configuration
        self._tls = UpstreamTLS()
        self.upstreams = Upstreams(circumstances.surroundings(self.tls_of))
        self.capacity = Capacity(
            raise_descriptors(),
            count_descriptors() + OWN_DESCRIPTORS,
            lambda: self.upstreams.open_count,
            circumstances.others,
            circumstances.metrics,
        )
        self.listeners = Listeners(reactor, self._make_listener, circumstances.opened)
        self._metrics = circumstances.metrics
        self._tally = Tally(circumstances.metrics)
        self.access_log = _make_access_log(reactor, configuration)
        self._closing: list[Deferred[None]] = []
        self.gates = Gates(circumstances.counting)
        self._reactor = reactor
        self.jobs = circumstances.jobs
        self._assembler = Assembler(units, self.gates, self._observe, time.monotonic, self.jobs.port)
        self._name = f"twistedgate-{secrets.token_hex(4)}"
        self._request_ids = RequestIds(secrets.token_hex(6))
        self._serving = Serving()
        self._sweeping = LoopingCall(self._sweep)
        self.swept: Callable[[float], object] = lambda now: None
        """Called in each sweep: deadlines that are another's."""
        self.committed: Callable[[], object] = keep_what_stays
        """Called when a configuration is in use."""

    def _observe(self, exchange: Exchange) -> None:
        self._metrics.count(exchange)
        self.access_log.write(exchange)

    def _observe_run(self, exchange: Exchange) -> None:
        """A call was made for a job: no client's request, and written down all the same."""
        self.access_log.write(exchange)

    @property
    def answered(self) -> int:
        """Requests that have ended, whatever their answer."""
        return self._metrics.answered

    def tally(self) -> None:
        """Bring the metrics up to date with what targets and the access log count by themselves."""
        self._tally.take(self.upstreams, self.access_log)

    def tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return the TLS of a target by the configuration of now."""
        return self._tls.creator(upstream, target)

    def _make_listener(self, config: ListenerConfig) -> Listener:
        return Listener(config, self._serving, self.capacity, self._request_ids)

    # a configuration takes effect

    def prepare(self, configuration: Configuration, read: Read = read_file) -> Prepared:
        """Make everything that a configuration wants, aside; what it raises leaves nothing behind.

        ``read`` gives the content of the files that it names for TLS.  Raises ``CannotListen`` for an address
        that cannot be had, and ``CannotBeMade`` where a policy's constructor fails.
        """
        upstreams = self.upstreams.prepare(configuration.upstreams)
        try:
            gateway = self._assembler.assemble(configuration, upstreams)
            wanted = configuration.gateway
            prepared = Prepared(
                configuration,
                upstreams,
                gateway,
                Forwarder(self._name, wanted.trusted_proxies),
                make_tls(configuration, read),
                self._prepare_access_log(configuration),
                self.listeners.prepare(_proxies(configuration), read),
            )
        except BaseException:
            self._forget_gates()
            raise
        self.jobs.prepare(gateway.jobs)
        return prepared

    def _prepare_access_log(self, configuration: Configuration) -> AccessLog:
        present, wanted = self.configuration.gateway, configuration.gateway
        if (wanted.access_log, wanted.access_log_format, wanted.redact_query) == (
            present.access_log,
            present.access_log_format,
            present.redact_query,
        ):
            return self.access_log
        return _make_access_log(self._reactor, configuration)

    def abandon(self, prepared: Prepared) -> None:
        """Leave everything as it is; what was made for ``prepared`` is closed."""
        self.listeners.abandon(prepared.listeners)
        self.jobs.prepare(())
        self._forget_gates()

    def _forget_gates(self) -> None:
        """Forget the gates of routes that there will not be."""
        self.gates.commit(self.configuration)

    def commit(self, prepared: Prepared) -> None:
        """Swap a prepared configuration in."""
        configuration = prepared.configuration
        self.configuration = configuration
        self._tls = prepared.tls
        self.upstreams.commit(prepared.upstreams)
        self.gates.commit(configuration)
        self._serving.gateway = prepared.gateway
        self._serving.forwarder = prepared.forwarder
        self.capacity.configure(
            configuration.gateway.max_connections, configuration.gateway.max_connections_per_ip
        )
        for bound in self.listeners.commit(prepared.listeners):
            self._reactor.callLater(configuration.gateway.drain_timeout, bound.abort)
        if prepared.access_log is not self.access_log:
            replaced, self.access_log = self.access_log, prepared.access_log
            closing = replaced.stop()
            self._closing.append(closing)
            closing.addCallback(lambda _: self._closing.remove(closing))
            # opened now, so that an operator who looks after a reload sees what is wrong with it
            self.access_log.reopen()
        self.jobs.commit(configuration, prepared.gateway.jobs, self._observe_run)
        self._sweep_every(_sweep_interval(configuration))
        self.committed()

    # time

    def _sweep_every(self, interval: float) -> None:
        if self._sweeping.running:
            self._sweeping.stop()
        self._sweeping.clock = self._reactor
        self._sweeping.start(interval, now=False).addErrback(self._sweep_failed)

    def _sweep_failed(self, failure: Failure) -> None:
        """Go on: without sweeps no deadline would hold any more."""
        _log.failure("a sweep failed", failure)
        self._sweep_every(self._sweeping.interval or LONGEST_SWEEP)

    def _sweep(self) -> None:
        now = time.monotonic()
        self._serving.wall_offset = time.time() - now
        self.listeners.sweep(now)
        self.upstreams.sweep(now)
        self.swept(now)
        if self.capacity.is_paused:
            self.capacity.check()

    # the end

    def drain(self, timeout: float, gently: bool = False) -> Deferred[None]:
        """Accept no more, and wait until what is under way has ended, ``timeout`` seconds at most.

        Calls of jobs are given ``async_drain_timeout``.  Gently means that others take over: a connection
        that was used a moment ago may ask once more.
        """
        clients = Deferred.fromCoroutine(self._drain_clients(timeout, gently))
        jobs = self.jobs.drain(self.configuration.gateway.async_drain_timeout)
        return gatherResults([clients, jobs], consumeErrors=True).addCallback(lambda _: None)

    async def _drain_clients(self, timeout: float, gently: bool) -> None:
        self.listeners.stop_accepting()
        self._let_end(gently)
        _log.info("draining {count} connections", count=self.listeners.open_count)
        over: Deferred[None] = deferLater(self._reactor, timeout)
        while self.listeners.open_count and not over.called:
            await deferLater(self._reactor, DRAIN_POLL)
            self._let_end(gently)
        over.addErrback(lambda cancelled: None).cancel()
        if self.listeners.open_count:
            _log.warn("cutting {count} connections", count=self.listeners.open_count)
            # now: calls of jobs may go on for much longer
            self.listeners.abort()

    def _let_end(self, gently: bool) -> None:
        if gently:
            self.listeners.drain_gently(time.monotonic() - QUIET)
        else:
            self.listeners.drain()

    def stop(self) -> Deferred[None]:
        """Close everything that is left."""
        if self._sweeping.running:
            self._sweeping.stop()
        self.listeners.stop_accepting()
        self.listeners.abort()
        self.upstreams.stop()
        self.tally()
        return self.jobs.stop().addCallback(lambda _: self._close_logs())

    def _close_logs(self) -> Deferred[None]:
        """Close the access log; one that a reload has replaced may still have something to write."""
        return gatherResults([*self._closing, self.access_log.stop()]).addCallback(lambda _: None)


def _proxies(configuration: Configuration) -> dict[str, ListenerConfig]:
    """Return the listeners that clients use."""
    return {name: config for name, config in configuration.listeners.items() if config.serve == "proxy"}


def _make_access_log(reactor: Any, configuration: Configuration) -> AccessLog:
    gateway = configuration.gateway
    return AccessLog(gateway.access_log, gateway.access_log_format, gateway.redact_query, reactor)


def make_tls(configuration: Configuration, read: Read) -> UpstreamTLS:
    """Return the TLS of all upstreams, made anew: their authority may be another one in the same file.

    Raises ``ValueError`` if that cannot be used.
    """
    tls = UpstreamTLS(read)
    for upstream in configuration.upstreams.values():
        for target in upstream.targets:
            tls.creator(upstream, target)
    return tls


def _sweep_interval(configuration: Configuration) -> float:
    """Return how often deadlines are looked at, in seconds."""
    timeouts = [LONGEST_SWEEP * 4]
    for listener in configuration.listeners.values():
        timeouts += [
            listener.header_timeout,
            listener.idle_timeout,
            listener.body_timeout,
            listener.send_timeout,
        ]
    for upstream in configuration.upstreams.values():
        timeouts += [
            upstream.response_timeout,
            upstream.read_timeout,
            upstream.keepalive_timeout,
            upstream.eject_for,
        ]
    timeouts += [route.timeout for route in configuration.routes.values() if route.timeout is not None]
    return max(SHORTEST_SWEEP, min(timeouts) / 4)
