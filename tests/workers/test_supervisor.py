"""Workers serve as one: a configuration is everybody's or nobody's, and what dies leaves nothing behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.logger import LogLevel, capturedLogs

from tests.running import WORD, orders
from tests.workers.pretending import GATEWAY, STEP, Actor, Theatre, a_theatre, descriptors, rows_in_use
from twistedgate.downstream.listeners import CannotListen
from twistedgate.serving import CannotServe
from twistedgate.workers.crew import GONE_WITHIN
from twistedgate.workers.handover import Handover
from twistedgate.workers.scoreboard import CONNECTIONS, FIRST_WORKER
from twistedgate.workers.supervisor import CUT_AFTER, Supervisor

OLD, NEW = WORD.format("old"), WORD.format("new") + '[route:more]\npath = /more\nrespond = 200 "ok"\n'
MORE = "[listener:more]\nendpoint = tcp:0:interface=127.0.0.1\n"
TWO = orders("http://192.0.2.1:80, http://192.0.2.2:80", eject_after=1, max_ejected="100%")
DEADLINE = 5 + CUT_AFTER


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    with a_theatre(tmp_path) as theatre:
        yield theatre


# a configuration takes effect


def test_a_reload_is_committed_when_all_have_said_yes(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    done = theatre.reload(NEW)
    first.prepared(2)
    theatre.turn()
    assert (done, first.told[-1]) == ([], "configure 2")
    second.prepared(2)
    theatre.turn()
    assert done == [True]
    assert first.told[-1] == second.told[-1] == "commit 2"
    assert theatre.supervisor.configuration.routes.keys() == {"word", "more"}


def test_one_no_and_nothing_happened_anywhere(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    before = descriptors(), theatre.supervisor.addresses
    outcome = theatre.reload(NEW, MORE)
    first.prepared(2)
    second.prepared(2, "no such module", "no such class")
    theatre.turn()
    (error,) = outcome
    assert isinstance(error, CannotServe)
    assert error.errors == ("no such module", "no such class")
    assert first.told[-1] == second.told[-1] == "abandon 2"
    assert (descriptors(), theatre.supervisor.addresses) == before
    assert theatre.supervisor.places.gauge("route:more") is None
    assert "route:more" not in theatre.supervisor.measures.starts
    assert theatre.supervisor.configuration.routes.keys() == {"word"}
    theatre.are_willing = True
    assert theatre.reload(NEW) == [True]


def test_an_address_that_cannot_be_had_is_nobodys_business(theatre: Theatre) -> None:
    first, _ = theatre.open(OLD)
    port = theatre.supervisor.addresses["public"].rpartition(":")[2]
    taken = f"[listener:more]\nendpoint = tcp:{port}:interface=127.0.0.1\n"
    (error,) = theatre.reload(NEW, taken)
    assert isinstance(error, CannotListen)
    assert first.told[-1] == "accept"


def test_who_dies_while_it_is_asked_does_not_object(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    done = theatre.reload(NEW)
    first.end(signal.SIGKILL)
    second.prepared(2)
    theatre.turn()
    assert done == [True]


def test_who_dies_between_its_yes_and_the_commit_has_a_successor_that_serves_the_new(
    theatre: Theatre,
) -> None:
    first, second = theatre.open(OLD)
    theatre.advance(3)
    theatre.are_willing = False
    done = theatre.reload(NEW)
    first.prepared(2)
    theatre.turn()
    first.end(signal.SIGKILL)
    theatre.turn()
    theatre.are_willing = True
    second.prepared(2)
    theatre.turn()
    assert done == [True]
    successor = theatre.actors[2]
    successor.act(successor.last("configure"))
    theatre.turn()
    assert successor.told == ["configure 1", "abandon 1", "configure 2", "commit 2"]
    assert theatre.supervisor.crew.when_serving().called


def test_what_was_prepared_can_be_given_up_by_whoever_asked(theatre: Theatre) -> None:
    first, _ = theatre.open(OLD)
    before = descriptors()
    prepared: list[Any] = []
    theatre.supervisor.prepare(theatre.read(NEW, MORE)).addCallback(prepared.append)
    theatre.turn()
    theatre.supervisor.abandon(prepared[0])
    theatre.turn()
    assert first.told[-1] == "abandon 2"
    assert descriptors() == before


def test_sockets_that_are_gone_are_closed_and_those_that_stay_are_kept(theatre: Theatre) -> None:
    theatre.open(OLD)
    before, public = descriptors(), theatre.supervisor.addresses["public"]
    theatre.reload(OLD, MORE)
    assert theatre.present[0].last("configure").fields["listeners"] == ["public", "more"]
    assert theatre.supervisor.addresses.keys() == {"public", "more"}
    theatre.reload(OLD)
    assert theatre.supervisor.addresses == {"public": public}
    assert descriptors() == before


def test_what_is_gone_is_counted_nowhere_when_all_have_said_so(theatre: Theatre) -> None:
    workers = theatre.open(NEW)
    supervisor = theatre.supervisor
    gauge = supervisor.places.gauge("route:more")
    theatre.reload(OLD)
    for number, actor in enumerate(workers):
        places = actor.last("commit").fields["places"]
        assert "route:more" not in places["gauges"]
        theatre.reload(OLD, f'[route:r{number}]\npath = /{number}\nrespond = 200 "ok"\n')
        assert supervisor.places.gauge(f"route:r{number}") != gauge
        columns, gauges = actor.last("commit").fields["places"]["stamps"]
        actor.channel.send("placed", columns=columns, gauges=gauges)
        theatre.turn()
    theatre.reload(OLD, '[route:last]\npath = /last\nrespond = 200 "ok"\n')
    assert supervisor.places.gauge("route:last") is not None


# workers come and go


def test_what_a_dead_worker_had_under_way_is_not_and_what_it_counted_is(theatre: Theatre) -> None:
    first, _ = theatre.open(orders())
    board = theatre.supervisor.board
    gauge = theatre.supervisor.places.gauge("target:orders/192.0.2.1:80")
    assert gauge is not None
    row = board.row(first.row)
    for place in (gauge, CONNECTIONS):
        row.add(place, 7)
    row.counters[theatre.supervisor.measures.starts["route:orders"]] += 5
    first.end(signal.SIGKILL)
    theatre.turn()
    assert [board.gauge_total(gauge), board.gauge_total(CONNECTIONS)] == [0, 0]
    assert board.total(theatre.supervisor.measures.starts["route:orders"], 1) == [5]


def test_fifty_reloads_and_fifty_deaths_leave_neither_descriptors_nor_rows(theatre: Theatre) -> None:
    theatre.open(orders())
    theatre.advance(3)
    before = descriptors()
    for number in range(50):
        theatre.present[number % 2].end(signal.SIGKILL)
        theatre.turn()
        theatre.advance(3)
        assert theatre.reload(orders(), MORE if number % 2 else "") == [True]
    theatre.advance(1)
    assert len(theatre.actors) == 52
    assert len(rows_in_use(theatre.supervisor)) == 4
    # the fifth place of sockets is that of the last reload: each of two ends of it is here
    assert descriptors() == before + 1


def test_one_that_leaves_by_itself_has_a_successor_at_once(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    first.channel.send("leaving")
    theatre.turn()
    assert theatre.actors[2].slot == first.slot
    assert first.told[-1] == "drain"
    assert second.told[-1] == "accept"
    theatre.advance(DEADLINE + 0.5)
    assert first.is_over


def test_outcomes_are_the_judges(theatre: Theatre) -> None:
    first, second = theatre.open(TWO)
    first.channel.send("outcomes", rows=[["orders", "192.0.2.1:80", "failed", "refused", 1]])
    theatre.turn()
    for actor in (first, second):
        rows = actor.last("standings").fields["rows"]
        assert [row[3] for row in rows] == ["ejected", "up"]


def fail_after(theatre: Theatre, *sections: str) -> None:
    """Have workers serve, and then none ever again that does not have more routes."""
    theatre.open(*sections)
    theatre.advance(3)
    theatre.objections = lambda configuration: () if "more" in configuration.routes else ["no"]
    for actor in theatre.present:
        actor.end(signal.SIGKILL)
    theatre.turn()


def test_that_no_worker_can_be_had_is_told(theatre: Theatre) -> None:
    deserted: list[bool] = []
    theatre.supervisor.on_deserted = lambda: deserted.append(True)
    fail_after(theatre, OLD)
    theatre.advance(40)
    assert deserted == [True]
    assert len(theatre.actors) == 2 + 10
    assert len(rows_in_use(theatre.supervisor)) == 2


def test_a_reload_tries_again_what_was_given_up(theatre: Theatre) -> None:
    theatre.supervisor.on_deserted = lambda: None
    fail_after(theatre, OLD)
    theatre.advance(40)
    assert theatre.present == []
    assert theatre.reload(NEW) == [True]
    theatre.turn()
    assert [actor.told[-1] for actor in theatre.present] == ["commit 2", "commit 2"]


def test_what_can_be_had_serves_although_one_is_given_up(theatre: Theatre) -> None:
    theatre.open(OLD)
    while theatre.supervisor.crew.roster.given_up == []:
        for actor in theatre.present:
            if actor.slot == 0:
                actor.end(signal.SIGKILL)
        theatre.advance(1)
    assert theatre.supervisor.crew.when_serving().called
    assert [process.state for process in theatre.supervisor.processes] == ["serving"]


# the end


def test_a_drain_is_over_when_all_are_gone(theatre: Theatre) -> None:
    theatre.open(OLD)
    over: list[None] = []
    theatre.supervisor.drain(5.0).addCallback(over.append)
    assert over == []
    theatre.turn()
    assert over == [None]
    assert [actor.last("drain").fields for actor in theatre.actors] == [{"timeout": 5.0, "gently": False}] * 2
    assert theatre.supervisor.addresses == {}


def test_who_drains_for_too_long_is_cut(theatre: Theatre) -> None:
    theatre.open(OLD)
    theatre.are_willing = False
    over: list[None] = []
    theatre.supervisor.drain(5.0).addCallback(over.append)
    theatre.advance(DEADLINE - 1)
    assert over == []
    theatre.advance(2)
    assert over == [None]


def test_workers_that_start_are_not_waited_for(theatre: Theatre) -> None:
    theatre.are_willing = False
    theatre.open(OLD)
    over: list[None] = []
    with capturedLogs() as logged:
        theatre.supervisor.drain(5.0).addCallback(over.append)
        theatre.turn()
    assert over == [None]
    assert {event["log_level"] for event in logged} == {LogLevel.info}
    theatre.advance(5)
    assert len(theatre.actors) == 2


def test_a_stop_ends_everybody_and_starts_nobody(theatre: Theatre) -> None:
    theatre.open(OLD)
    # so long that the next one would be started at once
    theatre.advance(5)
    theatre.supervisor.stop()
    theatre.advance(5)
    assert theatre.present == []
    assert len(theatre.actors) == 2
    assert theatre.reactor.getDelayedCalls() == []


def test_a_stop_while_workers_start_is_as_quiet(theatre: Theatre) -> None:
    theatre.are_willing = False
    theatre.open(OLD)
    theatre.supervisor.stop()
    theatre.advance(5)
    assert theatre.present == []
    assert len(theatre.actors) == 2


def test_a_stop_in_a_reload_answers_whoever_asked(theatre: Theatre) -> None:
    theatre.open(OLD)
    theatre.are_willing = False
    prepared: list[Any] = []
    theatre.supervisor.prepare(theatre.read(NEW)).addCallback(prepared.append)
    theatre.supervisor.stop()
    theatre.turn()
    assert len(prepared) == 1
    theatre.supervisor.abandon(prepared[0])


# the next program


class Left:
    """What one supervisor leaves to the next, which has descriptors and processes of its own here."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.children: list[subprocess.Popen[bytes]] = []
        self._before = before = theatre.supervisor
        self.old = theatre.present
        told = before.handover(7.0)
        members = tuple(
            dataclasses.replace(left, channel=os.dup(left.channel), pid=self._process())
            for left in told.members
        )
        sockets = {
            name: dataclasses.replace(left, descriptor=os.dup(left.descriptor))
            for name, left in told.sockets.items()
        }
        self.handover = dataclasses.replace(
            told, scoreboard=os.dup(told.scoreboard), sockets=sockets, members=members
        )
        self._forget(before)

    def _process(self) -> int:
        self.children.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
        return self.children[-1].pid

    @staticmethod
    def _forget(before: Supervisor) -> None:
        """The program before is not there any more, and says nothing."""
        before._sweeping.cancel()
        before._sweeping = None
        before.crew._forget_next()
        before.court.stop()
        for member in before.crew.present:
            member.channel.transport.stopReading()
            # whatever becomes of the process is told to the next program
            member.is_over = True

    def take(self, workers: int = 2, handover: Handover | None = None) -> Supervisor:
        """Let the next program begin."""
        self.theatre.supervisor = self.theatre.make(handover or self.handover, workers)
        return self.theatre.supervisor

    def end(self, actor: Actor) -> None:
        """Let a worker of the program before end."""
        actor.end()
        child = self.children[self.old.index(actor)]
        assert child.stdin is not None
        child.stdin.close()

    def clear(self) -> None:
        """Leave no process behind."""
        for child in self.children:
            assert child.stdin is not None
            child.stdin.close()
            child.kill()
            child.wait()
        self._before.sockets.close()
        for member in self._before.crew.members.values():
            member.channel.abort()
        self.theatre.turn()
        self._before.board.close()


@pytest.fixture
def left(theatre: Theatre) -> Iterator[Left]:
    theatre.open(OLD)
    left = Left(theatre)
    yield left
    left.clear()


def gone(supervisor: Supervisor, row: int) -> bool:
    """Tell whether a worker is gone, once that was looked at."""
    for member in supervisor.crew.present:
        member.check()
    return row not in supervisor.crew.members


def test_the_next_program_keeps_addresses_and_replaces_workers_one_by_one(
    theatre: Theatre, left: Left
) -> None:
    address = next(iter(left.handover.sockets))
    assert address.startswith("public tcp:0")
    theatre.are_willing = False
    supervisor = left.take()
    theatre.open(OLD)
    assert supervisor.addresses["public"]
    assert [process.state for process in supervisor.processes] == ["serving", "starting", "serving"]
    theatre.are_willing = True
    new = theatre.actors[2]
    new.act(new.last("configure"))
    theatre.turn()
    assert left.old[0].told[-1] == "drain"
    assert len(theatre.actors) == 4
    for actor in left.old:
        left.end(actor)
        theatre.loop.until(lambda row=actor.row: gone(supervisor, row))  # type: ignore[misc]
    assert [actor.row for actor in theatre.actors[2:]] == [FIRST_WORKER + 2, FIRST_WORKER + 3]
    assert len(rows_in_use(supervisor)) == 4


def test_workers_that_drain_still_are_minded_and_nobody_is_started_for_them(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    first.channel.send("leaving")
    theatre.turn()
    third = theatre.actors[2]
    theatre.are_willing = True
    third.act(third.last("configure"))
    theatre.turn()
    left = Left(theatre)
    try:
        assert [member.is_draining for member in left.handover.members] == [True, False, False]
        theatre.are_willing = False
        supervisor = left.take()
        theatre.reload(OLD)
        supervisor.start()
        theatre.turn()
        assert len(theatre.actors) == 3
        assert [process.state for process in supervisor.processes] == ["serving", "serving", "draining"]
        theatre.advance(DEADLINE + 1)
        # the process was killed, and its end of the channel is here
        first.channel.abort()
        theatre.loop.until(lambda: gone(supervisor, first.row))
        assert second.row in supervisor.crew.members
        assert len(theatre.actors) == 3
    finally:
        left.clear()


def test_where_fewer_are_wanted_the_others_drain(theatre: Theatre, left: Left) -> None:
    theatre.are_willing = False
    left.take(workers=1)
    theatre.reload(OLD, front=GATEWAY)
    theatre.supervisor.start()
    theatre.turn()
    assert [actor.told[-1] for actor in left.old] == ["accept", "drain"]
    assert len(theatre.actors) == 2


def test_who_dies_while_the_program_is_replaced_has_a_successor(theatre: Theatre, left: Left) -> None:
    left.end(left.old[0])
    left.children[0].wait()
    left.children[0].returncode = None
    supervisor = left.take()
    theatre.reload(OLD)
    supervisor.start()
    theatre.loop.until(lambda: gone(supervisor, left.old[0].row))
    theatre.advance(1)
    assert theatre.actors[-1].slot == 0


FIRST, SECOND = "192.0.2.1:80", "192.0.2.2:80"


@contextmanager
def next_program(theatre: Theatre, *sections: str) -> Iterator[Left]:
    """Leave the gateway to the next program, which reads ``sections``; new workers wait for the test."""
    left = Left(theatre)
    try:
        supervisor = left.take()
        theatre.are_willing = False
        theatre.reload(*sections)
        supervisor.start()
        theatre.turn()
        yield left
    finally:
        left.clear()


def stand(theatre: Theatre) -> list[str]:
    return [f"{one.name} {one.state}" for one in theatre.supervisor.judges.standings()["orders"]]


def test_the_next_program_judges_by_what_was_known_before(theatre: Theatre) -> None:
    theatre.open(TWO)
    theatre.supervisor.judges.drain("orders", FIRST)
    with next_program(theatre, TWO):
        assert stand(theatre) == [f"{FIRST} drained", f"{SECOND} up"]
        theatre.reload(TWO.replace("eject_after = 1", "eject_after = 2"))
        assert stand(theatre) == [f"{FIRST} drained", f"{SECOND} up"]
        theatre.supervisor.judges.enable("orders", FIRST)
        assert stand(theatre) == [f"{FIRST} up", f"{SECOND} up"]


def test_what_was_known_can_be_written_down(theatre: Theatre) -> None:
    theatre.open(TWO)
    theatre.supervisor.judges.drain("orders", FIRST)
    told = theatre.supervisor.handover(7.0).judged
    assert orjson.loads(orjson.dumps(told)) == told


def test_old_workers_are_told_and_heard_as_new_ones_are(theatre: Theatre) -> None:
    theatre.open(TWO)
    with next_program(theatre, TWO) as left:
        left.old[0].channel.send("outcomes", rows=[["orders", FIRST, "failed", "refused", 1]])
        theatre.turn()
        assert stand(theatre) == [f"{FIRST} ejected", f"{SECOND} up"]
        for actor in left.old:
            told = actor.last("standings").fields
            assert [row[3] for row in told["rows"]] == ["ejected", "up"]
            # it counts where it did: nobody has told it of other places
            assert "places" not in told


def test_and_so_they_are_after_a_reload_that_leaves_upstreams_alone(theatre: Theatre) -> None:
    theatre.open(TWO)
    with next_program(theatre, TWO) as left:
        theatre.reload(TWO, OLD)
        theatre.supervisor.judges.drain("orders", FIRST)
        theatre.turn()
        assert [row[3] for row in left.old[0].last("standings").fields["rows"]] == ["drained", "up"]


def test_who_has_other_upstreams_is_neither_told_nor_heard(theatre: Theatre) -> None:
    theatre.open(TWO)
    with next_program(theatre, TWO.replace("eject_after = 1", "eject_after = 1\nretries = 3")) as left:
        left.old[0].channel.send("outcomes", rows=[["orders", FIRST, "failed", "refused", 1]])
        theatre.supervisor.judges.drain("orders", SECOND)
        theatre.turn()
        assert stand(theatre) == [f"{FIRST} up", f"{SECOND} drained"]
        assert "standings" not in left.old[0].told


def test_nobody_leaves_while_workers_start_end_or_do_not_listen(theatre: Theatre) -> None:
    supervisor = theatre.supervisor
    theatre.are_willing = False
    theatre.open(OLD)
    assert supervisor.unready_to_leave == "not all workers serve yet; try again when they do"
    theatre.are_willing = True
    for actor in theatre.actors:
        actor.act(actor.last("configure"))
    theatre.turn()
    assert supervisor.unready_to_leave == ""
    _, second = theatre.actors
    second.channel.transport.stopReading()
    supervisor.crew.members[second.row].tell("more", b" " * 4_000_000)
    theatre.turn()
    assert supervisor.unsettled == "workers do not listen"
    second.channel.transport.startReading()
    theatre.loop.until(lambda: supervisor.unsettled == "")
    second.channel.abort()
    theatre.turn()
    assert (supervisor.unready_to_leave, supervisor.unsettled) == ("", "a worker is about to end")


def test_the_end_waits_for_who_was_killed(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    over = theatre.supervisor.stop()
    assert not over.called
    theatre.advance(2 * STEP)
    assert (first.is_over, second.is_over, over.called) == (True, True, True)


def test_and_not_for_ever(theatre: Theatre) -> None:
    for actor in theatre.open(OLD):
        vars(actor).update(signalProcess=lambda name: None)
    over = theatre.supervisor.stop()
    theatre.advance(GONE_WITHIN - STEP)
    assert not over.called
    theatre.advance(2 * STEP)
    assert over.called
