"""The workers of a gateway: as many as are wanted, replaced when they die, heard, and told what to do.

The roster says what is to be done; here it is done to processes.  When a worker is gone its counters are kept
and its row of the scoreboard becomes free.  This module does not know what workers serve.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from twistedgate.workers.channel import HELLO, Message
from twistedgate.workers.handover import LeftMember
from twistedgate.workers.member import Member
from twistedgate.workers.roster import Drain, End, GiveUp, Kill, Roster, Spawn, Stage, Step, Wait
from twistedgate.workers.scoreboard import HEARTBEAT, Scoreboard

LOOK = 1.0
"""Seconds between two looks at every worker."""

AGAIN = 0.02
"""Seconds between two looks at those that were killed."""

GONE_WITHIN = 2.0
"""Seconds until one that was killed is not waited for any more."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Launch:
    """How a worker is started."""

    command: Sequence[str]
    """Its slot, its row and the pid of this process are put behind it."""
    environment: Mapping[str, str]


class Captain(Protocol):
    """Who knows what workers serve."""

    def welcome(self, member: Member) -> None:
        """A worker was started: tell it everything it needs."""

    def heard(self, member: Member, message: Message) -> None:
        """A worker said something; ``ready`` and ``hello`` are not told here."""

    def dismiss(self, member: Member) -> None:
        """Have a worker serve nobody new, and end when nothing is under way; answer with ``left``."""

    def lost(self, member: Member) -> None:
        """A worker is gone."""

    def deserted(self) -> None:
        """No worker can be had any more."""


class Crew:
    """Keeps ``wanted`` workers."""

    def __init__(
        self,
        reactor: Any,
        board: Scoreboard,
        wanted: int,
        launch: Launch,
        captain: Captain,
    ) -> None:
        self.members: dict[int, Member] = {}
        """By their rows, as long as their processes live."""
        self._reactor = reactor
        self._board = board
        self._launch = launch
        self._captain = captain
        self.roster = Roster(wanted)
        self._next: IDelayedCall | None = None
        self._emptied: list[Deferred[None]] = []
        self._is_cut = False
        self._waiting: list[Deferred[None]] = []

    def __repr__(self) -> str:
        return f"<Crew {list(self.members.values())}>"

    # what is wanted

    def start(self) -> None:
        """Start workers, and mind them from now on."""
        self._look()

    def inherit(self, left: LeftMember, until: float | None = None) -> Member:
        """Mind a worker of an earlier program of this process; one that drains is killed at ``until``."""
        member = Member(left.slot, left.row, self)
        member.is_ready = True
        member.upstreams = left.upstreams
        self.members[left.row] = member
        member.is_draining = until is not None
        slot = left.slot % self.roster.wanted
        self.roster.take_over(slot, left.row, self._reactor.seconds(), until)
        member.inherit(self._reactor, left.pid, left.channel, left.unread.encode("latin-1"))
        return member

    def renew(self) -> None:
        """Replace every worker, one after the other, none before its successor serves."""
        self._take(self.roster.renew(self._reactor.seconds()))

    def retry(self) -> None:
        """Try again what was given up."""
        self._take(self.roster.retry(self._reactor.seconds()))

    def shut_down(self) -> Deferred[None]:
        """Have all workers end when nothing is under way; fires when they are gone."""
        gone: Deferred[None] = Deferred()
        self._emptied.append(gone)
        self._take(self.roster.shut_down(self._reactor.seconds()))
        self._check_emptied()
        return gone

    def cut(self) -> Deferred[None]:
        """End all workers at once; fires when they are gone, and hold no socket any more."""
        self._is_cut = True
        for member in self.members.values():
            member.kill()
        gone: Deferred[None] = Deferred()
        self._emptied.append(gone)
        self._see_them_go(self._reactor.seconds() + GONE_WITHIN)
        return gone

    def _see_them_go(self, until: float) -> None:
        """Look after those that were killed, for as long as the kernel may need to end them."""
        self._forget_next()
        for member in list(self.members.values()):
            member.check()
        if self.members and self._reactor.seconds() < until:
            self._next = self._reactor.callLater(AGAIN, self._see_them_go, until)
        else:
            self._tell_emptied()

    def when_serving(self) -> Deferred[None]:
        """Return what fires when all serve that are not given up, and none that is to be replaced."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        self._check_serving()
        return waiting

    def _check_serving(self) -> None:
        serving = len(self.roster.serving)
        is_complete = serving + len(self.roster.given_up) >= self.roster.wanted
        if serving and is_complete and not self.roster.is_renewing:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def drain_until(self, member: Member, until: float) -> None:
        """Give a worker that drains so much time."""
        member.is_draining = True
        self._take(self.roster.draining(member.row, until, self._reactor.seconds()))

    # who there is

    @property
    def serving(self) -> list[Member]:
        """The workers that accept connections."""
        return [self.members[worker.row] for worker in self.roster.serving if worker.row in self.members]

    @property
    def present(self) -> list[Member]:
        """Every worker that may be told something, the draining ones included."""
        return [member for member in self.members.values() if not member.is_over]

    def stage(self, member: Member) -> Stage:
        """Return where a worker is in its life."""
        worker = self.roster.workers.get(member.row)
        return Stage.DEAD if worker is None else worker.stage

    def is_well(self) -> bool:
        """Whether systemd may be told that all is well."""
        return self.roster.watchdog_ok(self._reactor.seconds())

    # steps

    def _look(self) -> None:
        now = self._reactor.seconds()
        # first: whatever goes wrong with one worker, all are looked after again
        self._forget_next()
        self._next = self._reactor.callLater(LOOK, self._look)
        for member in list(self.members.values()):
            member.check()
        beats = {row: self._board.cells(HEARTBEAT)[row] / 1e9 for row in self.members}
        self._take(self.roster.look(now, beats))

    def _forget_next(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _take(self, steps: Sequence[Step]) -> None:
        if self._is_cut:
            # in the place of those that are cut there are to be no others
            return
        until = self._reactor.seconds() + LOOK
        for step in steps:
            if isinstance(step, Wait):
                until = min(until, step.until)
            else:
                self._take_step(step)
        self._check_serving()
        delay = max(0.0, until - self._reactor.seconds())
        if self._next is not None and self._next.active():
            if self._next.getTime() <= until:
                return
            self._next.cancel()
        self._next = self._reactor.callLater(delay, self._look)

    def _take_step(self, step: Step) -> None:
        if isinstance(step, Spawn):
            self._spawn(step)
        elif isinstance(step, Kill):
            member = self.members[step.row]
            is_wanted = self._emptied is None or member.is_ready
            write = _log.error if is_wanted else _log.info
            write("worker {slot} is killed: {reason}", slot=member.number, reason=step.reason)
            member.kill()
        elif isinstance(step, Drain):
            member = self.members[step.row]
            member.is_draining = True
            self._captain.dismiss(member)
        elif isinstance(step, GiveUp):
            rest = "the one before it serves on" if step.goes_on else "a reload tries again"
            _log.critical(
                "worker {slot} is given up: it died {deaths} times in a row, too early to be of use; {rest}",
                slot=step.slot + 1,
                deaths=step.deaths,
                rest=rest,
            )
        elif isinstance(step, End):
            _log.critical("no worker can be had: the gateway ends")
            self._captain.deserted()

    def _spawn(self, step: Spawn) -> None:
        self._board.take_row(step.row)
        member = Member(step.slot, step.row, self)
        command = [*self._launch.command, str(step.slot), str(step.row), str(os.getpid())]
        try:
            member.spawn(self._reactor, command, self._board.fd, self._launch.environment)
        except OSError as error:
            _log.error("worker {slot} cannot be started: {error}", slot=step.slot + 1, error=error)
            self._bury(step.row)
            return
        self.members[step.row] = member
        self._captain.welcome(member)

    # what members tell

    def heard(self, member: Member, message: Message) -> None:
        """A worker said something."""
        if message.kind == "ready":
            member.is_ready = True
            _log.info("worker {slot} serves (process {pid})", slot=member.number, pid=member.pid)
            self._take(self.roster.ready(member.row, self._reactor.seconds()))
        elif message.kind != HELLO:
            self._captain.heard(member, message)

    def ended(self, member: Member, how: str) -> None:
        """A worker's process is gone."""
        expected = self.stage(member) in {Stage.DRAINING, Stage.KILLED} or self._is_cut
        write = _log.info if expected else _log.error
        write("worker {slot} (process {pid}) {how}", slot=member.number, pid=member.pid, how=how)
        del self.members[member.row]
        self._captain.lost(member)
        self._bury(member.row)
        self._check_emptied()

    def _bury(self, row: int) -> None:
        """Keep the counters of a process that is gone; its successor has another row already."""
        self._take(self.roster.died(row, self._reactor.seconds()))
        self._board.retire(row)
        self._take(self.roster.folded(row, self._reactor.seconds()))

    def _check_emptied(self) -> None:
        if not self.members and not self._is_cut:
            self._tell_emptied()

    def _tell_emptied(self) -> None:
        emptied, self._emptied = self._emptied, []
        for one in emptied:
            one.callback(None)
