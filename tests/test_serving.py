"""What serves: a configuration is prepared aside and swapped in or abandoned; deadlines are looked at."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.protocol import Factory

from tests.conftest import LoggedFailures
from tests.downstream.conversation import get
from tests.running import FRONT, WORD, Running, orders
from twistedgate.alone import Alone
from twistedgate.config.model import Configuration
from twistedgate.downstream.listeners import CannotListen
from twistedgate.net.collecting import keep_what_stays
from twistedgate.serving import LONGEST_SWEEP, SHORTEST_SWEEP, Server, _sweep_interval
from twistedgate.units import Units

OTHER = "[listener:other]\nendpoint = tcp:8081:interface=127.0.0.1\n"


class Serving:
    """A server whose addresses are in memory."""

    def __init__(self, folder: Path) -> None:
        self.source = Running(folder, FRONT, WORD.format("old"))
        self.reactor = self.source.reactor
        self.server: Server = self.source.server
        self.server.commit(self.server.prepare(self.server.configuration))
        self.server.listeners.resume_accepting()

    def read(self, *sections: str) -> Configuration:
        """Return another configuration."""
        self.source.write(*sections)
        return Units().load(self.source.path)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    threshold = gc.get_threshold()
    serving = Serving(tmp_path)
    yield serving
    assert serving.server.stop().called
    assert serving.source.numbers() == []
    gc.set_threshold(*threshold)


def answer(serving: Serving) -> bytes:
    """Return the last three bytes that a client is sent."""
    line = serving.source.connect()
    line.protocol.dataReceived(get("/word"))
    return line.received[-3:]


def test_what_is_prepared_serves_once_it_is_committed(serving: Serving) -> None:
    prepared = serving.server.prepare(serving.read(FRONT, WORD.format("new"), OTHER))
    assert (answer(serving), serving.source.accepting()) == (b"old", [8080])
    serving.server.commit(prepared)
    assert (answer(serving), serving.source.numbers()) == (b"new", [8080, 8081])


def test_what_is_in_use_is_kept_out_of_the_collectors_sight(serving: Serving) -> None:
    source = serving.source
    plain = Alone(source.reactor, source.configuration, Units(), source._make_watching)
    assert plain.server.committed is keep_what_stays
    assert source.commits == 1
    serving.server.commit(serving.server.prepare(serving.read(FRONT, WORD.format("new"))))
    assert source.commits == 2


def test_what_is_abandoned_leaves_nothing_behind(serving: Serving) -> None:
    serving.server.abandon(serving.server.prepare(serving.read(FRONT, WORD.format("new"), OTHER, orders())))
    assert (answer(serving), serving.source.numbers()) == (b"old", [8080])
    assert list(serving.server.upstreams) == []


def test_nor_does_what_cannot_be_prepared(serving: Serving) -> None:
    serving.reactor.listenTCP(8081, Factory(), 50, "127.0.0.1")
    route = "[route:x]\npath = /x\nrespond = 204\n"
    with pytest.raises(CannotListen):
        serving.server.prepare(serving.read(FRONT, WORD.format("new"), OTHER, route))
    assert answer(serving) == b"old"
    assert list(serving.server.gates._gates) == ["word"]
    serving.source.port(8081).stopListening()


class Failing:
    """A listener whose sweep fails."""

    sweeps = 0
    open_count = 0

    def sweep(self, now: float) -> None:
        """Fail."""
        self.sweeps += 1
        raise RuntimeError("out of luck")

    def abort(self) -> None:
        """Nothing is open."""


def test_a_sweep_that_fails_is_told_and_not_the_last(
    serving: Serving, logged_failures: LoggedFailures
) -> None:
    failing = Failing()
    serving.server.listeners.leaving.append(failing)  # type: ignore[arg-type]
    for _ in range(3):
        serving.reactor.advance(LONGEST_SWEEP)
    assert failing.sweeps == 3
    assert len(logged_failures.flush(RuntimeError)) == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", LONGEST_SWEEP),
        ("response_timeout = 2s\n", 0.5),
        ("read_timeout = 100ms\n", 0.025),
        ("keepalive_timeout = 1ms\n", SHORTEST_SWEEP),
        ("eject_for = 1s\n", 0.25),
    ],
)
def test_looks_at_deadlines_often_enough_for_the_shortest(
    serving: Serving, text: str, seconds: float
) -> None:
    configuration = serving.read(FRONT, orders().replace("[route", f"{text}[route"))
    assert _sweep_interval(configuration) == pytest.approx(seconds)
    serving.server.commit(serving.server.prepare(configuration))
    assert serving.server._sweeping.interval == pytest.approx(seconds)
