"""From a configuration to a running gateway: start, reload, drain, stop, in written order.

A reload waits, a few seconds at most, until its new names are looked up; then it is prepared aside (compiled,
new addresses bound) and swapped in by assignments that cannot fail; whatever is wrong leaves everything as it
was.  Of two reloads the later one counts.  A stop says so to whoever asks for readiness, waits
``drain_delay``, stops accepting, lets what is under way end within ``drain_timeout``, calls of jobs within
``async_drain_timeout``, and only then closes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.admin.listener import AdminListener
from twistedgate.admin.view import Outcome
from twistedgate.alone import Alone
from twistedgate.assembly import CannotBeMade
from twistedgate.config.model import Configuration, ListenerConfig
from twistedgate.downstream.listeners import CannotListen, Listeners
from twistedgate.downstream.listeners import Prepared as PreparedListeners
from twistedgate.facts import Serves
from twistedgate.net.announcing import Announcing
from twistedgate.net.descriptors import raise_descriptors
from twistedgate.net.notify import Notifier, unnotified
from twistedgate.net.signals import install_signals
from twistedgate.observers.queues import Queues
from twistedgate.operations import ONE_PROCESS, Operations
from twistedgate.reloading import Reloading, names_of
from twistedgate.serving import CannotServe, TLSOf, fault
from twistedgate.stores.choosing import make_store
from twistedgate.units import Units
from twistedgate.upgrading import NO_PROGRAM, Pidfile, Program, Upgrading
from twistedgate.upstream.judging import Watching
from twistedgate.upstream.lookup import SystemLookup
from twistedgate.upstream.probe import HTTPProbe
from twistedgate.upstream.prober import Probing
from twistedgate.upstream.resolver import Resolver
from twistedgate.upstream.settling import Settling
from twistedgate.upstream.witness import Witness
from twistedgate.view import View
from twistedgate.workers.handover import release_signals, take
from twistedgate.workers.interpreter import run_module

if TYPE_CHECKING:
    from twistedgate.admin.site import AdminSite

WORKER = "twistedgate.workers.worker"
"""The program of a worker."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration, ready to be swapped in."""

    configuration: Configuration
    serving: Any
    """What the crew has prepared."""
    operators: PreparedListeners


class GatewayService(Service):
    """The gateway as twistd runs it."""

    def __init__(
        self,
        reactor: Any,
        path: str,
        configuration: Configuration,
        units: Units,
        program: Program = NO_PROGRAM,
    ) -> None:
        """``program`` is what runs in this process, and can be replaced by newer code of it."""
        self.path = path
        self.configuration = configuration
        self.is_draining = False
        self.is_accepting = False
        self._left = take(os.environ)
        self.opened = time.time() if self._left is None else self._left.opened
        self.is_reload_good, self.last_reload = True, self.opened
        self._reactor = reactor
        self._units = units
        self._user = program.user
        self._pidfile = Pidfile(program.pidfile)
        self._resolver = self._make_resolver()
        self._opening = Settling(self._resolver)
        self._reloading = Reloading(
            path,
            Settling(self._resolver),
            lambda: self._units.load(path),
            lambda: self.configuration,
            self._use,
        )
        self._upgrading: Upgrading | None = None
        self.crew = self._make_crew(program)
        self.queues = Queues(reactor, time.time)
        self.operators = Listeners(reactor, self._make_admin_listener, self.crew.opened)
        self._announcing = Announcing(Notifier.from_environment(os.environ), reactor, self.crew.is_well)
        self._first: Prepared | None = None

    def _make_resolver(self) -> Resolver:
        return Resolver(self._reactor, SystemLookup(self._reactor))

    def _make_crew(self, program: Program) -> Serves:
        workers = self.configuration.gateway.workers or len(os.sched_getaffinity(0))
        if workers == 1 and self._left is None:
            alone = Alone(self._reactor, self.configuration, self._units, self._make_watching)
            alone.on_deserted = self._desert
            return alone
        # one process alone has no use for them, and the memory
        from twistedgate.workers.crew import Launch
        from twistedgate.workers.supervisor import Means, Supervisor

        # channels, operators and checks of many targets want theirs, too
        raise_descriptors()
        launch = Launch(run_module(WORKER), unnotified(os.environ))
        store = make_store(self.configuration.gateway, self._reactor)
        means = Means(launch, self._make_watching, store)
        supervisor = Supervisor(self._reactor, workers, means, self._left)
        supervisor.on_deserted = self._desert
        self._upgrading = Upgrading(self._reactor, self.path, supervisor, program, self._upgrade_begins)
        self._upgrading.opened = self.opened
        self._upgrading.hindrance = self._why_no_upgrade
        return supervisor

    def _make_watching(self, tls: TLSOf, witness: Witness) -> Watching:
        reactor, now = self._reactor, time.monotonic
        probing = Probing(reactor, now, random.random, HTTPProbe(reactor))
        return Watching(now, self._resolver, probing, tls, witness)

    def _make_admin_listener(self, config: ListenerConfig) -> AdminListener:
        return AdminListener(config, self._make_site)

    def _make_site(self, config: ListenerConfig) -> AdminSite:
        # a web server of Twisted's own, which takes memory where nobody asks it anything
        from twistedgate.admin.site import admin_factory

        return admin_factory(View(self), Operations(self), config, self.configuration.gateway)

    # start

    def privilegedStartService(self) -> None:
        """Bind every address while the process may still bind any; nothing is accepted yet."""
        try:
            self._first = self._prepare_first()
        except CannotListen as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None
        except CannotBeMade as error:
            _log.failure("what is to be served cannot be made", fault(error)[0])
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None
        self._give_away()

    def _give_away(self) -> None:
        """Have unix sockets belong to whom this process becomes, who is to take them away, too."""
        for name, config in self.configuration.listeners.items():
            if self._user is None or not config.endpoint.path:
                continue
            try:
                self._user.take(config.endpoint.path)
            except OSError as error:
                sys.stderr.write(f"[listener:{name}] endpoint: {config.endpoint}: {error}\n")
                raise SystemExit(1) from None

    def _prepare_first(self) -> Prepared:
        """Prepare what nobody has to be asked about: nothing is served yet."""
        prepared: list[Prepared] = []
        failed: list[Failure] = []
        self._prepare(self.configuration).addCallbacks(prepared.append, failed.append)
        for failure in failed:
            failure.raiseException()
        return prepared[0]

    def startService(self) -> None:
        """Find the targets, then accept connections."""
        super().startService()
        first, self._first = self._first, None
        self._commit(self._prepare_first() if first is None else first)
        self._reactor.callWhenRunning(
            install_signals,
            self._reactor,
            {
                signal.SIGTERM: self.shut_down,
                signal.SIGINT: self.shut_down,
                signal.SIGHUP: self.reload,
                signal.SIGUSR1: self.reopen_logs,
                signal.SIGUSR2: self._upgrade_by_signal,
            },
        )
        self._reactor.callWhenRunning(release_signals)
        self._reactor.callWhenRunning(self.crew.start)
        self._reactor.callWhenRunning(
            self._announcing.start, "waiting until it is known where the targets are"
        )
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """Accept the operator at once, and clients as soon as it makes no sense to wait for names."""
        self.operators.resume_accepting()
        self._opening.wait(names_of(self.configuration), self._accept)

    def _accept(self) -> None:
        self.crew.resume_accepting().addCallback(lambda _: self._serve())

    def _serve(self) -> None:
        if not self.is_accepting and not self.is_draining:
            self.is_accepting = True
            _log.info("ready")
            self._announcing.ready(_summary(self.configuration))

    # a configuration takes effect

    def _prepare(self, configuration: Configuration) -> Deferred[Prepared]:
        """Make everything that a configuration wants, aside; what it fails with leaves nothing behind."""

        def prepared(serving: Any) -> Prepared:
            try:
                operators = self.operators.prepare(_operators(configuration))
            except BaseException:
                self.crew.abandon(serving)
                raise
            return Prepared(configuration, serving, operators)

        return self.crew.prepare(configuration).addCallback(prepared)

    def _commit(self, prepared: Prepared) -> Deferred[None]:
        """Swap a prepared configuration in; fires when everybody serves by it."""
        self.configuration = prepared.configuration
        in_use = self.crew.commit(prepared.serving)
        self.operators.commit(prepared.operators)
        return in_use

    def _use(self, configuration: Configuration) -> Deferred[None]:
        """Prepare a configuration whose names are settled and swap it in; fires when everybody has."""

        def prepared(ready: Prepared) -> Deferred[None]:
            if self.is_draining:
                self.crew.abandon(ready.serving)
                self.operators.abandon(ready.operators)
                raise CannotServe(("the gateway is shutting down",))
            in_use = self._commit(ready)
            self._begin()
            return in_use

        return self._prepare(configuration).addCallback(prepared)

    def reload(self) -> Deferred[Outcome]:
        """Read the configuration again; whatever is wrong with it, the present one stays in use."""
        if self.is_draining:
            _log.warn("a reload is ignored: the gateway is shutting down")
            return succeed(Outcome(errors=("the gateway is shutting down",)))
        self._announcing.reload_begins()
        return self._reloading.ask().addCallback(self._reloaded)

    def _reloaded(self, outcome: Outcome) -> Outcome:
        """Say what became of a reload."""
        self.crew.measures.metrics.reloaded("applied" if outcome.is_done else "refused")
        self.is_reload_good, self.last_reload = outcome.is_done, time.time()
        last = f"refused: {outcome.errors[0]}" if outcome.errors else outcome.said
        self._announcing.reload_ended(f"{_summary(self.configuration)}; the last reload: {last}")
        return outcome

    def upgrade(self) -> Deferred[Outcome]:
        """Let newly installed code take the place of this program."""
        if self._upgrading is None:
            return succeed(Outcome(errors=(ONE_PROCESS,)))
        return self._upgrading.ask()

    def _why_no_upgrade(self) -> str:
        if self.is_draining:
            return "the gateway is shutting down"
        return "a reload is under way; try again when it is done" if self._reloading.is_under_way else ""

    def _upgrade_begins(self, begins: bool) -> None:
        if begins:
            self._announcing.reload_begins()
        else:
            self._announcing.reload_ended(_summary(self.configuration))

    def _upgrade_by_signal(self) -> None:
        if self._upgrading is None:
            _log.warn("upgrade refused: {why}", why=ONE_PROCESS)
        else:
            self.upgrade()

    def reopen_logs(self) -> None:
        """Write the access log to a new file of its name from now on."""
        self.crew.reopen_logs()

    # the end

    def shut_down(self) -> None:
        """Stop in order; asked a second time, stop at once."""
        if self.is_draining:
            _log.warn("stopping at once")
            self._stop_reactor()
            return
        self.is_draining = True
        self._announcing.stopping(f"draining; connections: {self.crew.connections}")
        self._stop_waiting()
        ensureDeferred(self._drain()).addErrback(
            lambda failure: _log.failure("the drain failed", failure)
        ).addBoth(lambda _: self._stop_reactor())

    async def _drain(self) -> None:
        gateway = self.configuration.gateway
        _log.info("shutting down: not ready any more")
        await deferLater(self._reactor, gateway.drain_delay)
        await self.crew.drain(gateway.drain_timeout)

    def _stop_waiting(self) -> None:
        """What waits for names comes too late."""
        self._reloading.stop("the gateway is shutting down")
        self._opening.stop()

    def _desert(self) -> None:
        """Nobody can serve any more: end, and say by the exit status that it was not well."""
        self._reactor.addSystemEventTrigger("after", "shutdown", self._fail)
        self._stop_reactor()

    def _fail(self) -> None:
        """End as failed, which twistd has no way for; it would take its pidfile away."""
        with suppress(OSError):
            self._pidfile.take_away()
        os._exit(1)

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
        return self.crew.stop()


def _operators(configuration: Configuration) -> dict[str, ListenerConfig]:
    """Return the listeners that operators use."""
    return {name: config for name, config in configuration.listeners.items() if config.serve == "admin"}


def _summary(configuration: Configuration) -> str:
    """Return in a few words what is served."""
    return f"serving; listeners: {len(configuration.listeners)}, routes: {len(configuration.routes)}"
