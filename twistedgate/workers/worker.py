"""One process that serves: what the supervisor tells it, it does, and it ends with the supervisor.

``python -m twistedgate.workers.worker SLOT ROW PARENT`` expects the channel to the supervisor and the
scoreboard as descriptors 3 and 4.  It reads no file of the configuration, binds no address and judges no
target.  Its log goes to the supervisor.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

from twistedgate.background.service import JobService
from twistedgate.config.model import Configuration
from twistedgate.downstream.listeners import CannotListen
from twistedgate.net.allocator import keep_memory
from twistedgate.net.opened import Opened
from twistedgate.net.parent import end_with_parent
from twistedgate.net.signals import install_signals
from twistedgate.net.streams import take_closed_streams
from twistedgate.observers.metrics import Metrics
from twistedgate.serving import Circumstances, Prepared, Server, TLSOf, fault
from twistedgate.stores.choosing import make_store
from twistedgate.units import Units
from twistedgate.upstream.targets import Surroundings
from twistedgate.workers.accepting import Share
from twistedgate.workers.channel import Channel, Message, adopt
from twistedgate.workers.logs import WorkerLog
from twistedgate.workers.material import unpack
from twistedgate.workers.member import CHANNEL, SCOREBOARD
from twistedgate.workers.nudges import Nudges, standing_of
from twistedgate.workers.places import Placed, idle_gauge, listener_gauge, pool_gauge
from twistedgate.workers.scoreboard import HEARTBEAT, PID, Row, Scoreboard
from twistedgate.workers.sharing import SharedCounts
from twistedgate.workers.wakeups import WakeUps

BEAT = 1.0
"""Seconds between two heartbeats."""

IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""A terminal's Ctrl-C reaches every process; what an operator wants is for the supervisor."""

_log = Logger("twistedgate.workers.worker")


class Worker:
    """Serves what it is told to."""

    def __init__(self, reactor: Any, units: Units, row: Row) -> None:
        self.channel = Channel(self._received, self._lost)
        self._reactor = reactor
        self._units = units
        self._row = row
        self._placed = Placed(
            row, lambda columns, gauges: self._say("placed", columns=columns, gauges=gauges)
        )
        self._nudges = Nudges(
            lambda rows: self._say("outcomes", rows=rows), lambda call: reactor.callLater(0, call)
        )
        self._opened: dict[str, Opened] = {}
        self._server: Server | None = None
        self._metrics: Metrics | None = None
        self._wakeups: WakeUps | None = None
        self._prepared: dict[int, Prepared] = {}
        self._is_ready = False
        self._is_draining = False
        self._beating = LoopingCall(self._beat)
        self._beating.clock = reactor
        self._does: dict[str, Callable[[Message], None]] = {
            "configure": self._configure,
            "commit": self._commit,
            "abandon": self._abandon,
            "standings": self._hear_standings,
            "accept": self._accept,
            "drain": lambda message: self.drain(message.fields["timeout"], message.fields["gently"]),
            "reopen": self._reopen,
            "jobs": self._hear_of_jobs,
        }

    def start(self) -> None:
        """Begin to show that this process is alive."""
        self._row.set(PID, os.getpid())
        self._beating.start(BEAT).addErrback(lambda failure: _log.failure("the heart stops", failure))

    def _beat(self) -> None:
        self._row.set(HEARTBEAT, int(self._reactor.seconds() * 1e9))
        self._placed.sweep()
        if self._server is not None:
            self._server.tally()
            self._gauge(self._server)

    def _gauge(self, server: Server) -> None:
        """Show the connections of this process."""
        shown = {listener_gauge(bound.config.name): bound.open_count for bound in server.listeners.bound}
        for upstream in server.upstreams:
            shown[pool_gauge(upstream.name)] = upstream.pool.open_count
            shown[idle_gauge(upstream.name)] = upstream.pool.idle_count
        for name, count in shown.items():
            gauge = self._placed.gauges.get(name)
            if gauge is not None:
                self._row.set(gauge, count)

    def _say(self, kind: str, **fields: Any) -> bool:
        return self.channel.send(kind, **fields)

    def log(self, **record: str) -> bool:
        """Have the supervisor log something."""
        return self.channel.is_open and self._say("log", **record)

    # what the supervisor says

    def _received(self, message: Message) -> None:
        does = self._does.get(message.kind)
        if does is not None:
            self._take_places(message)
            does(message)

    def _take_places(self, message: Message) -> None:
        if self._placed.take(message.fields.get("places")) and self._metrics is not None:
            self._metrics.arrange()

    def _configure(self, message: Message) -> None:
        """Prepare a configuration aside, and say whether it could be done."""
        revision: int = message.fields["revision"]
        names = message.fields["listeners"]
        self._opened = {
            name: Opened(socket.socket(fileno=os.dup(descriptor)))
            for name, descriptor in zip(names, message.descriptors, strict=True)
        }
        errors: list[str] = []
        opening: Deferred[None] = succeed(None)
        try:
            configuration, material = unpack(message.blob)
            if self._server is None:
                self._server = self._make_server(configuration)
                opening = self._server.jobs.start()
            self._prepared[revision] = self._server.prepare(configuration, material.read)
        except CannotListen as error:
            errors.append(str(error))
        except Exception as error:  # noqa: BLE001 -- a third party's policy may raise anything
            cause, told = fault(error)
            _log.failure("what is to be served cannot be made", cause)
            errors.append(told)
        finally:
            for opened in self._opened.values():
                # the listeners have copies
                opened.socket.close()
        opening.addErrback(lambda failure: errors.append(f"jobs cannot be kept: {failure.value}"))
        opening.addCallback(lambda _: self._say("prepared", revision=revision, errors=errors))

    def _commit(self, message: Message) -> None:
        """Serve what was prepared, unless this process accepts nobody any more."""
        if self._is_draining:
            self._abandon(message)
            self._say("committed", revision=message.fields["revision"])
            return
        assert self._server is not None
        self._server.commit(self._prepared.pop(message.fields["revision"]))
        for upstream, rows in message.fields["standings"].items():
            self._take_standings(upstream, rows)
        if message.fields["accepting"]:
            self._accept(message)
        self._say("committed", revision=message.fields["revision"])
        if not self._is_ready:
            self._is_ready = True
            self._say("ready")

    def _abandon(self, message: Message) -> None:
        prepared = self._prepared.pop(message.fields["revision"], None)
        if prepared is not None and self._server is not None:
            self._server.abandon(prepared)

    def _hear_standings(self, message: Message) -> None:
        self._take_standings(message.fields["upstream"], message.fields["rows"])

    def _hear_of_jobs(self, message: Message) -> None:
        if self._wakeups is not None:
            self._wakeups.hear(message.fields["news"])

    def _accept(self, message: Message) -> None:
        if self._server is not None and not self._is_draining:
            self._server.listeners.resume_accepting()

    def _reopen(self, message: Message) -> None:
        if self._server is not None:
            self._server.access_log.reopen()

    # serving

    def _make_server(self, configuration: Configuration) -> Server:
        counts = SharedCounts(self._row, self._placed.gauges)
        self._metrics = Metrics(self._row.counters, self._placed.columns)

        def surroundings(tls: TLSOf) -> Surroundings:
            return Surroundings(self._reactor, time.monotonic, random.random, tls, self._nudges.port, counts)

        store = make_store(configuration.gateway, self._reactor)
        jobs = JobService(self._reactor, store, self._metrics.jobs)
        self._wakeups = WakeUps(
            jobs.store,
            lambda news: self._say("jobs", news=news),
            lambda call: self._reactor.callLater(0, call),
        )
        circumstances = Circumstances(
            surroundings,
            self._metrics,
            jobs,
            counts,
            lambda config: self._opened[config.name],
            Share(self._row, self._reactor),
        )
        server = Server(self._reactor, configuration, self._units, circumstances)
        server.access_log.reopen()
        return server

    def _take_standings(self, upstream: str, rows: list[list[Any]]) -> None:
        if self._server is not None:
            self._server.upstreams.take(upstream, tuple(map(standing_of, rows)))

    # the end

    def leave(self) -> None:
        """Drain without having been told to: another worker is to have this one's place."""
        if not self._is_draining:
            self._say("leaving")
            self.drain()

    def drain(self, timeout: float | None = None, gently: bool = True) -> None:
        """Accept no more, and end when what is under way has ended, ``timeout`` seconds at most."""
        if self._is_draining:
            return
        self._is_draining = True
        if self._server is None:
            self._close()
            return
        if timeout is None:
            timeout = self._server.configuration.gateway.drain_timeout
        draining = self._server.drain(timeout, gently)
        draining.addErrback(lambda failure: _log.failure("the drain failed", failure))
        draining.addCallback(lambda _: self._stop_serving())

    def _stop_serving(self) -> None:
        assert self._server is not None
        self._nudges.flush()
        self._server.stop().addBoth(lambda _: self._close())

    def _close(self) -> None:
        """Say what is still to be said; the end of the channel is that of the process."""
        if self._beating.running:
            self._beating.stop()
        self.channel.close()

    def _lost(self) -> None:
        """The channel is closed, or the supervisor is gone: nobody would know of this process any more."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()


def main(arguments: Sequence[str]) -> int:
    """Serve until the channel ends; return the exit status."""
    _, row, parent = map(int, arguments)
    take_closed_streams()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if not end_with_parent(parent):
        return 1
    from twistedgate.net.reactor import install

    install()
    from twisted.internet import reactor  # noqa: TID251 -- a process of its own

    from twistedgate.published import all_units

    keep_memory()
    running: Any = reactor
    worker = Worker(running, all_units(), Scoreboard.attach(SCOREBOARD).row(row))
    log = WorkerLog(worker.log, running.callFromThread)
    # what a policy prints is logged, too, as twistd has it: its output is the access log's
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(log, [_without_routine()])])
    adopt(running, CHANNEL, worker.channel)
    running.callWhenRunning(install_signals, running, {signal.SIGTERM: worker.leave})
    running.callWhenRunning(worker.start)
    running.run(installSignalHandlers=False)
    return 0


def _without_routine() -> LogLevelFilterPredicate:
    """Leave out what Twisted says of each address and each loop: the supervisor has said it once."""
    predicate = LogLevelFilterPredicate(LogLevel.info)
    for namespace in ("log_legacy", "twisted.internet"):
        predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
    return predicate


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
