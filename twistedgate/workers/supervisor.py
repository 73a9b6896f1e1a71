"""Serves by workers: opens the sockets, judges the targets, keeps the crew, and has all of it agree.

A configuration is prepared by every worker that serves; all say yes, or nothing happens anywhere.  Then it is
committed, which cannot fail.  A worker that is started later, or that was about to start, is given whatever
is in use by then.  Workers never read a file of the configuration.  This process accepts no client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from twistedgate.alone import WatchingOf
from twistedgate.config.model import Configuration, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.facts import ProcessFacts, TargetFacts, UpstreamFacts
from twistedgate.net.opened import Opened
from twistedgate.net.tls import ClientTLS, UpstreamTLS
from twistedgate.serving import CannotServe, make_tls
from twistedgate.upstream.judging import Judging
from twistedgate.workers.addresses import Addresses, PreparedAddresses
from twistedgate.workers.channel import Message
from twistedgate.workers.court import Court
from twistedgate.workers.crew import Crew, Launch
from twistedgate.workers.handover import Handover, LeftMember, LeftSocket
from twistedgate.workers.logs import relog
from twistedgate.workers.material import collect, pack
from twistedgate.workers.member import Member
from twistedgate.workers.muster import Muster
from twistedgate.workers.nudges import Row, standing_of
from twistedgate.workers.places import Places
from twistedgate.workers.scoreboard import HEARTBEAT, SUPERVISOR, Scoreboard

ANSWER_WITHIN = 10.0
"""Seconds that a worker may take to prepare a configuration."""

CUT_AFTER = 2.0
"""Seconds that a worker is given beyond ``drain_timeout`` to end by itself."""

SWEEP = 0.25
"""Seconds between two looks at what time does to targets."""

_log = Logger()


@dataclass(slots=True)
class Prepared:
    """A configuration that every worker could serve."""

    configuration: Configuration
    revision: int
    packed: bytes
    addresses: PreparedAddresses
    tls: UpstreamTLS
    judgings: dict[str, Judging]
    asked: list[Member] = field(default_factory=list)


class Supervisor:
    """Has workers serve the configuration that was committed last."""

    def __init__(
        self,
        reactor: Any,
        workers: int,
        launch: Launch,
        watching: WatchingOf,
        left: Handover | None = None,
    ) -> None:
        """``left`` is what an earlier program of this process has left to this one."""
        self._reactor = reactor
        self.board = Scoreboard.create() if left is None else Scoreboard.attach(left.scoreboard)
        self.row = self.board.row(SUPERVISOR)
        self.places = Places(self.board, self.row, None if left is None else left.places)
        self.sockets = Addresses({} if left is None else left.opened_sockets())
        self.court = Court(watching(self._tls_of, self.places.measures))
        self.crew = Crew(reactor, self.board, workers, launch, self)
        self.on_deserted: Callable[[], object] = lambda: None
        """Called when no worker can be had any more."""
        self.measures = self.places.measures
        self.judges = self.court.judges
        self._muster = Muster(self.board, self.places, self.crew)
        self._wanted = workers
        self._left = left
        self._current: Prepared | None = None
        self._latest: Prepared | None = None
        self._tls = UpstreamTLS()
        self._revision = 0
        self._is_accepting = False
        self._is_ending = False
        self._sweeping: Any = None

    def _tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return the TLS of a target for its checks."""
        return self._tls.creator(upstream, target)

    # a configuration takes effect

    def prepare(self, configuration: Configuration) -> Deferred[Prepared]:
        """Have every worker prepare; fails with ``CannotListen``, ``CannotServe``, or ``ValueError``."""
        self._revision += 1
        material = collect(configuration)
        packed, tls = pack(configuration, material), make_tls(configuration, material.read)
        judgings = self.court.prepare(configuration.upstreams)
        # last: what fails before leaves no socket behind
        sockets = self.sockets.prepare(configuration.listeners)
        prepared = Prepared(configuration, self._revision, packed, sockets, tls, judgings)
        self._latest = prepared
        self.places.prepare(configuration)
        prepared.asked = [member for member in self.crew.serving if member.is_ours]
        answers = [self._ask(member, prepared) for member in prepared.asked]
        return DeferredList(answers).addCallback(self._count, prepared)

    def _ask(self, member: Member, prepared: Prepared) -> Deferred[list[str]]:
        """Have one worker prepare, with every socket and every place to count."""
        listeners = prepared.configuration.listeners
        sockets = {
            name: opened
            for name, opened in prepared.addresses.sockets.items()
            if listeners[name].serve == "proxy"
        }
        answer = member.ask(
            "configure",
            prepared.revision,
            prepared.packed,
            tuple(opened.socket.fileno() for opened in sockets.values()),
            listeners=list(sockets),
            **self.places.told(member.row),
        )
        late = f"worker {member.number} did not answer within {ANSWER_WITHIN:g} s"
        timer = self._reactor.callLater(ANSWER_WITHIN, member.give_up_waiting, prepared.revision, late)
        return answer.addBoth(_cancelling(timer))

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
        for member in prepared.asked:
            member.tell("abandon", revision=prepared.revision)
        self.sockets.abandon(prepared.addresses)
        if self._current is not None:
            self.places.commit(self._current.configuration)

    def commit(self, prepared: Prepared) -> None:
        """Have everybody serve what was prepared."""
        self._current = prepared
        self._tls = prepared.tls
        self.sockets.commit(prepared.addresses)
        self.court.commit(prepared.judgings)
        self.places.commit(prepared.configuration)
        for member in self.crew.present:
            if member in prepared.asked:
                self._let_serve(member, prepared)
            elif member.is_ours and not member.is_draining:
                self._brief(member)
        if self._sweeping is not None:
            # what could not live by the configuration before may by this one
            self.crew.retry()

    def _let_serve(self, member: Member, prepared: Prepared) -> None:
        standings = self.court.standings_for(member.row)
        for upstream, rows in standings.items():
            self.places.find_targets(upstream, _targets(rows))
        member.tell(
            "commit",
            revision=prepared.revision,
            standings=standings,
            accepting=self._is_accepting,
            **self.places.told(member.row),
        )

    # workers

    def start(self) -> None:
        """Start workers, once there is a configuration for them and the process will fork no more."""
        for left in () if self._left is None else self._left.members:
            self.crew.inherit(left)
        self.crew.start()
        self._sweep()

    def resume_accepting(self) -> Deferred[None]:
        """Have clients let in, by those who serve now and by those to come; fires when all serve."""
        if not self._is_accepting:
            self._is_accepting = True
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

    def welcome(self, member: Member) -> None:
        """Give a worker that was started everything it needs."""
        self._join(member)
        self._brief(member)

    def _join(self, member: Member) -> None:
        self.places.join(member.row)
        self.court.join(member.row, lambda upstream, rows: self._tell_standings(member, upstream, rows))

    def _tell_standings(self, member: Member, upstream: str, rows: list[Row]) -> None:
        self.places.find_targets(upstream, _targets(rows))
        member.tell("standings", upstream=upstream, rows=rows, **self.places.told(member.row))

    def _brief(self, member: Member) -> None:
        """Have a worker serve what is in use now, unless something else is by the time it is prepared."""
        prepared = self._current
        assert prepared is not None

        def answered(errors: list[str]) -> None:
            if errors:
                told = "; ".join(errors)
                _log.error("worker {number} cannot serve: {told}", number=member.number, told=told)
                member.kill()
            elif prepared is self._current:
                self._let_serve(member, prepared)
            else:
                member.tell("abandon", revision=prepared.revision)

        self._ask(member, prepared).addCallback(answered)

    def heard(self, member: Member, message: Message) -> None:
        """Take what a worker says."""
        if message.kind == "outcomes" and member.is_ours:
            self.court.take(member.row, message.fields["rows"])
        elif message.kind == "log":
            relog(message.fields, member.number)
        elif message.kind == "leaving":
            self.dismiss(member)
        elif message.kind == "placed":
            self.places.acknowledge(member.row, message.fields["columns"], message.fields["gauges"])

    def dismiss(self, member: Member) -> None:
        """Have a worker serve nobody new, and end when nothing is under way."""
        assert self._current is not None
        timeout = self._current.configuration.gateway.drain_timeout
        if member.is_ours:
            self.court.retire(member.row)
        member.tell("drain", timeout=timeout, gently=not self._is_ending)
        self.crew.drain_until(member, self._reactor.seconds() + timeout + CUT_AFTER)

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
        """End everything that is left."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self.court.stop()
        self.sockets.close()
        self.crew.cut()
        return succeed(None)

    # what is known

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
    def unsent(self) -> int:
        """Bytes that are still to be sent to workers."""
        return sum(member.channel.unsent for member in self.crew.present)

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
            )
            for member in sorted(self.crew.present, key=lambda member: not member.is_draining)
        ]
        sockets = {
            where: LeftSocket(opened.socket.fileno(), opened.path)
            for where, opened in self.sockets.places.items()
        }
        return Handover(self.board.fd, opened, sockets, tuple(members), self.places.record())


def _targets(rows: list[Row]) -> list[str]:
    return [standing_of(row).name for row in rows]


def _cancelling(timer: Any) -> Callable[[Any], Any]:
    """Return a callback that stops a timer and hands on what it gets."""

    def stop(result: Any) -> Any:
        if timer.active():
            timer.cancel()
        return result

    return stop
