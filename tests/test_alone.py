"""One process serves, judges, counts, and tells what is known of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from tests.running import FRONT, WORD, Running, orders
from twistedgate.alone import Alone, Both
from twistedgate.downstream.listeners import CannotListen
from twistedgate.facts import ProcessFacts, TargetFacts, UpstreamFacts
from twistedgate.observers.cells import REQUESTS, STATUSES
from twistedgate.units import Units

OTHER = "[listener:other]\nendpoint = tcp:8081:interface=127.0.0.1\n"


class Scene:
    """One process whose addresses and targets are in memory."""

    def __init__(self, folder: Path) -> None:
        self.running = Running(folder, FRONT, orders(), WORD.format("old"))
        self.alone: Alone = self.running.alone
        self.use(self.prepare(FRONT, orders(), WORD.format("old")))
        self.alone.start()

    def prepare(self, *sections: str) -> Deferred[Both]:
        """Prepare another configuration."""
        self.running.write(*sections)
        return self.alone.prepare(Units().load(self.running.path))

    def use(self, prepared: Deferred[Both]) -> None:
        """Have it take effect."""
        prepared.addCallback(self.alone.commit)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    threshold = gc.get_threshold()
    scene = Scene(tmp_path)
    yield scene
    assert scene.alone.stop().called
    gc.set_threshold(*threshold)


def test_serves_once_clients_are_let_in(scene: Scene) -> None:
    states = [scene.alone.processes[0].state]
    scene.alone.resume_accepting()
    assert scene.running.ask("/word").endswith(b"old")
    states.append(scene.alone.processes[0].state)
    scene.alone.drain(1.0)
    states.append(scene.alone.processes[0].state)
    assert states == ["starting", "serving", "draining"]
    assert scene.running.numbers() == []


def test_tells_what_is_known(scene: Scene) -> None:
    scene.alone.resume_accepting()
    line = scene.running.connect()
    scene.running.ask("/word", line)
    assert scene.alone.processes == [ProcessFacts(os.getpid(), "serving", 1, 1)]
    assert (scene.alone.requests, scene.alone.connections, scene.alone.dropped) == (1, 1, 0)
    assert scene.alone.addresses == {"public": "tcp:127.0.0.1:8080"}
    assert (scene.alone.connections_of("public"), scene.alone.connections_of("other")) == (1, 0)
    assert scene.alone.in_flight("word") == 0
    assert not scene.alone.is_paused


def test_tells_of_upstreams_and_targets(scene: Scene) -> None:
    scene.alone.resume_accepting()
    scene.running.ask("/orders/7")
    assert scene.alone.in_flight("orders") == 1
    assert scene.alone.upstream("orders") == UpstreamFacts(1, 1, 1, 0)
    assert scene.alone.target("orders", "192.0.2.1:80") == TargetFacts(1, 1, 0)
    assert scene.alone.target("orders", "192.0.2.9:80") == TargetFacts(0, 0, 0)


def test_what_is_abandoned_leaves_nothing_behind(scene: Scene) -> None:
    scene.prepare(FRONT, OTHER, orders("http://192.0.2.2:80")).addCallback(scene.alone.abandon)
    assert scene.running.numbers() == [8080]
    assert [standing.name for standing in scene.alone.judges.standings()["orders"]] == ["192.0.2.1:80"]


def test_what_cannot_be_had_is_told(scene: Scene) -> None:
    failed: list[object] = []
    scene.running.reactor.listenTCP(8081, Factory(), 50, "127.0.0.1")
    scene.prepare(FRONT, OTHER).addErrback(lambda failure: failed.append(failure.check(CannotListen)))
    assert failed == [CannotListen]
    scene.running.port(8081).stopListening()


def test_judges_and_counts_by_the_same_configuration(scene: Scene) -> None:
    scene.use(scene.prepare(FRONT, orders("http://192.0.2.2:80"), WORD.format("new")))
    assert [standing.name for standing in scene.alone.judges.standings()["orders"]] == ["192.0.2.2:80"]
    scene.alone.resume_accepting()
    assert scene.running.ask("/word").endswith(b"new")
    start = scene.alone.measures.starts["route:word"]
    place = STATUSES.index("200")
    assert scene.alone.board.total(start + REQUESTS, len(STATUSES))[place] == 1
