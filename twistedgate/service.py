"""From a configuration to a running gateway: start, reload, drain, stop, in written order.

A reload waits, a few seconds at most, until its new names are looked up; then it is prepared aside (compiled,
new addresses bound) and swapped in by assignments that cannot fail; whatever is wrong leaves everything as it
was.  Of two reloads the later one counts.  A stop says so to whoever asks for readiness,
waits ``drain_delay``, stops accepting, lets what is under way end within ``drain_timeout``, and only then
closes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import deferLater
from twisted.logger import Logger

from twistedgate.admin.listener import AdminListener
from twistedgate.admin.site import AdminSite, admin_factory
from twistedgate.admin.view import Outcome
from twistedgate.config.model import Configuration, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.downstream.listeners import CannotListen, Listeners
from twistedgate.downstream.listeners import Prepared as PreparedListeners
from twistedgate.net.announcing import Announcing
from twistedgate.net.notify import Notifier
from twistedgate.net.signals import install_signals
from twistedgate.net.tls import ClientTLS
from twistedgate.operations import Operations
from twistedgate.reloading import Reloading, names_of
from twistedgate.serving import Prepared as PreparedServing
from twistedgate.serving import Server, TLSOf
from twistedgate.units import Units
from twistedgate.upstream.judges import Judges
from twistedgate.upstream.judging import Judging, Standing, Watching
from twistedgate.upstream.lookup import SystemLookup
from twistedgate.upstream.probe import HTTPProbe
from twistedgate.upstream.prober import Probing
from twistedgate.upstream.resolver import Resolver
from twistedgate.upstream.settling import Settling
from twistedgate.upstream.targets import Surroundings
from twistedgate.view import View

_log = Logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration, ready to be swapped in."""

    serving: PreparedServing
    judges: dict[str, Judging]
    operators: PreparedListeners


class GatewayService(Service):
    """The gateway as twistd runs it."""

    def __init__(self, reactor: Any, path: str, configuration: Configuration, units: Units) -> None:
        self.path = path
        self.configuration = configuration
        self.is_draining = False
        self.is_accepting = False
        self.opened = time.time()
        self._reactor = reactor
        self._units = units
        self._resolver = self._make_resolver()
        self._opening = Settling(self._resolver)
        self._reloading = Reloading(
            path,
            Settling(self._resolver),
            lambda: self._units.load(path),
            lambda: self.configuration,
            self._use,
        )
        self.judges = Judges(self._make_watching(), self._publish)
        self.server = Server(reactor, configuration, units, self._make_surroundings)
        self.server.swept = self.judges.sweep
        self.operators = Listeners(reactor, self._make_admin_listener)
        self._announcing = Announcing(Notifier.from_environment(os.environ), reactor)
        self._first: Prepared | None = None

    def _make_resolver(self) -> Resolver:
        return Resolver(self._reactor, SystemLookup(self._reactor))

    def _make_watching(self) -> Watching:
        reactor, now = self._reactor, time.monotonic
        probing = Probing(reactor, now, random.random, HTTPProbe(reactor))
        return Watching(now, self._resolver, probing, self._tls_of)

    def _make_surroundings(self, tls: TLSOf) -> Surroundings:
        return Surroundings(self._reactor, time.monotonic, random.random, tls, self.judges.port)

    def _tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return the TLS of a target for its checks: that of the requests."""
        return self.server.tls_of(upstream, target)

    def _publish(self, upstream: str, standings: tuple[Standing, ...]) -> None:
        """Tell those who send requests how the targets stand."""
        self.server.upstreams.take(upstream, standings)

    def _make_admin_listener(self, config: ListenerConfig) -> AdminListener:
        return AdminListener(config, self._make_site)

    def _make_site(self, config: ListenerConfig) -> AdminSite:
        return admin_factory(View(self), Operations(self), config, self.configuration.gateway)

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
        self._reactor.callWhenRunning(self.server.access_log.reopen)
        self._reactor.callWhenRunning(
            self._announcing.start, "waiting until it is known where the targets are"
        )
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """Accept the operator at once, and clients as soon as it makes no sense to wait for names."""
        self.operators.resume_accepting()
        self._opening.wait(names_of(self.configuration), self._accept)

    def _accept(self) -> None:
        self.server.listeners.resume_accepting()
        if not self.is_accepting:
            self.is_accepting = True
            _log.info("ready")
            self._announcing.ready(_summary(self.configuration))

    # a configuration takes effect

    def _prepare(self, configuration: Configuration) -> Prepared:
        """Make everything that a configuration wants, aside; what it raises leaves nothing behind."""
        serving = self.server.prepare(configuration)
        try:
            judges = self.judges.prepare(configuration.upstreams)
            return Prepared(serving, judges, self.operators.prepare(_operators(configuration)))
        except BaseException:
            self.server.abandon(serving)
            raise

    def _commit(self, prepared: Prepared) -> None:
        """Swap a prepared configuration in."""
        self.configuration = prepared.serving.configuration
        self.server.commit(prepared.serving)
        # at once: whoever is new there knows of no target before
        self.judges.commit(prepared.judges)
        self.operators.commit(prepared.operators)

    def _use(self, configuration: Configuration) -> None:
        """Prepare a configuration whose names are settled and swap it in, in one turn."""
        self._commit(self._prepare(configuration))
        self._begin()

    def reload(self) -> Deferred[Outcome]:
        """Read the configuration again; whatever is wrong with it, the present one stays in use."""
        if self.is_draining:
            _log.warn("a reload is ignored: the gateway is shutting down")
            return succeed(Outcome(errors=("the gateway is shutting down",)))
        self._announcing.reload_begins()
        return self._reloading.ask().addCallback(self._reloaded)

    def _reloaded(self, outcome: Outcome) -> Outcome:
        """Say what became of a reload."""
        last = f"refused: {outcome.errors[0]}" if outcome.errors else outcome.said
        self._announcing.reload_ended(f"{_summary(self.configuration)}; the last reload: {last}")
        return outcome

    def reopen_logs(self) -> None:
        """Write the access log to a new file of its name from now on."""
        self.server.access_log.reopen()

    # the end

    def shut_down(self) -> None:
        """Stop in order; asked a second time, stop at once."""
        if self.is_draining:
            _log.warn("stopping at once")
            self._stop_reactor()
            return
        self.is_draining = True
        self._announcing.stopping(f"draining; connections: {self.server.listeners.open_count}")
        self._stop_waiting()
        ensureDeferred(self._drain()).addErrback(
            lambda failure: _log.failure("the drain failed", failure)
        ).addBoth(lambda _: self._stop_reactor())

    async def _drain(self) -> None:
        gateway = self.configuration.gateway
        _log.info("shutting down: not ready any more")
        await deferLater(self._reactor, gateway.drain_delay)
        await self.server.drain(gateway.drain_timeout)

    def _stop_waiting(self) -> None:
        """What waits for names comes too late."""
        self._reloading.stop("the gateway is shutting down")
        self._opening.stop()

    def _stop_reactor(self) -> None:
        # a second signal, or the end of the drain, may find it on its way down already
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Close everything that is left."""
        super().stopService()
        self._announcing.stop()
        self._stop_waiting()
        self.operators.stop_accepting()
        self.judges.stop()
        return self.server.stop()


def _operators(configuration: Configuration) -> dict[str, ListenerConfig]:
    """Return the listeners that operators use."""
    return {name: config for name, config in configuration.listeners.items() if config.serve == "admin"}


def _summary(configuration: Configuration) -> str:
    """Return in a few words what is served."""
    return f"serving; listeners: {len(configuration.listeners)}, routes: {len(configuration.routes)}"
