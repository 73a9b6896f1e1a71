"""From a configuration to a running gateway: start, reload, drain, stop, in written order.

A reload waits, a few seconds at most, until its new names are looked up; then it is prepared aside (compiled,
new addresses bound) and swapped in by assignments that cannot fail; whatever is wrong leaves everything as it
was.  Of two reloads the later one counts.  A stop says so to whoever asks for readiness,
waits ``drain_delay``, stops accepting, lets what is under way end within ``drain_timeout``, and only then
closes.
"""

from __future__ import annotations

import gc
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.admin.listener import AdminListener
from twistedgate.admin.site import AdminSite, admin_factory
from twistedgate.assembly import Assembler, Gates
from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.model import Configuration, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.downstream.capacity import Capacity
from twistedgate.downstream.hosting import Serving
from twistedgate.downstream.listener import Listener, RequestIds
from twistedgate.downstream.listeners import Bound, CannotListen, Listeners
from twistedgate.downstream.listeners import Prepared as PreparedListeners
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.http.hops import Forwarder
from twistedgate.net.descriptors import count_descriptors, raise_descriptors
from twistedgate.net.signals import install_signals
from twistedgate.net.tls import ClientTLS, UpstreamTLS
from twistedgate.observers.access_log import AccessLog
from twistedgate.units import Units
from twistedgate.upstream.lookup import SystemLookup
from twistedgate.upstream.probe import HTTPProbe
from twistedgate.upstream.prober import Probing
from twistedgate.upstream.resolver import Resolver
from twistedgate.upstream.settling import Settling
from twistedgate.upstream.targets import Surroundings
from twistedgate.upstream.upstream import Upstream
from twistedgate.upstream.upstreams import Upstreams
from twistedgate.view import View

_log = Logger()

LONGEST_SWEEP = 1.0
SHORTEST_SWEEP = 0.02
"""Seconds between two looks at all deadlines; a quarter of the shortest timeout, between these two."""

YOUNG_OBJECTS = 50_000
"""Objects made and not yet freed before the collector looks for cycles.

Exchanges leave none, and a few dozen under way at once are more than its usual 700, which made it look after
every thirtieth request.
"""

OWN_DESCRIPTORS = 8
"""Descriptors that a running gateway needs besides connections: listeners, logs, probes, names."""

DRAIN_POLL = 0.05
"""Seconds between two looks at whether everything under way has ended."""

Made = TypeVar("Made")


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


class GatewayService(Service):
    """The gateway as twistd runs it."""

    def __init__(self, reactor: Any, path: str, configuration: Configuration, units: Units) -> None:
        self.path = path
        self.configuration = configuration
        self.is_draining = False
        self.is_accepting = False
        self.opened = time.time()
        self._tls = UpstreamTLS()
        surroundings = self._make_surroundings(reactor)
        self.upstreams = Upstreams(surroundings)
        self._opening = Settling(surroundings.resolver)
        self._reloading = Settling(surroundings.resolver)
        self.capacity = Capacity(
            raise_descriptors(), count_descriptors() + OWN_DESCRIPTORS, lambda: self.upstreams.open_count
        )
        self.listeners = Listeners(reactor, self._make_listener)
        self.access_log = self._make_access_log(reactor, configuration)
        self._reactor = reactor
        self._units = units
        self.gates = Gates()
        self._assembler = Assembler(units, self.gates, self._observe, time.monotonic)
        self._name = f"twistedgate-{secrets.token_hex(4)}"
        self._request_ids = RequestIds(secrets.token_hex(6))
        self._serving = Serving()
        self._sweeping = LoopingCall(self._sweep)
        self._first: Prepared | None = None

    def _observe(self, exchange: Exchange) -> None:
        self.access_log.write(exchange)

    def _make_surroundings(self, reactor: Any) -> Surroundings:
        now = time.monotonic
        return Surroundings(
            reactor,
            now,
            random.random,
            Resolver(reactor, SystemLookup(reactor)),
            Probing(reactor, now, random.random, HTTPProbe(reactor)),
            self._tls_of,
        )

    def _tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return the TLS of a target by the configuration of now."""
        return self._tls.creator(upstream, target)

    @staticmethod
    def _make_access_log(reactor: Any, configuration: Configuration) -> AccessLog:
        gateway = configuration.gateway
        return AccessLog(gateway.access_log, gateway.access_log_format, gateway.redact_query, reactor)

    def _make_listener(self, config: ListenerConfig) -> Bound:
        if config.serve == "admin":
            return AdminListener(config, self._make_site)
        return Listener(config, self._serving, self.capacity, self._request_ids)

    def _make_site(self, config: ListenerConfig) -> AdminSite:
        return admin_factory(View(self), config, self.configuration.gateway)

    # start

    def privilegedStartService(self) -> None:
        """Bind every address while the process may still bind any; nothing is accepted yet."""
        try:
            self._first = self._prepare(self.configuration)
        except CannotListen as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None

    def startService(self) -> None:
        """Find the targets, then accept connections."""
        super().startService()
        first, self._first = self._first, None
        if first is None:
            first = self._prepare(self.configuration)
        self._commit(first)
        self._reactor.callWhenRunning(
            install_signals,
            self._reactor,
            {
                signal.SIGTERM: self.shut_down,
                signal.SIGINT: self.shut_down,
                signal.SIGHUP: self.reload,
                signal.SIGUSR1: self.reopen_logs,
            },
        )
        self._reactor.callWhenRunning(self.access_log.reopen)
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """Accept the operator at once, and clients as soon as it makes no sense to wait for names."""
        self.listeners.resume_operator()
        self._opening.wait(_names(self.configuration), self._accept)

    def _accept(self) -> None:
        self.listeners.resume_accepting()
        if not self.is_accepting:
            self.is_accepting = True
            _log.info("ready")

    # a configuration takes effect

    def _prepare(self, configuration: Configuration) -> Prepared:
        """Make everything that a configuration wants, aside; what it raises leaves nothing behind."""
        upstreams = self.upstreams.prepare(configuration.upstreams)
        gateway = self._assembler.assemble(configuration, upstreams)
        present = self.configuration.gateway
        wanted = configuration.gateway
        access_log = self.access_log
        if (wanted.access_log, wanted.access_log_format, wanted.redact_query) != (
            present.access_log,
            present.access_log_format,
            present.redact_query,
        ):
            access_log = self._make_access_log(self._reactor, configuration)
        return Prepared(
            configuration,
            upstreams,
            gateway,
            Forwarder(self._name, wanted.trusted_proxies),
            _make_tls(configuration),
            access_log,
            self.listeners.prepare(configuration.listeners),
        )

    def _commit(self, prepared: Prepared) -> None:
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
            replaced.stop()
            # opened now, so that an operator who looks after a reload sees what is wrong with it
            self.access_log.reopen()
        self._sweep_every(_sweep_interval(configuration))
        # what was frozen last time and is gone by now would stay for ever
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])

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
        if self.capacity.is_paused:
            self.capacity.check()

    def reload(self) -> None:
        """Read the configuration again; whatever is wrong with it, the present one stays in use."""
        if self.is_draining:
            _log.warn("a reload is ignored: the gateway is shutting down")
            return
        if self._reloading.names:
            _log.info("the reload that waits for names is given up: there is another")
            self._reloading.stop()
        configuration = self._unless_refused(lambda: self._units.load(self.path))
        if configuration is None:
            return
        self._reloading.wait(_names(configuration), lambda: self._take(configuration))
        if names := self._reloading.names:
            _log.info("the reload waits until it is known where {names} is", names=", ".join(names))

    def _take(self, configuration: Configuration) -> None:
        """Prepare a configuration whose names are settled and swap it in, in one turn."""
        prepared = self._unless_refused(lambda: self._prepare(configuration))
        if prepared is None:
            # the gates of routes that there will not be
            self.gates.commit(self.configuration)
            return
        self._commit(prepared)
        self._begin()
        _log.info("reloaded {path}", path=self.path)

    def _unless_refused(self, make: Callable[[], Made]) -> Made | None:
        """Return what a reload makes; says what is wrong with it, and returns ``None``."""
        try:
            return make()
        except ConfigurationErrors as errors:
            for error in errors.errors:
                _log.error("reload refused: {error}", error=error)
            count = len(errors.errors)
            what = "1 error" if count == 1 else f"{count} errors"
            _log.error("the configuration stays as it was: {what}", what=what)
        except CannotListen as error:
            _log.error("reload refused: {error}; the configuration stays as it was", error=error)
        except Exception:  # noqa: BLE001 -- a third party's policy may raise anything where it is made
            _log.failure("reload refused: what it asks for cannot be made; the configuration stays as it was")
        return None

    def reopen_logs(self) -> None:
        """Write the access log to a new file of its name from now on."""
        self.access_log.reopen()

    # the end

    def shut_down(self) -> None:
        """Stop in order; asked a second time, stop at once."""
        if self.is_draining:
            _log.warn("stopping at once")
            self._stop_reactor()
            return
        self.is_draining = True
        self._stop_waiting()
        ensureDeferred(self._drain()).addErrback(
            lambda failure: _log.failure("the drain failed", failure)
        ).addBoth(lambda _: self._stop_reactor())

    async def _drain(self) -> None:
        gateway = self.configuration.gateway
        _log.info("shutting down: not ready any more")
        await deferLater(self._reactor, gateway.drain_delay)
        self.listeners.stop_accepting()
        self.listeners.drain()
        _log.info("draining {count} connections", count=self.listeners.open_count)
        over: Deferred[None] = deferLater(self._reactor, gateway.drain_timeout)
        while self.listeners.open_count and not over.called:
            await deferLater(self._reactor, DRAIN_POLL)
        over.addErrback(lambda cancelled: None).cancel()
        if self.listeners.open_count:
            _log.warn("cutting {count} connections", count=self.listeners.open_count)

    def _stop_waiting(self) -> None:
        """What waits for names comes too late."""
        if self._reloading.names:
            _log.warn("the reload that waits for names is given up: the gateway is shutting down")
        self._reloading.stop()
        self._opening.stop()

    def _stop_reactor(self) -> None:
        # a second signal, or the end of the drain, may find it on its way down already
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Close everything that is left."""
        super().stopService()
        self._stop_waiting()
        if self._sweeping.running:
            self._sweeping.stop()
        self.listeners.close()
        self.listeners.abort()
        self.upstreams.stop()
        return self.access_log.stop()


def _make_tls(configuration: Configuration) -> UpstreamTLS:
    """Return the TLS of all upstreams, made anew: their authority may be another one in the same file.

    Raises ``ValueError`` if that cannot be used.
    """
    tls = UpstreamTLS()
    for upstream in configuration.upstreams.values():
        for target in upstream.targets:
            tls.creator(upstream, target)
    return tls


def _names(configuration: Configuration) -> set[str]:
    """Return the hosts of all targets."""
    return {target.host for upstream in configuration.upstreams.values() for target in upstream.targets}


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
