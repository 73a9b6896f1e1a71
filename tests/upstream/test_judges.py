from __future__ import annotations

import dataclasses

import pytest

from tests.upstream.network import World, upstream_config
from twistedgate.balancing.health import State
from twistedgate.config.model import UpstreamConfig
from twistedgate.upstream.judges import Judges
from twistedgate.upstream.judging import Standing

FIRST, SECOND = "192.0.2.1:80", "192.0.2.2:80"


class House:
    """A process that judges upstreams, and whose configuration changes."""

    def __init__(self, **configs: UpstreamConfig) -> None:
        self.world = World(name=("192.0.2.1", "192.0.2.2"))
        self.published: list[str] = []
        self.judges = Judges(self.world.watching, self._publish)
        self.reload(**configs)

    def _publish(self, upstream: str, standings: tuple[Standing, ...]) -> None:
        assert self.judges.standings()[upstream] == standings
        self.published.append(upstream)

    def reload(self, **configs: UpstreamConfig) -> None:
        """Take another configuration."""
        named = {name: dataclasses.replace(config, name=name) for name, config in configs.items()}
        self.judges.commit(self.judges.prepare(named))

    def states(self, upstream: str) -> list[State]:
        """Return how the targets of an upstream stand."""
        return [standing.state for standing in self.judges.standings()[upstream]]


def test_tells_of_which_upstream_it_is() -> None:
    house = House(a=upstream_config(FIRST), b=upstream_config(FIRST, SECOND))
    assert house.published == ["a", "b"]
    assert house.states("b") == [State.UP, State.UP]
    assert repr(house.judges) == f"<Judges [<Judging a {FIRST} up>, <Judging b {FIRST} up, {SECOND} up>]>"


def test_what_did_not_change_is_judged_on() -> None:
    house = House(a=upstream_config("name.test:80", eject_after=1, health_path="/health"))
    judging = house.judges.judgings["a"]
    house.judges.port("a").failed(FIRST, "reset", 0.0)
    house.reload(a=upstream_config("name.test:80", eject_after=1, health_path="/health"))
    assert house.judges.judgings["a"] is judging
    assert house.states("a") == [State.EJECTED, State.UP]
    assert house.world.names.asked == ["name.test"]
    assert len(house.world.probe.asked) == 2


def test_what_changed_is_judged_by_what_was_known_and_looked_up() -> None:
    house = House(a=upstream_config("name.test:80", eject_after=1))
    port = house.judges.port("a")
    port.failed(FIRST, "reset", 0.0)
    del house.world.names.known["name.test"]
    house.reload(a=upstream_config("name.test:80", eject_after=1, retries=3))
    assert house.states("a") == [State.EJECTED, State.UP]
    assert house.world.names.asked == ["name.test"]
    port.failed(SECOND, "reset", 0.0)
    assert house.judges.standings()["a"][1].is_suspected


def test_a_refused_configuration_changes_nothing() -> None:
    house = House(a=upstream_config(FIRST, health_path="/health"))
    prepared = house.judges.prepare({"a": upstream_config("other.test:80"), "b": upstream_config(FIRST)})
    assert set(prepared) == {"a", "b"}
    assert list(house.judges.judgings) == ["a"]
    assert house.world.names.asked == []
    assert house.world.probe.under_way == {FIRST}


def test_whoever_is_prepared_only_or_gone_is_told_in_vain() -> None:
    house = House(a=upstream_config(FIRST, SECOND, eject_after=1))
    port, other = house.judges.port("a"), house.judges.port("b")
    house.reload(b=upstream_config(FIRST, SECOND))
    for tell in (port, other):
        tell.failed(FIRST, "reset", 0.0)
        tell.trial_started(FIRST, 0.0)
        tell.trial_abandoned(FIRST, 0.0)
        tell.succeeded(FIRST, 0.0)
    assert house.states("b") == [State.UP, State.UP]
    assert list(house.judges.standings()) == ["b"]


def test_a_trial_is_told_by_the_port() -> None:
    house = House(a=upstream_config(FIRST, SECOND, eject_after=1, eject_for=10.0))
    port = house.judges.port("a")
    port.failed(FIRST, "reset", 1000.0)
    house.judges.sweep(1010.0)
    found = []
    for tell in (port.trial_started, port.trial_abandoned, port.trial_started, port.succeeded):
        found.append(house.judges.standings()["a"][0].is_trial)
        tell(FIRST, 1010.0)
    assert found == [True, False, True, False]
    assert house.states("a") == [State.UP, State.UP]


def test_an_operator_drains_and_enables_until_the_configuration_has_it_no_more() -> None:
    house = House(a=upstream_config(FIRST, SECOND))
    assert house.judges.drain("a", FIRST) == (FIRST,)
    house.reload(a=upstream_config(FIRST, SECOND, retries=3))
    house.reload(a=upstream_config(FIRST, SECOND, retries=2))
    assert house.states("a") == [State.DRAINED, State.UP]
    assert house.judges.enable("a", FIRST) == (FIRST,)
    assert house.states("a") == [State.UP, State.UP]


@pytest.mark.parametrize(("upstreams", "known"), [({}, "none"), ({"b": upstream_config(FIRST)}, "b")])
def test_an_upstream_that_is_not_there_is_refused_with_those_that_are(
    upstreams: dict[str, UpstreamConfig], known: str
) -> None:
    house = House(**upstreams)
    for act in (house.judges.drain, house.judges.enable):
        with pytest.raises(LookupError) as raised:
            act("a", FIRST)
        assert raised.value.args == (f"there is no upstream 'a'; there is {known}",)


def test_many_reloads_and_the_end_leave_nothing_behind() -> None:
    house = House(a=upstream_config("name.test:80", "unknown.test:80", health_path="/health"))
    for retries in range(5):
        house.reload(a=upstream_config("name.test:80", "unknown.test:80", health_path="/x", retries=retries))
        assert len(house.world.probe.under_way) == 2
    house.reload(b=upstream_config(FIRST, health_path="/health"))
    assert house.world.probe.under_way == {FIRST}
    house.judges.stop()
    assert house.world.probe.under_way == set()
    assert not house.world.network.getDelayedCalls()


def test_another_program_begins_with_what_was_written() -> None:
    options = {"health_path": "/health", "health_fall": 3, "eject_after": 2, "max_ejected": 1.0}
    house = House(a=upstream_config("name.test:80", **options), gone=upstream_config(SECOND))
    house.judges.drain("a", FIRST)
    for _ in range(2):
        house.judges.port("a").failed(SECOND, "reset", 1000.0)
    house.world.probe.answer(SECOND, 200)
    told = house.judges.written()

    after = House()
    after.judges.read(told)
    del after.world.names.known["name.test"]
    after.reload(a=upstream_config("name.test:80", **options))
    assert after.states("a") == house.states("a") == [State.DRAINED, State.UP]
    assert after.judges.judgings["a"].standings == house.judges.judgings["a"].standings
    after.judges.enable("a", FIRST)
    # it is asked as before: a single bad check does not count for all
    after.world.probe.answer(SECOND, 500)
    assert after.states("a") == [State.UP, State.UP]


def test_it_counts_once() -> None:
    house = House(a=upstream_config(FIRST, SECOND))
    house.judges.drain("a", FIRST)
    after = House()
    after.judges.read(house.judges.written())
    after.reload(b=upstream_config(FIRST))
    after.reload(a=upstream_config(FIRST, SECOND))
    assert after.states("a") == [State.UP, State.UP]
