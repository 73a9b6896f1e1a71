from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.upstream.network import World, targets, upstream_config
from twistedgate.balancing.health import State
from twistedgate.config.model import TargetConfig
from twistedgate.net.tls import ClientTLS, client_settings
from twistedgate.upstream.judging import Judging, Standing

FIRST, SECOND, THIRD = "192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"


class Bench:
    """Who judges one upstream, and what was published."""

    def __init__(self, world: World, *places: str, previous: Bench | None = None, **options: Any) -> None:
        self.world = world
        self.published: list[tuple[Standing, ...]] = []
        self.judging: Judging = Judging(
            upstream_config(*places, **options),
            world.watching,
            None if previous is None else previous.judging,
            self.published.append,
        )
        self.judging.start()
        if previous is not None:
            previous.judging.stop()

    @property
    def now(self) -> float:
        """The test's time."""
        return self.world.network.seconds()

    @property
    def names(self) -> list[str]:
        """Who is there, in order."""
        return [standing.name for standing in self.judging.standings]

    def __getitem__(self, name: str) -> Standing:
        """Return how a target stands."""
        (found,) = [standing for standing in self.judging.standings if standing.name == name]
        return found

    def states(self) -> dict[str, State]:
        """Return the state of each target."""
        return {standing.name: standing.state for standing in self.judging.standings}

    @property
    def pickable(self) -> list[str]:
        """Who may be picked."""
        return [standing.name for standing in self.judging.standings if standing.may_pick]

    def fail(self, name: str, times: int = 1) -> None:
        """Let requests to a target fail."""
        for _ in range(times):
            self.judging.failed(name, "reset", self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.world.network.advance(seconds)
        self.judging.tick(self.now)

    def try_again(self, seconds: float, name: str = FIRST) -> None:
        """Let an ejection end, and the trial begin."""
        self.pass_time(seconds)
        self.judging.trial_started(name, self.now)


# names and addresses


def test_tells_of_each_address_where_it_is_from_and_how_it_stands() -> None:
    world = World(orders=("192.0.2.9", "2001:db8::1"))
    bench = Bench(
        world, targets=(*targets(FIRST, weight=3), *targets("orders.test:8080"), *targets(SECOND, weight=0))
    )
    assert bench.published == [bench.judging.standings]
    assert [dataclasses.astuple(standing)[:6] for standing in bench.judging.standings] == [
        (FIRST, "192.0.2.1", 0, State.UP, 3, True),
        ("192.0.2.9:8080", "192.0.2.9", 1, State.UP, 1, True),
        ("[2001:db8::1]:8080", "2001:db8::1", 1, State.UP, 1, True),
        (SECOND, "192.0.2.2", 2, State.DRAINED, 0, False),
    ]
    assert repr(bench.judging) == (
        f"<Judging orders {FIRST} up, 192.0.2.9:8080 up, [2001:db8::1]:8080 up, {SECOND} drained>"
    )


def test_tells_nothing_while_nobody_is_found() -> None:
    bench = Bench(World(), "nowhere.test:80")
    assert bench.published == []
    assert repr(bench.judging) == "<Judging orders nobody>"
    bench.world.names.answer("nowhere.test", "192.0.2.1")
    assert bench.names == [FIRST]
    assert len(bench.published) == 1


def test_tells_of_addresses_that_come_and_go() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    bench = Bench(world, "orders.test:80")
    bench.fail(SECOND)
    world.names.known["orders.test"] = ("192.0.2.2", "192.0.2.3")
    world.network.advance(30)
    assert bench.names == [SECOND, THIRD]
    assert bench[SECOND].is_suspected


def test_one_that_is_out_stays_out_when_the_only_other_one_is_replaced() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    bench = Bench(world, "orders.test:80", eject_after=1, eject_for=100.0)
    bench.fail(FIRST)
    world.names.known["orders.test"] = ("192.0.2.1", "192.0.2.3")
    world.network.advance(30)
    assert bench.states() == {FIRST: State.EJECTED, THIRD: State.UP}


def test_an_address_that_returns_is_a_new_target() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    bench = Bench(world, "orders.test:80", eject_after=1)
    bench.fail(FIRST)
    assert bench[FIRST].state == State.EJECTED
    for addresses in (("192.0.2.2",), ("192.0.2.1", "192.0.2.2")):
        world.names.known["orders.test"] = addresses
        world.network.advance(30)
    assert bench.states() == {FIRST: State.UP, SECOND: State.UP}


def test_a_name_that_cannot_be_looked_up_any_more_keeps_its_addresses() -> None:
    world = World(orders=("192.0.2.1",))
    bench = Bench(world, "orders.test:80")
    world.names.known["orders.test"] = ()
    with capturedLogs() as logged:
        world.network.advance(30)
    assert len(logged) == 1
    assert bench.pickable == [FIRST]


def test_two_names_of_one_address_are_one_target_as_the_first_is_configured() -> None:
    world = World(a=("192.0.2.1",), b=("192.0.2.1",))
    configured = (TargetConfig("http", "a.test", 80, weight=3), TargetConfig("http", "b.test", 80, weight=1))
    bench = Bench(world, targets=configured)
    assert (bench[FIRST].place, bench[FIRST].weight) == (0, 3)
    for address, place, weight in (("192.0.2.3", 1, 1), ("192.0.2.1", 0, 3)):
        world.names.known["a.test"] = (address,)
        world.network.advance(30)
        assert (bench[FIRST].place, bench[FIRST].weight) == (place, weight)


def test_a_stop_leaves_nothing_behind() -> None:
    world = World(a=("192.0.2.1",))
    bench = Bench(world, "a.test:80", "b.test:80", health_path="/health")
    assert world.probe.under_way == {FIRST}
    bench.judging.stop()
    assert world.probe.under_way == set()
    world.names.known["a.test"] = ("192.0.2.9",)
    world.network.advance(100)
    assert bench.names == [FIRST]
    assert not world.network.getDelayedCalls()


# checks


def test_checks_take_a_target_down_and_bring_it_back_with_one_line_each() -> None:
    world = World()
    bench = Bench(world, FIRST, SECOND, health_path="/health", health_rise=1)
    with capturedLogs() as logged:
        world.probe.answer(FIRST, 500)
        world.probe.answer(SECOND, 200)
        assert bench.pickable == [SECOND]
        assert (bench[FIRST].last_error, bench[FIRST].since) == ("status 500", bench.now)
        world.network.advance(5)
        world.probe.answer(FIRST, 503)
        world.network.advance(5)
        world.probe.answer(FIRST, 200)
    assert bench.pickable == [FIRST, SECOND]
    assert [(event["log_level"].name, formatEvent(event)) for event in logged] == [
        ("warn", f"upstream orders: target {FIRST} is down: its first check is bad: status 500"),
        ("info", f"upstream orders: target {FIRST} is up: 1 good checks in a row"),
    ]
    assert len(bench.published) == 3


def test_each_target_is_asked_by_its_address_and_for_its_own_host() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    Bench(world, "orders.test:80", health_path="/health")
    assert [(check.address, check.host, check.path) for check in world.probe.asked] == [
        ("192.0.2.1", "orders.test", "/health"),
        ("192.0.2.2", "orders.test", "/health"),
    ]


def test_targets_that_come_and_go_are_checked_while_they_are_there() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    Bench(world, "orders.test:80", health_path="/health", health_timeout=1000.0)
    world.names.known["orders.test"] = ("192.0.2.2", "192.0.2.3")
    world.network.advance(30)
    assert world.probe.under_way == {SECOND, THIRD}
    assert len(world.probe.asked) == 3


@pytest.mark.parametrize(("when_all_down", "pickable"), [("fail", []), ("try", [FIRST])])
def test_what_happens_when_all_are_down_is_the_operators_choice(
    when_all_down: str, pickable: list[str]
) -> None:
    world = World()
    bench = Bench(world, FIRST, health_path="/health", when_all_down=when_all_down)
    world.probe.answer(FIRST, 500)
    assert bench[FIRST].state == State.DOWN
    assert bench.pickable == pickable


# requests


def test_failures_eject_a_target_with_one_line() -> None:
    bench = Bench(World(), FIRST, SECOND, eject_after=3)
    with capturedLogs() as logged:
        bench.fail(FIRST, times=5)
    assert bench.pickable == [SECOND]
    assert [formatEvent(event) for event in logged] == [
        f"upstream orders: target {FIRST} is ejected: 3 failures in a row, out for 30 s: reset"
    ]


def test_failures_may_be_told_together() -> None:
    bench = Bench(World(), FIRST, SECOND, eject_after=3)
    bench.judging.failed(FIRST, "reset", bench.now, 2)
    assert bench[FIRST].state == State.UP
    bench.judging.failed(FIRST, "status 502", bench.now, 2)
    assert (bench[FIRST].state, bench[FIRST].last_error) == (State.EJECTED, "status 502")


def test_whoever_failed_is_suspected_until_it_answers_well() -> None:
    bench = Bench(World(), FIRST, SECOND)
    before = bench.judging.standings
    bench.fail(FIRST, times=2)
    assert [standing.is_suspected for standing in bench.judging.standings] == [True, False]
    assert len(bench.published) == 2
    bench.judging.succeeded(FIRST, bench.now)
    assert not bench[FIRST].is_suspected
    bench.judging.succeeded(FIRST, bench.now)
    assert len(bench.published) == 3
    assert bench.judging.standings != before  # the last error is told


def test_one_request_tries_an_ejected_target_and_brings_it_back() -> None:
    bench = Bench(World(), FIRST, SECOND, eject_after=1, eject_for=10.0)
    bench.fail(FIRST)
    bench.pass_time(10)
    assert (bench[FIRST].state, bench[FIRST].may_pick, bench[FIRST].is_trial) == (State.TRIAL, True, True)
    bench.judging.trial_started(FIRST, bench.now)
    assert (bench[FIRST].state, bench[FIRST].may_pick, bench[FIRST].is_trial) == (State.TRIAL, False, False)
    bench.judging.trial_abandoned(FIRST, bench.now)
    assert bench[FIRST].is_trial
    bench.judging.trial_started(FIRST, bench.now)
    bench.judging.succeeded(FIRST, bench.now)
    assert (bench[FIRST].state, bench[FIRST].may_pick, bench[FIRST].is_trial) == (State.UP, True, False)


def test_its_failure_ejects_it_for_longer() -> None:
    bench = Bench(World(), FIRST, SECOND, eject_after=1, eject_for=10.0)
    bench.fail(FIRST)
    bench.try_again(10)
    bench.fail(FIRST)
    for seconds, state in ((19, State.EJECTED), (1, State.TRIAL)):
        bench.pass_time(seconds)
        assert bench[FIRST].state == state


def test_a_target_that_returns_grows_into_its_weight() -> None:
    bench = Bench(World(), FIRST, SECOND, eject_after=1, eject_for=10.0, slow_start=10.0)
    bench.fail(FIRST)
    bench.try_again(10)
    bench.judging.succeeded(FIRST, bench.now)
    weights = []
    for _ in range(5):
        weights.append(bench[FIRST].weight)
        bench.pass_time(2.5)
    assert weights == pytest.approx([0.1, 0.325, 0.55, 0.775, 1.0])
    assert bench[SECOND].weight == 1


def test_nothing_is_told_twice() -> None:
    bench = Bench(World(), FIRST, SECOND)
    bench.pass_time(5)
    bench.judging.succeeded(FIRST, bench.now)
    bench.judging.failed("192.0.2.99:80", "reset", bench.now)
    assert len(bench.published) == 1


def test_verdicts_are_those_of_now() -> None:
    bench = Bench(World(), FIRST, SECOND)
    bench.fail(FIRST)
    bench.judging.failed(FIRST, "status 502", bench.now)
    assert [(one.name, one.last_error) for one in bench.judging.verdicts(bench.now)] == [
        (FIRST, "status 502"),
        (SECOND, ""),
    ]


# the operator


def test_what_an_operator_drains_gets_nothing_until_he_enables_it() -> None:
    bench = Bench(World(), targets=(*targets(FIRST, weight=4), *targets(SECOND)))
    with capturedLogs() as logged:
        assert bench.judging.drain(FIRST) == (FIRST,)
        assert bench.states() == {FIRST: State.DRAINED, SECOND: State.UP}
        assert bench.judging.drain(FIRST) == (FIRST,)
        assert bench.judging.enable(FIRST) == (FIRST,)
    assert (bench[FIRST].state, bench[FIRST].weight) == (State.UP, 4)
    assert [formatEvent(event) for event in logged] == [
        f"upstream orders: target {FIRST} is drained: drained by the operator",
        f"upstream orders: target {FIRST} is up: enabled by the operator",
    ]


@pytest.mark.parametrize("written", ["http://192.0.2.1:80", "http://192.0.2.1", FIRST, " HTTP://192.0.2.1/ "])
def test_a_target_is_named_as_one_likes(written: str) -> None:
    bench = Bench(World(), FIRST, SECOND)
    assert bench.judging.drain(written) == (FIRST,)
    assert bench.judging.enable(written) == (FIRST,)


@pytest.mark.parametrize("written", ["orders.test:80", "http://orders.test"])
def test_a_host_is_drained_with_all_its_addresses_and_those_to_come(written: str) -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    bench = Bench(world, "orders.test:80", "192.0.2.9:80")
    assert bench.judging.drain(written) == (FIRST, SECOND)
    world.names.known["orders.test"] = ("192.0.2.2", "192.0.2.3")
    world.network.advance(30)
    assert bench.pickable == ["192.0.2.9:80"]
    assert bench.judging.enable(written) == (SECOND, THIRD)
    assert bench.pickable == [SECOND, THIRD, "192.0.2.9:80"]


def test_one_address_of_a_drained_host_may_be_enabled() -> None:
    bench = Bench(World(orders=("192.0.2.1", "192.0.2.2")), "orders.test:80")
    bench.judging.drain("orders.test:80")
    bench.judging.enable(FIRST)
    assert bench.pickable == [FIRST]
    bench.judging.enable("orders.test:80")
    assert bench.pickable == [FIRST, SECOND]


def test_one_that_is_drained_and_gone_for_a_while_is_drained_still() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    bench = Bench(world, "orders.test:80")
    bench.judging.drain(FIRST)
    for addresses in (("192.0.2.2",), ("192.0.2.1", "192.0.2.2")):
        world.names.known["orders.test"] = addresses
        world.network.advance(30)
    assert bench.states() == {FIRST: State.DRAINED, SECOND: State.UP}


@pytest.mark.parametrize("act", ["drain", "enable"])
def test_a_target_that_is_not_known_is_refused_with_those_that_are(act: str) -> None:
    bench = Bench(World(orders=("192.0.2.1",)), "orders.test:80")
    with pytest.raises(LookupError) as raised:
        getattr(bench.judging, act)("10.0.0.1:80")
    assert raised.value.args == (
        "upstream orders has no target '10.0.0.1:80'; it has 192.0.2.1:80, http://orders.test:80",
    )


# across a reload


def test_what_is_known_of_targets_that_stay_is_kept() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, THIRD, "192.0.2.4:80", eject_after=2, health_path="/health")
    for name in (FIRST, SECOND, THIRD):
        world.probe.answer(name, 200)
    world.probe.answer("192.0.2.4:80", 500)
    before.fail(FIRST, times=2)
    before.fail(SECOND)
    before.judging.drain(THIRD)
    with capturedLogs() as logged:
        after = Bench(
            world,
            *("192.0.2.4:80", THIRD, SECOND, FIRST),
            previous=before,
            eject_after=2,
            health_path="/health",
            retries=3,
        )
    assert logged == []
    known = {standing.name: dataclasses.replace(standing, place=0) for standing in before.judging.standings}
    assert {one.name: dataclasses.replace(one, place=0) for one in after.judging.standings} == known
    assert after.names == ["192.0.2.4:80", THIRD, SECOND, FIRST]
    after.judging.enable(THIRD)
    assert after[THIRD].state == State.UP
    after.fail(SECOND)
    assert after[SECOND].state == State.EJECTED
    after.pass_time(30)
    assert after[FIRST].state == State.TRIAL


def test_checks_that_are_made_as_before_go_on() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, health_path="/health", health_fall=2, health_timeout=9.0)
    world.probe.answer(FIRST, 200)
    world.network.advance(5)
    world.probe.answer(FIRST, 500)
    after = Bench(
        world,
        FIRST,
        SECOND,
        previous=before,
        health_path="/health",
        health_fall=2,
        health_timeout=9.0,
        retries=3,
    )
    assert len(world.probe.asked) == 3
    world.probe.answer(SECOND, 500)
    assert after[SECOND].last_error == "status 500"
    assert before[SECOND].last_error == ""
    world.network.advance(5)
    assert len(world.probe.asked) == 5
    world.probe.answer(FIRST, 500)
    assert after[FIRST].state == State.DOWN
    after.judging.stop()
    assert not world.network.getDelayedCalls()


def test_checks_of_another_kind_decide_at_once_and_until_then_the_old_ones_do() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, health_path="/wrong")
    world.probe.answer(FIRST, 404)
    world.probe.answer(SECOND, 200)
    after = Bench(world, FIRST, SECOND, previous=before, health_path="/right")
    assert after.states() == {FIRST: State.DOWN, SECOND: State.UP}
    world.probe.answer(FIRST, 200)
    world.probe.answer(SECOND, 500)
    assert after.states() == {FIRST: State.UP, SECOND: State.DOWN}


def test_who_is_not_checked_any_more_is_not_down() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, health_path="/health")
    world.probe.answer(FIRST, 500)
    with capturedLogs() as logged:
        after = Bench(world, FIRST, SECOND, previous=before)
    assert after.states() == {FIRST: State.UP, SECOND: State.UP}
    assert [formatEvent(event) for event in logged] == [
        f"upstream orders: target {FIRST} is up: the configuration changed"
    ]
    assert world.probe.under_way == set()
    assert not world.network.getDelayedCalls()


def test_without_ejection_nobody_is_out() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, eject_after=1)
    before.fail(FIRST)
    assert Bench(world, FIRST, SECOND, previous=before, eject_after=0).pickable == [FIRST, SECOND]


def test_a_shorter_ejection_is_soon_over() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, eject_after=1, eject_for=300.0)
    before.fail(FIRST)
    after = Bench(world, FIRST, SECOND, previous=before, eject_after=1, eject_for=5.0)
    after.pass_time(5)
    assert after[FIRST].is_trial


def test_fewer_that_may_be_out_let_the_first_ones_back() -> None:
    world = World()
    places = (FIRST, SECOND, THIRD, "192.0.2.4:80")
    before = Bench(world, *places, eject_after=1)
    before.fail(FIRST)
    before.pass_time(1)
    before.fail(SECOND)
    after = Bench(world, *places, previous=before, eject_after=1, max_ejected=0.25)
    assert [name for name, state in after.states().items() if state == State.EJECTED] == [SECOND]
    assert Bench(world, SECOND, previous=after, eject_after=1).pickable == [SECOND]


def test_a_trial_that_is_under_way_is_made_again_as_nobody_hears_of_its_end() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, eject_after=1, eject_for=10.0)
    before.fail(FIRST)
    before.try_again(10)
    after = Bench(world, FIRST, SECOND, previous=before, eject_after=1, eject_for=10.0, retries=3)
    assert after[FIRST].is_trial
    after.judging.trial_started(FIRST, after.now)
    after.fail(FIRST)
    after.pass_time(19)
    assert after[FIRST].state == State.EJECTED


def test_a_target_grows_on_unless_there_is_no_slow_start_any_more() -> None:
    world = World()
    grows: dict[str, Any] = {"health_path": "/health", "health_rise": 1}
    before = Bench(world, FIRST, slow_start=100.0, **grows)
    world.probe.answer(FIRST, 500)
    world.network.advance(5)
    world.probe.answer(FIRST, 200)
    after = Bench(world, FIRST, previous=before, slow_start=50.0, **grows)
    assert after[FIRST].weight == pytest.approx(0.1)
    after.pass_time(25)
    assert after[FIRST].weight == pytest.approx(0.55)
    assert Bench(world, FIRST, previous=after, **grows)[FIRST].weight == 1


def test_another_weight_counts_at_once() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND)
    after = Bench(world, targets=(*targets(FIRST, weight=4), *targets(SECOND, weight=0)), previous=before)
    assert (after[FIRST].weight, after[SECOND].state) == (4, State.DRAINED)
    assert Bench(world, FIRST, SECOND, previous=after).pickable == [FIRST, SECOND]


def test_another_scheme_is_another_target() -> None:
    world = World()
    before = Bench(world, FIRST, SECOND, eject_after=1)
    before.fail(FIRST)
    secure = (TargetConfig("https", "192.0.2.1", 80), *targets(SECOND))
    after = Bench(world, targets=secure, previous=before, eject_after=1)
    assert after[FIRST].state == State.UP


def test_one_that_is_gone_and_comes_again_is_new_and_not_drained() -> None:
    world = World()
    first = Bench(world, FIRST, SECOND, eject_after=1)
    first.fail(FIRST)
    first.judging.drain(FIRST)
    second = Bench(world, SECOND, previous=first, eject_after=1)
    assert Bench(world, FIRST, SECOND, previous=second).pickable == [FIRST, SECOND]


def test_a_drained_host_stays_drained_in_a_new_configuration() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    first = Bench(world, "orders.test:80")
    first.judging.drain("http://orders.test")
    second = Bench(world, targets=(*targets(THIRD), *targets("orders.test:80", weight=9)), previous=first)
    assert second.pickable == [THIRD]


# whom checks trust


def test_checks_are_made_anew_only_when_they_are_to_trust_another() -> None:
    authority = [b"first"]
    world = World()
    world.watching = dataclasses.replace(
        world.watching,
        tls=lambda upstream, target: ClientTLS(
            target.host, client_settings(None, verify=False), authority[0]
        ),
    )
    bench = Bench(world, targets=(TargetConfig("https", "192.0.2.1", 443),), health_path="/health")
    bench.judging.renew()
    authority[0] = b"second"
    bench.judging.renew()
    trusted = [check.tls.authority for check in world.probe.asked if check.tls is not None]
    assert trusted == [b"first", b"second"]
