"""A worker prepares one configuration at a time, and serves what is in use when it has prepared it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.running import WORD, orders
from tests.workers.pretending import Theatre, a_theatre, descriptors
from twistedgate.serving import CannotServe
from twistedgate.workers.briefing import ANSWER_WITHIN

OLD, NEW, NEWEST = (WORD.format(word) for word in ("old", "new", "newest"))


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    with a_theatre(tmp_path) as theatre:
        yield theatre


def test_who_comes_is_given_everything_and_serves(theatre: Theatre) -> None:
    first, second = theatre.open(orders())
    assert first.told == second.told == ["configure 1", "commit 1", "accept"]
    told = first.last("configure").fields
    assert told["listeners"] == ["public"]
    assert {"route:orders", "upstream:orders"} <= told["places"]["gauges"].keys()
    committed = first.last("commit").fields
    assert [row[0] for row in committed["standings"]["orders"]] == ["192.0.2.1:80"]
    assert "target:orders/192.0.2.1:80" in committed["places"]["gauges"]


def test_who_comes_late_lets_clients_in_at_once(theatre: Theatre) -> None:
    theatre.open(OLD)[0].end()
    theatre.advance(2)
    assert theatre.present[-1].last("commit").fields["accepting"]


def test_operators_listeners_are_not_for_workers(theatre: Theatre) -> None:
    admin = "[listener:admin]\nendpoint = tcp:0:interface=127.0.0.1\nserve = admin\n"
    first, _ = theatre.open(admin, OLD)
    assert first.last("configure").fields["listeners"] == ["public"]
    assert theatre.supervisor.sockets.sockets.keys() == {"public", "admin"}


def test_a_reload_that_meets_one_who_starts_waits_for_it_and_asks_it_too(theatre: Theatre) -> None:
    theatre.open(OLD)[0].end()
    theatre.are_willing = False
    theatre.advance(1)
    _, other, late = theatre.actors
    assert late.told == ["configure 1"]
    done = theatre.reload(NEW)
    assert (done, other.told[-1]) == ([], "accept")
    late.prepared(1)
    theatre.turn()
    assert late.told == ["configure 1", "commit 1", "configure 2"]
    assert other.told[-1] == "configure 2"
    late.prepared(2)
    other.prepared(2)
    theatre.turn()
    assert done == [True]
    assert late.told[-1] == other.told[-1] == "commit 2"


def test_who_starts_in_a_reload_is_given_what_is_in_use_by_then(theatre: Theatre) -> None:
    first, other = theatre.open(OLD)
    theatre.are_willing = False
    done = theatre.reload(NEW)
    first.end()
    theatre.advance(1)
    late = theatre.actors[-1]
    other.prepared(2)
    theatre.turn()
    assert done == [True]
    late.prepared(1)
    theatre.turn()
    assert late.told == ["configure 1", "abandon 1", "configure 2"]
    late.prepared(2)
    theatre.turn()
    assert late.told[-1] == "commit 2"


def test_who_is_briefed_through_two_reloads_prepares_one_at_a_time(theatre: Theatre) -> None:
    first, other = theatre.open(OLD)
    theatre.are_willing = False
    theatre.reload(NEW)
    first.end()
    theatre.advance(1)
    late = theatre.actors[-1]
    other.prepared(2)
    theatre.turn()
    done = theatre.reload(NEWEST)
    assert (done, late.told) == ([], ["configure 1"])
    theatre.are_willing = True
    late.prepared(1)
    theatre.turn()
    assert done == [True]
    expected = ["configure 1", "abandon 1", "configure 2", "commit 2", "configure 3", "commit 3"]
    assert late.told == expected
    assert other.told[-2:] == ["configure 3", "commit 3"]


def test_who_cannot_serve_what_is_in_use_is_ended(theatre: Theatre) -> None:
    first, _ = theatre.open(OLD)
    theatre.objections = lambda configuration: ["no such module"]
    first.end(signal.SIGKILL)
    theatre.turn()
    theatre.advance(2)
    assert all(actor.is_over for actor in theatre.actors[2:])
    assert [actor.told for actor in theatre.actors[2:4]] == [["configure 1"], ["configure 1"]]


def test_where_nobody_ever_could_serve_it_all_ends_at_once(theatre: Theatre) -> None:
    deserted: list[float] = []
    theatre.supervisor.on_deserted = lambda: deserted.append(theatre.now)
    theatre.objections = lambda configuration: ["[shy:one] cannot be made"]
    with capturedLogs() as logged:
        theatre.open(OLD)
    assert deserted
    assert set(deserted) == {1000.0}
    told = [formatEvent(event) for event in logged if event["log_level"] >= LogLevel.error]
    assert "worker 1 cannot serve: [shy:one] cannot be made" in told
    theatre.supervisor.stop()
    theatre.advance(10)
    assert len(theatre.actors) == 2


def test_who_starts_has_more_time_than_one_that_serves(theatre: Theatre) -> None:
    theatre.are_willing = False
    theatre.open(OLD)
    theatre.advance(ANSWER_WITHIN * 2)
    assert len(theatre.actors) == 2
    theatre.advance(ANSWER_WITHIN * 2)
    assert [actor.is_over for actor in theatre.actors[:2]] == [True, True]


def test_one_that_does_not_answer_in_time_says_no(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    outcome = theatre.reload(NEW)
    first.prepared(2)
    theatre.advance(ANSWER_WITHIN + 1)
    (error,) = outcome
    assert isinstance(error, CannotServe)
    assert error.errors == ("worker 2 did not answer within 10 s",)
    assert first.told[-1] == second.told[-1] == "abandon 2"
    # too late
    second.prepared(2)
    theatre.turn()
    assert second.told[-1] == "abandon 2"


def test_a_reload_is_done_when_everybody_serves_by_it(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.commit_by_themselves = False
    done = theatre.reload(NEW)
    assert first.told[-1] == second.told[-1] == "commit 2"
    first.committed(2)
    theatre.turn()
    assert done == []
    second.committed(2)
    theatre.turn()
    assert done == [True]


def test_who_dies_when_it_is_told_to_commit_is_not_waited_for(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.commit_by_themselves = False
    done = theatre.reload(NEW)
    first.committed(2)
    second.end(signal.SIGKILL)
    theatre.turn()
    assert done == [True]


def test_who_hangs_when_it_is_told_to_commit_is_not_waited_for_for_ever(theatre: Theatre) -> None:
    first, _ = theatre.open(OLD)
    theatre.commit_by_themselves = False
    done = theatre.reload(NEW)
    first.committed(2)
    theatre.advance(ANSWER_WITHIN + 1)
    assert done == [True]


def test_one_that_drains_by_then_is_not_told_to_serve(theatre: Theatre) -> None:
    first, second = theatre.open(OLD)
    theatre.are_willing = False
    done = theatre.reload(NEW)
    first.prepared(2)
    first.channel.send("leaving")
    second.prepared(2)
    theatre.turn()
    assert done == [True]
    assert (first.told[-2:], second.told[-1]) == (["drain", "abandon 2"], "commit 2")


def test_targets_are_told_with_their_places_and_only_to_who_has_the_configuration(theatre: Theatre) -> None:
    first, second = theatre.open(orders())
    theatre.are_willing = False
    theatre.reload(orders("http://192.0.2.1:80, http://192.0.2.2:80"))
    first.prepared(2)
    theatre.turn()
    assert "standings" not in first.told
    second.prepared(2)
    theatre.turn()
    for actor in (first, second):
        committed = actor.last("commit").fields
        assert [row[0] for row in committed["standings"]["orders"]] == ["192.0.2.1:80", "192.0.2.2:80"]
        assert "target:orders/192.0.2.2:80" in committed["places"]["gauges"]
    theatre.supervisor.judges.drain("orders", "192.0.2.2:80")
    theatre.turn()
    assert first.told[-1] == second.told[-1] == "standings"


def test_descriptors_that_were_lent_are_given_back(theatre: Theatre) -> None:
    theatre.open(OLD)
    before = descriptors()
    for _ in range(50):
        assert theatre.reload(NEW) == [True]
    assert descriptors() == before
