"""Serves by workers: opens the sockets, judges the targets, keeps the crew, and has all of it agree.

A configuration is prepared by every worker that serves; all say yes, or nothing happens anywhere.  Then it is
committed, which cannot fail.  A worker that is started later, or that was about to start, is given whatever
is in use by then.  Workers never read a file of the configuration.  This process accepts no client and runs
no job; what one worker changes in the store of jobs it passes on to the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.alone import WatchingOf
from twistedgate.config.model import Configuration, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.facts import ProcessFacts, TargetFacts, UpstreamFacts
from twistedgate.jobs.store import JobStore, StoreAway
from twistedgate.net.opened import Opened
from twistedgate.net.tls import ClientTLS, UpstreamTLS
from twistedgate.serving import CannotServe, make_tls
from twistedgate.workers.addresses import Addresses
from twistedgate.workers.briefing import Briefings, Prepared
from twistedgate.workers.channel import Message
from twistedgate.workers.court import Court
from twistedgate.workers.crew import Crew, Launch
from twistedgate.workers.handover import Handover, LeftMember, LeftSocket
from twistedgate.workers.logs import relog
from twistedgate.workers.material import collect, pack
from twistedgate.workers.member import Member
from twistedgate.workers.muster import Muster
from twistedgate.workers.places import Places
from twistedgate.workers.roster import Stage
from twistedgate.workers.scoreboard import HEARTBEAT, SUPERVISOR, Scoreboard
from twistedgate.workers.wakeups import News, WakeUps

_log = Logger()

CUT_AFTER = 2.0
"""Seconds that a worker is given beyond ``drain_timeout`` to end by itself."""

SWEEP = 0.25
"""Seconds between two looks at what time does to targets."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a supervisor has to work with."""

    launch: Launch
    watching: WatchingOf
    store: JobStore
    """Opened here for operators; jobs are run by workers only."""


class Supervisor:
    """Has workers serve the configuration that was committed last."""

    def __init__(
        self,
        reactor: Any,
        workers: int,
        means: Means,
        left: Handover | None = None,
    ) -> None:
        """``left`` is what an earlier program of this process has left to this one."""
        self._reactor = reactor
        self.store = means.store
        self._wakeups = WakeUps(self.store, self._tell_of_jobs, lambda call: reactor.callLater(0, call))
        self.board = Scoreboard.create() if left is None else Scoreboard.attach(left.scoreboard)
        self.row = self.board.row(SUPERVISOR)
        self.places = Places(self.board, self.row, None if left is None else left.places)
        self.sockets = Addresses({} if left is None else left.opened_sockets())
        self.court = Court(means.watching(self._tls_of, self.places.measures))
        if left is not None:
            self.court.judges.read(left.judged)
        self.crew = Crew(reactor, self.board, workers, means.launch, self)
        self.on_deserted: Callable[[], object] = lambda: None
        """Called when no worker can be had any more."""
        self.measures = self.places.measures
        self.judges = self.court.judges
        self._muster = Muster(self.board, self.places, self.crew)
        self._wanted = workers
        self._left = left
        self._briefings = Briefings(reactor, self.places, self.court)
        self._briefings.has_served = left is not None
        self._briefings.on_refused = self.deserted
        self._latest: Prepared | None = None
        self._tls = UpstreamTLS()
        self._revision = 0
        self._is_ending = False
        self._sweeping: Any = None

    def _tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return the TLS of a target for its checks."""
        return self._tls.creator(upstream, target)

    # a configuration takes effect

    def prepare(self, configuration: Configuration) -> Deferred[Prepared]:
        """Have every worker prepare; fails with ``CannotListen``, ``CannotServe``, or ``ValueError``."""
        return maybeDeferred(self._prepare, configuration)

    def _prepare(self, configuration: Configuration) -> Deferred[Prepared]:
        self._revision += 1
        material = collect(configuration)
        packed, tls = pack(configuration, material), make_tls(configuration, material.read)
        judgings = self.court.prepare(configuration.upstreams)
        # last: what fails before leaves no socket behind
        sockets = self.sockets.prepare(configuration.listeners)
        prepared = Prepared(configuration, self._revision, packed, sockets, tls, judgings)
        self._latest = prepared
        self.places.prepare(configuration)
        # somebody has to say yes: those who are about to serve are waited for
        return self._briefings.settled().addCallback(lambda _: self._ask(prepared))

    def _ask(self, prepared: Prepared) -> Deferred[Prepared]:
        answers = self._briefings.ask(prepared, self.crew.present)
        return DeferredList(answers).addCallback(self._count, prepared)

    def _count(self, answers: list[tuple[bool, list[str]]], prepared: Prepared) -> Prepared:
        errors = dict.fromkeys(error for _, found in answers for error in found)
        if errors:
            self.abandon(prepared)
            raise CannotServe(tuple(errors))
        return prepared

    def opened(self, config: ListenerConfig) -> Opened | None:
        """Return the socket of an operator's listener of what was prepared last."""
        return None if self._latest is None else self._latest.addresses.sockets.get(config.name)

    def abandon(self, prepared: Prepared) -> None:
        """Leave everything as it is, everywhere."""
        self._briefings.abandon(prepared)
        self.sockets.abandon(prepared.addresses)
        self._latest = self._briefings.current
        if self._latest is not None:
            self.places.commit(self._latest.configuration)

    def commit(self, prepared: Prepared) -> Deferred[None]:
        """Have everybody serve what was prepared; fires when all do."""
        self._tls = prepared.tls
        self.sockets.commit(prepared.addresses)
        self.court.commit(prepared.judgings)
        self.places.commit(prepared.configuration)
        in_use = self._briefings.commit(prepared, self.crew.present)
        if self._sweeping is not None:
            # what could not live by the configuration before may by this one
            self._try_again()
        return in_use

    def _try_again(self) -> None:
        """Have workers where they were given up, and ours where those of an earlier program serve on."""
        is_left = any(not member.is_ours for member in self.crew.serving)
        if is_left and self._briefings.is_accepting and not self.crew.roster.is_renewing:
            self.crew.renew()
        else:
            self.crew.retry()

    # workers

    def start(self) -> None:
        """Start workers, once there is a configuration for them and the process will fork no more."""
        for left in () if self._left is None else self._left.members:
            is_spare = left.is_draining or left.slot >= self._wanted
            self._briefings.inform(self.crew.inherit(left, self._drained_at() if is_spare else None))
        for member in self.crew.present:
            if member.is_draining:
                self._tell_to_drain(member)
        self._sweep()
        # first here: what is wrong with it is said once, and workers find it made
        opening = Deferred.fromCoroutine(self.store.start())
        opening.addCallbacks(lambda _: self.crew.start(), self._lack_store)

    def _lack_store(self, failure: Failure) -> None:
        failure.trap(StoreAway)
        _log.critical("jobs cannot be kept: {why}", why=failure.value)
        self.deserted()

    def resume_accepting(self) -> Deferred[None]:
        """Have clients let in, by those who serve now and by those to come; fires when all serve."""
        if not self._briefings.is_accepting:
            self._briefings.is_accepting = True
            self._tell_all("accept")
            if self._left is not None:
                # only now: who takes their places must accept, too
                self.crew.renew()
        return self.crew.when_serving()

    def reopen_logs(self) -> None:
        """Have every worker open the access log anew."""
        self._tell_all("reopen")

    def _tell_all(self, kind: str) -> None:
        for member in self.crew.present:
            member.tell(kind)

    def _tell_of_jobs(self, news: News, teller: Member | None = None) -> None:
        """Tell every worker what changed in the store, but the one that told it."""
        for member in self.crew.present:
            if member is not teller:
                member.tell("jobs", news=news)

    def welcome(self, member: Member) -> None:
        """Give a worker that was started everything it needs."""
        self._briefings.welcome(member)

    def heard(self, member: Member, message: Message) -> None:
        """Take what a worker says."""
        if message.kind == "outcomes":
            self.court.take(member.row, message.fields["rows"])
        elif message.kind == "jobs":
            self._wakeups.hear(message.fields["news"])
            self._tell_of_jobs(message.fields["news"], member)
        elif message.kind == "log":
            relog(message.fields, member.number)
        elif message.kind == "leaving":
            self.dismiss(member)
        elif message.kind == "placed":
            self.places.acknowledge(member.row, message.fields["columns"], message.fields["gauges"])

    def dismiss(self, member: Member) -> None:
        """Have a worker serve nobody new, and end when nothing is under way."""
        self.court.retire(member.row)
        self._tell_to_drain(member)
        self.crew.drain_until(member, self._drained_at())

    def _tell_to_drain(self, member: Member) -> None:
        timeout = self.configuration.gateway.drain_timeout
        member.tell("drain", timeout=timeout, gently=not self._is_ending)

    def _drained_at(self) -> float:
        now: float = self._reactor.seconds()
        gateway = self.configuration.gateway
        longest = gateway.drain_timeout
        if self.configuration.has_jobs:
            longest = max(longest, gateway.async_drain_timeout)
        return now + longest + CUT_AFTER

    def lost(self, member: Member) -> None:
        """A worker is gone: its trials are others', and nobody counts in its places."""
        self.court.leave(member.row)
        self.places.leave(member.row)

    def deserted(self) -> None:
        """No worker can be had any more."""
        self.on_deserted()

    # time

    def _sweep(self) -> None:
        self._sweeping = self._reactor.callLater(SWEEP, self._sweep)
        now = self._reactor.seconds()
        self.row.set(HEARTBEAT, int(now * 1e9))
        self.court.sweep(now)

    # the end

    def drain(self, timeout: float) -> Deferred[None]:
        """Shut clients out, and wait until every worker has ended; each is given ``timeout`` seconds."""
        self._is_ending = True
        self.sockets.close("proxy")
        return self.crew.shut_down()

    def stop(self) -> Deferred[None]:
        """End everything that is left; fires when every worker is gone."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self.court.stop()
        self.sockets.close()
        return self.crew.cut().addCallback(lambda _: Deferred.fromCoroutine(self.store.stop()))

    # what is known

    @property
    def configuration(self) -> Configuration:
        """What is in use."""
        current = self._briefings.current
        assert current is not None
        return current.configuration

    @property
    def wanted(self) -> int:
        """How many workers there are to be."""
        return self._wanted

    @property
    def processes(self) -> list[ProcessFacts]:
        """The workers that there are."""
        return self._muster.processes

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return self._muster.requests

    @property
    def connections(self) -> int:
        """Connections of clients."""
        return self._muster.connections

    @property
    def is_paused(self) -> bool:
        """Whether no worker accepts connections."""
        return self._muster.is_paused

    @property
    def dropped(self) -> int:
        """Lines of the access log that could not be written."""
        return self._muster.dropped

    @property
    def addresses(self) -> dict[str, str]:
        """Where each listener for clients is."""
        return {name: opened.address for name, opened in self.sockets.sockets.items()}

    def connections_of(self, listener: str) -> int:
        """Return the connections of one listener."""
        return self._muster.connections_of(listener)

    def in_flight(self, route: str) -> int:
        """Return how many exchanges of a route are under way."""
        return self._muster.in_flight(route)

    def upstream(self, name: str) -> UpstreamFacts:
        """Return what is known of an upstream."""
        return self._muster.upstream(name)

    def target(self, upstream: str, name: str) -> TargetFacts:
        """Return what is known of a target."""
        return self._muster.target(upstream, name)

    def tally(self) -> None:
        """Nothing to do: each worker brings its counts up to date with every heartbeat."""

    def is_well(self) -> bool:
        """Whether no worker hangs without a successor."""
        return self.crew.is_well()

    # the next program

    @property
    def unready_to_leave(self) -> str:
        """Why another program cannot take over now, empty if it can."""
        if len(self.crew.serving) < self._wanted or self.crew.roster.is_renewing:
            return "not all workers serve yet; try again when they do"
        return ""

    @property
    def unsettled(self) -> str:
        """Why another program cannot take over in this moment, empty if it can."""
        present = self.crew.present
        if any(
            member.channel.descriptor < 0 or self.crew.stage(member) is Stage.KILLED for member in present
        ):
            return "a worker is about to end"
        return "workers do not listen" if any(member.channel.unsent for member in present) else ""

    def handover(self, opened: float) -> Handover:
        """Return what the next program of this process goes on with."""
        members = [
            LeftMember(
                member.slot,
                member.row,
                member.pid,
                member.channel.descriptor,
                member.channel.unread.decode("latin-1"),
                member.is_draining,
                member.upstreams,
            )
            for member in self.crew.present
        ]
        sockets = {
            where: LeftSocket(opened.socket.fileno(), opened.path)
            for where, opened in self.sockets.places.items()
        }
        judged = self.judges.written()
        return Handover(self.board.fd, opened, sockets, tuple(members), self.places.record(), judged)
