"""What is known of workers is what the scoreboard says: of each, and of all together."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import orders
from tests.workers.pretending import Actor, Theatre, a_theatre
from twistedgate.facts import ProcessFacts, TargetFacts, UpstreamFacts
from twistedgate.observers.cells import ANSWERED, DROPPED, PROCESS, TARGET_FAILURES, TARGET_REQUESTS
from twistedgate.workers.scoreboard import ACCEPTING, CONNECTIONS, Row

TARGET = "target:orders/192.0.2.1:80"


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    with a_theatre(tmp_path) as theatre:
        theatre.open(orders("http://192.0.2.1:80, http://192.0.2.2:80"))
        yield theatre


def row_of(theatre: Theatre, actor: Actor) -> Row:
    """Return what a worker writes."""
    return theatre.supervisor.board.row(actor.row)


def count(theatre: Theatre, actor: Actor, block: str, cell: int, number: int) -> None:
    """Let a worker count."""
    row_of(theatre, actor).counters[theatre.supervisor.measures.starts[block] + cell] += number


def show(theatre: Theatre, actor: Actor, name: str, number: int) -> None:
    """Let a worker show how many there are of something."""
    gauge = theatre.supervisor.places.gauge(name)
    assert gauge is not None
    row_of(theatre, actor).add(gauge, number)


def test_each_worker_is_told_by_its_number_and_those_that_drain_last(theatre: Theatre) -> None:
    first, second = theatre.present
    row_of(theatre, first).set(CONNECTIONS, 3)
    count(theatre, first, PROCESS, ANSWERED, 7)
    count(theatre, second, PROCESS, ANSWERED, 9)
    assert theatre.supervisor.processes == [
        ProcessFacts(first.pid, "serving", 3, 7),
        ProcessFacts(second.pid, "serving", 0, 9),
    ]
    theatre.are_willing = False
    first.channel.send("leaving")
    theatre.turn()
    assert [(one.pid, one.state) for one in theatre.supervisor.processes] == [
        (theatre.actors[2].pid, "starting"),
        (second.pid, "serving"),
        (first.pid, "draining"),
    ]
    theatre.supervisor.crew.members[first.row].kill()
    theatre.supervisor.crew.roster.stuck(second.row, theatre.now)
    assert [one.state for one in theatre.supervisor.processes] == ["starting", "ending", "draining"]


def test_what_is_counted_is_the_sum_and_never_goes_back(theatre: Theatre) -> None:
    supervisor = theatre.supervisor
    for actor in theatre.present:
        count(theatre, actor, PROCESS, ANSWERED, 7)
        count(theatre, actor, PROCESS, DROPPED, 2)
        count(theatre, actor, TARGET, TARGET_REQUESTS, 5)
        count(theatre, actor, TARGET, TARGET_FAILURES, 1)
    for _ in range(2):
        assert (supervisor.requests, supervisor.dropped) == (14, 4)
        assert supervisor.target("orders", "192.0.2.1:80") == TargetFacts(0, 10, 2)
        assert supervisor.upstream("orders").requests == 10
        theatre.present[0].end(signal.SIGKILL)
        theatre.turn()


def test_what_is_under_way_is_the_sum_of_those_who_live(theatre: Theatre) -> None:
    supervisor = theatre.supervisor
    for actor in theatre.present:
        row_of(theatre, actor).set(CONNECTIONS, 4)
        for name in (
            "listener:public",
            "route:orders",
            "upstream:orders",
            TARGET,
            "pool:orders",
            "idle:orders",
        ):
            show(theatre, actor, name, 3)
    assert supervisor.connections == 8
    assert [supervisor.connections_of("public"), supervisor.in_flight("orders")] == [6, 6]
    assert supervisor.upstream("orders") == UpstreamFacts(0, 6, 6, 6)
    assert supervisor.target("orders", "192.0.2.1:80").in_flight == 6
    assert supervisor.target("orders", "192.0.2.2:80").in_flight == 0
    theatre.present[0].end(signal.SIGKILL)
    theatre.turn()
    assert (supervisor.connections, supervisor.in_flight("orders")) == (4, 3)


def test_what_has_no_place_is_nothing(theatre: Theatre) -> None:
    supervisor = theatre.supervisor
    assert supervisor.target("orders", "192.0.2.9:80") == TargetFacts(0, 0, 0)
    assert (supervisor.connections_of("gone"), supervisor.in_flight("gone")) == (0, 0)


def test_is_paused_when_nobody_who_serves_accepts(theatre: Theatre) -> None:
    supervisor = theatre.supervisor
    first, second = theatre.present
    row_of(theatre, first).set(ACCEPTING, 1)
    paused = [supervisor.is_paused]
    row_of(theatre, first).set(ACCEPTING, 0)
    paused.append(supervisor.is_paused)
    for actor in (first, second):
        actor.end(signal.SIGKILL)
    theatre.turn()
    # nobody serves: that is another thing
    assert [*paused, supervisor.is_paused] == [False, True, False]
