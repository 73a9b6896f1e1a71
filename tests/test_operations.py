from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from tests.running import FRONT, WORD, Running, orders
from twistedgate.admin.view import Outcome, UnknownName
from twistedgate.net.signals import install_signals
from twistedgate.observers.cells import ENDED, ENDS, jobs_block
from twistedgate.operations import ONE_PROCESS, Operations

Make = Callable[..., Running]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a gateway that runs."""
    made: list[Running] = []

    def run(*sections: str) -> Running:
        made.append(Running(tmp_path, *sections))
        made[-1].privilegedStartService()
        made[-1].startService()
        made[-1].reactor.run(but=install_signals)
        return made[-1]

    yield run
    for running in made:
        running.stopService()


def test_a_reload_is_that_of_the_signal_and_tells_what_changed(make: Make) -> None:
    running = make(FRONT, WORD.format("old"))
    running.write(FRONT, WORD.format("new"))
    outcomes: list[Outcome] = []
    Operations(running).reload().addCallback(outcomes.append)
    assert [outcome.said for outcome in outcomes] == ["changed route:word (respond)"]
    assert running.ask("/word").endswith(b"new")


def test_a_reload_of_a_gateway_that_shuts_down_is_refused(make: Make) -> None:
    running = make(FRONT, WORD.format("old"))
    running.shut_down()
    outcomes: list[Outcome] = []
    Operations(running).reload().addCallback(outcomes.append)
    assert [outcome.errors for outcome in outcomes] == [("the gateway is shutting down",)]


def test_one_process_alone_cannot_be_upgraded_and_says_what_to_do(make: Make) -> None:
    outcomes: list[Outcome] = []
    Operations(make(FRONT, WORD.format("here"))).upgrade().addCallback(outcomes.append)
    assert [outcome.errors for outcome in outcomes] == [(ONE_PROCESS,)]
    assert "workers = 2" in ONE_PROCESS


TWO = orders("http://192.0.2.1, http://192.0.2.2")


def said(outcome: Deferred[Outcome]) -> str:
    """Return what became of it by now."""
    (found,) = _found(outcome)
    return found.said


def _found(outcome: Deferred[Outcome]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    outcome.addCallback(outcomes.append)
    return outcomes


def picked(running: Running, count: int = 4) -> set[str]:
    """Return where requests go."""
    before = len(running.reactor.attempts)
    for _ in range(count):
        running.ask("/orders/7")
    return {attempt.place for attempt in running.reactor.attempts[before:]}


def test_a_drained_target_gets_nothing_new_until_it_is_enabled(make: Make) -> None:
    running = make(FRONT, TWO)
    operations = Operations(running)
    told = said(operations.drain_target("orders", "192.0.2.1:80"))
    assert told == "drained 192.0.2.1:80 of orders: no new requests go there"
    assert picked(running) == {"192.0.2.2:80"}
    assert said(operations.enable_target("orders", "192.0.2.1:80")) == "enabled 192.0.2.1:80 of orders"
    assert picked(running) == {"192.0.2.1:80", "192.0.2.2:80"}


def test_it_stays_drained_over_a_reload(make: Make) -> None:
    running = make(FRONT, TWO)
    Operations(running).drain_target("orders", "http://192.0.2.1")
    running.reload_with(FRONT, orders("http://192.0.2.1, http://192.0.2.2", retries=3))
    assert picked(running) == {"192.0.2.2:80"}


def test_an_upstream_whose_targets_are_all_drained_answers_503(make: Make) -> None:
    running = make(FRONT, TWO)
    for target in ("192.0.2.1:80", "192.0.2.2:80"):
        Operations(running).drain_target("orders", target)
    assert b" 503 " in running.ask("/orders/7")


def test_a_host_that_is_not_found_yet_may_be_drained(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    told = said(Operations(running).drain_target("orders", "http://name.test"))
    assert told == "drained http://name.test of orders: no new requests go there"


@pytest.mark.parametrize(
    ("upstream", "target", "known"),
    [
        ("order", "192.0.2.1:80", "orders"),
        ("orders", "192.0.2.9:80", "192.0.2.1:80"),
        ("orders", "", "http://"),
    ],
)
def test_a_name_that_is_not_known_names_those_that_are(
    make: Make, upstream: str, target: str, known: str
) -> None:
    operations = Operations(make(FRONT, TWO))
    for act in (operations.drain_target, operations.enable_target):
        with pytest.raises(UnknownName, match=known):
            act(upstream, target)


def test_jobs_are_asked_for_where_they_are_kept(make: Make) -> None:
    running = make(FRONT, WORD.format("here"))
    assert Operations(running).store is running.alone.store


def test_what_operators_do_with_jobs_is_counted_with_the_rest(make: Make) -> None:
    running = make(FRONT, WORD.format("here"), "async = optional\n")
    Operations(running).observer.finished("word", "cancelled")
    block = running.alone.measures.starts[jobs_block("word")]
    assert running.alone.board.total(block + ENDED + ENDS.index("cancelled"), 1) == [1]
