"""Places are given out by name, told once, and given out again when nobody counts there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from twistedgate.config.model import Configuration, GatewayConfig, RouteConfig, UpstreamConfig
from twistedgate.config.notation import target
from twistedgate.config.values import Surroundings
from twistedgate.workers.places import Placed, Places
from twistedgate.workers.scoreboard import FIRST_GAUGE, SUPERVISOR, Scoreboard


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard.create()
    yield board
    board.close()


def configuration(*routes: str, upstreams: tuple[str, ...] = ()) -> Configuration:
    """Return one with these names."""
    targets = (target.read("http://192.0.2.1:80", Surroundings()),)
    return Configuration(
        GatewayConfig(),
        {},
        {name: UpstreamConfig(name, targets=targets) for name in upstreams},
        {name: RouteConfig(name, path=f"/{name}") for name in routes},
        {},
        {},
    )


class Worker:
    """A worker that is told about places over a channel that knows JSON only."""

    def __init__(self, board: Scoreboard, places: Places) -> None:
        self.row = board.row(board.take_row())
        self.places = places
        self.placed = Placed(self.row, lambda *stamps: places.acknowledge(self.row.number, *stamps))
        places.join(self.row.number)

    def hear(self) -> bool:
        """Be told whatever is new."""
        told: dict[str, Any] = orjson.loads(orjson.dumps(self.places.told(self.row.number)))
        return self.placed.take(told.get("places"))


def make(board: Scoreboard, left: Any = None) -> Places:
    """Return places that the supervisor gives out."""
    return Places(board, board.row(SUPERVISOR), left)


def use(places: Places, configuration: Configuration) -> None:
    """Have a configuration take effect."""
    places.prepare(configuration)
    places.commit(configuration)


def test_each_name_of_a_configuration_has_its_places(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a", "b", upstreams=("u",)))
    places.find_targets("u", ["192.0.2.1:80"])
    worker = Worker(board, places)
    assert worker.hear()
    names = {"route:a", "route:b", "upstream:u", "pool:u", "idle:u", "target:u/192.0.2.1:80"}
    assert worker.placed.gauges.keys() == names
    assert len({*worker.placed.gauges.values()}) == 6
    assert min(worker.placed.gauges.values()) >= FIRST_GAUGE
    assert worker.placed.columns.keys() >= {"route:a", "route:b", "upstream:u"}
    assert places.gauge("route:b") == worker.placed.gauges["route:b"]
    assert places.gauge("route:c") is None


def test_nothing_is_told_twice(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a"))
    worker = Worker(board, places)
    assert [worker.hear(), worker.hear()] == [True, False]
    use(places, configuration("a", "b"))
    assert worker.hear()


def test_what_stays_keeps_its_places(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a", "b", upstreams=("u",)))
    places.find_targets("u", ["one", "two"])
    worker = Worker(board, places)
    worker.hear()
    before = dict(worker.placed.gauges)
    use(places, configuration("b", "c", upstreams=("u",)))
    places.find_targets("u", ["two"])
    worker.hear()
    after = worker.placed.gauges
    assert after.keys() == {"route:b", "route:c", "upstream:u", "pool:u", "idle:u", "target:u/two"}
    assert {name: after[name] for name in after if name in before} == {
        name: before[name] for name in before if name in after
    }


def test_a_target_that_is_gone_gives_its_columns_back(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a", upstreams=("u", "v")))
    for place in (("u", "one"), ("u", "two"), ("v", "one")):
        places.measures.found(*place)
    places.find_targets("u", ["two"])
    assert {name for name in places.measures.starts if name.startswith("target:")} == {
        "target:other/other",
        "target:u/two",
        "target:v/one",
    }


def test_a_gauge_is_given_out_again_when_nothing_is_under_way_there(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a"))
    worker = Worker(board, places)
    worker.hear()
    gauge = worker.placed.gauges["route:a"]
    worker.row.add(gauge, 1)
    use(places, configuration("b"))
    worker.hear()
    worker.placed.sweep()
    use(places, configuration("b", "c"))
    assert places.gauge("route:c") != gauge
    worker.row.add(gauge, -1)
    worker.placed.sweep()
    use(places, configuration("b", "c", "d"))
    assert places.gauge("route:d") == gauge


def test_what_is_only_shown_does_not_keep_a_gauge(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a", upstreams=("u",)))
    worker = Worker(board, places)
    worker.hear()
    gauges = [worker.placed.gauges[name] for name in ("pool:u", "idle:u")]
    for gauge in gauges:
        worker.row.set(gauge, 5)
    use(places, configuration("a"))
    worker.hear()
    worker.placed.sweep()
    assert [worker.row.get(gauge) for gauge in gauges] == [0, 0]
    use(places, configuration("a", "b", "c"))
    assert {places.gauge("route:b"), places.gauge("route:c")} <= {*gauges, gauges[0] - 1}


def test_what_has_come_back_is_not_waited_for(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a", "b"))
    worker = Worker(board, places)
    worker.hear()
    first, second = (worker.placed.gauges[name] for name in ("route:a", "route:b"))
    # there is always something under way
    worker.row.add(first, 1)
    use(places, configuration("c"))
    worker.hear()
    use(places, configuration("c", "a"))
    worker.hear()
    assert worker.placed.gauges["route:a"] == first
    worker.placed.sweep()
    use(places, configuration("c", "a", "d"))
    assert places.gauge("route:d") == second


def test_or_when_the_worker_is_gone(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a"))
    worker = Worker(board, places)
    worker.hear()
    gauge = worker.placed.gauges["route:a"]
    use(places, configuration("b"))
    places.leave(worker.row.number)
    use(places, configuration("b", "c"))
    assert places.gauge("route:c") == gauge


def test_the_next_program_goes_on_with_the_same_places(board: Scoreboard) -> None:
    places = make(board)
    use(places, configuration("a", "b", upstreams=("u",)))
    places.find_targets("u", ["one"])
    worker = Worker(board, places)
    worker.hear()
    use(places, configuration("b", upstreams=("u",)))
    record = orjson.loads(orjson.dumps(places.record()))
    next_places = make(board, record)
    use(next_places, configuration("b", upstreams=("u",)))
    next_worker = Worker(board, next_places)
    next_worker.hear()
    for name in ("route:b", "upstream:u", "target:u/one"):
        assert next_worker.placed.gauges[name] == worker.placed.gauges[name]
        if name in worker.placed.columns:
            assert next_worker.placed.columns[name] == worker.placed.columns[name]
    # the worker of the program before has not said yet that it left this one
    use(next_places, configuration("b", "c", upstreams=("u",)))
    assert next_places.gauge("route:c") != worker.placed.gauges["route:a"]
