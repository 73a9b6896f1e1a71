from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.conftest import LoggedFailures
from twistedgate.jobs.job import Counts
from twistedgate.jobs.store import StoreAway
from twistedgate.observers.job_families import JobsReading
from twistedgate.observers.queues import FRESH, PATIENCE, Queues
from twistedgate.stores.memory import MemoryStore

WALL = 1_800_000_000.0


class Store(MemoryStore):
    """Answers when the test says what."""

    def __init__(self) -> None:
        super().__init__("here", 1 << 20)
        self.asked: list[float] = []
        self.answer: Deferred[dict[str, Counts]] = Deferred()

    async def counts(self, now: float) -> dict[str, Counts]:
        self.asked.append(now)
        self.answer = Deferred()
        return await self.answer


class Scene:
    """Somebody who looks."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store()
        self.queues = Queues(self.clock, lambda: WALL + self.clock.seconds())
        self.seen: list[JobsReading] = []

    def look(self, *routes: str) -> None:
        """Look at the jobs of these routes."""
        self.queues.look(self.store, routes).addCallback(self.seen.append)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_store_is_asked_and_every_route_is_told_of(scene: Scene) -> None:
    scene.look("reports", "exports")
    assert (scene.store.asked, scene.seen) == ([WALL], [])
    scene.store.answer.callback({"reports": Counts(3, 1, WALL)})
    assert scene.seen == [JobsReading(True, WALL, {"reports": Counts(3, 1, WALL), "exports": Counts()})]


def test_those_of_all_other_routes_are_put_together(scene: Scene) -> None:
    scene.look("reports")
    scene.store.answer.callback({"a": Counts(3, 1, 7.0), "b": Counts(0, 1), "c": Counts(1, 0, 5.0)})
    assert scene.seen[0].routes == {"reports": Counts(), "other": Counts(4, 2, 5.0)}


def test_a_route_of_that_name_is_among_them(scene: Scene) -> None:
    scene.look("other")
    scene.store.answer.callback({"a": Counts(3, 1, 7.0), "other": Counts(1, 1, 9.0)})
    assert scene.seen[0].routes == {"other": Counts(4, 2, 7.0)}


def test_who_looks_meanwhile_waits_for_the_same_answer(scene: Scene) -> None:
    scene.look("a")
    scene.look("b")
    scene.store.answer.callback({"b": Counts(1)})
    assert [reading.routes for reading in scene.seen] == [
        {"a": Counts(), "other": Counts(1)},
        {"b": Counts(1)},
    ]
    assert len(scene.store.asked) == 1


def test_an_answer_is_good_for_a_while(scene: Scene) -> None:
    scene.look("a")
    scene.store.answer.callback({})
    scene.clock.advance(FRESH * 0.9)
    scene.look("a")
    assert (len(scene.seen), len(scene.store.asked)) == (2, 1)
    scene.clock.advance(FRESH * 0.1)
    scene.look("a")
    assert (len(scene.seen), len(scene.store.asked)) == (2, 2)


def test_a_store_that_is_away_says_nothing(scene: Scene) -> None:
    scene.look("a")
    scene.store.answer.errback(StoreAway())
    assert scene.seen == [JobsReading(is_up=False)]


def test_nobody_waits_long_for_it(scene: Scene) -> None:
    scene.look("a")
    scene.clock.advance(PATIENCE)
    assert scene.seen == [JobsReading(is_up=False)]
    scene.look("a")
    scene.store.answer.callback({})
    assert scene.seen[1].is_up


def test_a_fault_of_it_is_told_and_harms_nobody(scene: Scene, logged_failures: LoggedFailures) -> None:
    scene.look("a")
    scene.store.answer.errback(ZeroDivisionError())
    assert scene.seen == [JobsReading(is_up=False)]
    assert len(logged_failures.flush(ZeroDivisionError)) == 1
