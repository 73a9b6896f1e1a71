"""What each worker is given to serve: one configuration at a time, and how the targets of it stand.

A worker prepares, says whether it can, and is told to commit or to abandon; only then it is given the next
configuration.  So what it has prepared is always made for what it serves.  It says when it has committed, and
a reload is done when everybody has.  One that is started, or that was being briefed while a reload took
effect, is given whatever is in use by then.  One of an earlier program is given no configuration; how targets
stand it is told, and heard of them, as long as its upstreams are those that are in use.  This module does not
know what has to be done to have a configuration, nor how workers come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from twistedgate.config.model import Configuration
from twistedgate.net.tls import UpstreamTLS
from twistedgate.upstream.judging import Judging
from twistedgate.workers.addresses import PreparedAddresses
from twistedgate.workers.court import Court
from twistedgate.workers.member import Member
from twistedgate.workers.nudges import Row, standing_of
from twistedgate.workers.places import Places

ANSWER_WITHIN = 10.0
"""Seconds that a worker which serves may take for an answer; one that starts has the roster's patience."""

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
    """Those who have prepared it, and wait for what becomes of it."""


class Briefings:
    """Tells workers what to serve."""

    def __init__(self, reactor: Any, places: Places, court: Court) -> None:
        self.current: Prepared | None = None
        """What is in use."""
        self.is_accepting = False
        """Whether workers are to let clients in."""
        self._reactor = reactor
        self.has_served = False
        """Whether any worker could serve yet."""
        self.on_refused: Callable[[], object] = lambda: None
        """Called when one cannot serve what is in use, and none ever has: others would fare no better."""
        self._places = places
        self._court = court
        self._upstreams = ""
        self._briefed: set[Member] = set()
        self._waiting: list[Deferred[None]] = []

    def __repr__(self) -> str:
        return f"<Briefings of {len(self._briefed)} workers under way>"

    # those who serve

    def settled(self) -> Deferred[None]:
        """Return what fires as soon as no worker is being given what is in use."""
        settled: Deferred[None] = Deferred()
        self._waiting.append(settled)
        self._check_settled()
        return settled

    def _check_settled(self) -> None:
        if not self._briefed:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def ask(self, prepared: Prepared, members: Iterable[Member]) -> list[Deferred[list[str]]]:
        """Have those prepare that serve what is in use; the answers say what is wrong."""
        prepared.asked = [member for member in members if _may_serve(member) and member not in self._briefed]
        return [self._ask(member, prepared) for member in prepared.asked]

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
            **self._places.told(member.row),
        )
        return self._bound(answer, member, prepared)

    def _bound(self, answer: Deferred[list[str]], member: Member, prepared: Prepared) -> Deferred[list[str]]:
        """Wait for the answer of one that serves no longer than it may take."""
        if member.is_ready and not answer.called:
            late = f"worker {member.number} did not answer within {ANSWER_WITHIN:g} s"
            timer = self._reactor.callLater(ANSWER_WITHIN, member.give_up_waiting, prepared.revision, late)
            answer.addBoth(_cancelling(timer))
        return answer

    def abandon(self, prepared: Prepared) -> None:
        """Have nobody serve what was prepared."""
        for member in prepared.asked:
            member.tell("abandon", revision=prepared.revision)

    def commit(self, prepared: Prepared, members: Iterable[Member]) -> Deferred[None]:
        """Have everybody serve what was prepared; who has not prepared it yet, as soon as that is done.

        Fires when those who have prepared it serve by it, or are gone, or have hung for too long.
        """
        self.current = prepared
        self._upstreams = _digest(prepared.configuration)
        answers = []
        for member in members:
            if member in prepared.asked:
                answers.append(self._let_serve(member, prepared))
            elif member not in self._briefed and _may_serve(member):
                self._brief(member, prepared)
            elif not _may_serve(member):
                self.inform(member)
        return DeferredList(answers).addCallback(lambda _: None)

    def _let_serve(self, member: Member, prepared: Prepared) -> Deferred[list[str]]:
        if not _may_serve(member):
            member.tell("abandon", revision=prepared.revision)
            return succeed([])
        self.has_served = True
        member.upstreams = self._upstreams
        standings = self._court.standings_for(member.row)
        for upstream, rows in standings.items():
            self._places.find_targets(upstream, _targets(rows))
        answer = member.ask(
            "commit",
            prepared.revision,
            standings=standings,
            accepting=self.is_accepting,
            **self._places.told(member.row),
        )
        return self._bound(answer, member, prepared)

    # those who come

    def welcome(self, member: Member) -> None:
        """Give a worker that was started what is in use, and tell it from now on how targets stand."""
        assert self.current is not None
        self._places.join(member.row)
        self._court.join(member.row, partial(self._tell_standings, member))
        self._brief(member, self.current)

    def inform(self, member: Member) -> None:
        """Tell one that is given no configuration how targets stand, if they are those that it has."""
        if member.upstreams != self._upstreams or member.is_over:
            return
        if member.row not in self._court:
            self._court.join(member.row, partial(self._tell_standings, member))
        for upstream, rows in self._court.standings_for(member.row).items():
            self._tell_standings(member, upstream, rows)
        if member.is_draining:
            self._court.retire(member.row)

    def _tell_standings(self, member: Member, upstream: str, rows: list[Row]) -> None:
        self._places.find_targets(upstream, _targets(rows))
        # where an earlier program's worker counts is as it was when that program ended
        places = self._places.told(member.row) if member.is_ours else {}
        member.tell("standings", upstream=upstream, rows=rows, **places)

    def _brief(self, member: Member, prepared: Prepared) -> None:
        self._briefed.add(member)
        self._ask(member, prepared).addCallback(self._answered, member, prepared)

    def _answered(self, errors: list[str], member: Member, prepared: Prepared) -> None:
        """Have a worker serve what it has prepared, unless something else is in use by now."""
        self._briefed.discard(member)
        if errors:
            told = "; ".join(errors)
            _log.error("worker {number} cannot serve: {told}", number=member.number, told=told)
            if self.has_served:
                member.kill()
            else:
                self.on_refused()
        elif prepared is self.current:
            self._let_serve(member, prepared)
        else:
            member.tell("abandon", revision=prepared.revision)
            if self.current is not None and _may_serve(member):
                self._brief(member, self.current)
        self._check_settled()


def _may_serve(member: Member) -> bool:
    return member.is_ours and not member.is_draining and not member.is_over


def _digest(configuration: Configuration) -> str:
    """Return what tells these upstreams from others, in another program of the same process, too."""
    return sha256(repr(sorted(configuration.upstreams.items())).encode()).hexdigest()


def _targets(rows: list[Row]) -> list[str]:
    return [standing_of(row).name for row in rows]


def _cancelling(timer: Any) -> Callable[[Any], Any]:
    """Return a callback that stops a timer and hands on what it gets."""

    def stop(result: Any) -> Any:
        if timer.active():
            timer.cancel()
        return result

    return stop
