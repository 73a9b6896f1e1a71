from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import FRONT, WORD, Running
from twistedgate.admin.view import Outcome
from twistedgate.net.signals import install_signals
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
