from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from twisted.logger import capturedLogs

from tests.upstream.network import World, targets, upstream_config
from twistedgate.balancing.health import State
from twistedgate.config.model import TargetConfig
from twistedgate.testing import exchange
from twistedgate.upstream.judging import Judging, Standing
from twistedgate.upstream.target import Target
from twistedgate.upstream.targets import Targets

FIRST, SECOND, THIRD = "192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"


class Watched:
    """The targets of an upstream, who judges them, and what became of them."""

    def __init__(self, world: World, *places: str, previous: Watched | None = None, **options: Any) -> None:
        self.world = world
        self.gone: list[str] = []
        config = upstream_config(*places, **options)
        before = None if previous is None else previous.judging
        self.judging: Judging = Judging(config, world.watching, before, self._publish)
        self.targets: Targets = Targets(
            config, world.heard_by(self.judging), None if previous is None else previous.targets
        )
        self.targets.start(lambda target: self.gone.append(target.name))
        self.judging.start()
        if previous is not None:
            previous.stop()

    def _publish(self, standings: tuple[Standing, ...]) -> None:
        self.targets.take(standings)

    def stop(self) -> None:
        """Be no more in use."""
        self.targets.stop()
        self.judging.stop()

    @property
    def now(self) -> float:
        """The test's time."""
        return self.world.network.seconds()

    @property
    def names(self) -> list[str]:
        """Who is there."""
        return sorted(self.targets.by_name)

    def picked(self, count: int = 6) -> list[str]:
        """Return who is picked, and let all of it go again."""
        found = []
        for _ in range(count):
            target = self.targets.pick(b"", (), exchange())
            if target is not None:
                target.in_flight -= 1
                found.append(target.name)
        return found

    def fail(self, name: str, times: int = 1) -> None:
        """Let requests to a target fail."""
        for _ in range(times):
            self.targets.failed(self.targets.by_name[name], "reset", self.now)

    def succeed(self, name: str) -> None:
        """Let a request to a target be answered."""
        self.targets.succeeded(self.targets.by_name[name], self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.world.network.advance(seconds)
        self.judging.tick(self.now)

    def states(self) -> dict[str, State]:
        """Return how each target stands."""
        return {verdict.name: verdict.state for verdict in self.judging.verdicts(self.now)}


# names and addresses


def test_an_address_is_a_target_at_once() -> None:
    watched = Watched(World(), FIRST, SECOND)
    assert watched.names == [FIRST, SECOND]
    assert sorted(set(watched.picked())) == [FIRST, SECOND]
    assert watched.targets.available_count == 2


def test_each_address_of_a_name_is_a_target_of_its_own() -> None:
    watched = Watched(World(orders=("192.0.2.2", "192.0.2.1", "2001:db8::1")), "orders.test:8080")
    assert watched.names == ["192.0.2.1:8080", "192.0.2.2:8080", "[2001:db8::1]:8080"]
    authorities = {target.authority for target in watched.targets.by_name.values()}
    assert authorities == {b"orders.test:8080"}


def test_addresses_that_stay_keep_their_counts() -> None:
    world = World(orders=("192.0.2.1", "192.0.2.2"))
    watched = Watched(world, "orders.test:80")
    kept = watched.targets.by_name[SECOND]
    kept.in_flight, kept.requests = 3, 7
    watched.fail(SECOND)
    world.names.known["orders.test"] = ("192.0.2.2", "192.0.2.3")
    world.network.advance(30)
    assert watched.names == [SECOND, THIRD]
    assert watched.targets.by_name[SECOND] is kept
    assert (kept.in_flight, kept.requests, kept.failed) == (3, 7, 1)
    assert watched.gone == [FIRST]
    assert sorted(set(watched.picked())) == [SECOND, THIRD]


def test_two_names_of_one_address_are_one_target_as_the_first_is_configured() -> None:
    world = World(a=("192.0.2.1",), b=("192.0.2.1",))
    configured = (TargetConfig("http", "a.test", 80, weight=3), TargetConfig("http", "b.test", 80, weight=1))
    watched = Watched(world, targets=configured)
    target = watched.targets.by_name[FIRST]
    for addresses in (("192.0.2.1", "192.0.2.2"), ("192.0.2.1",)):
        world.names.known["b.test"] = addresses
        world.network.advance(30)
        assert watched.targets.by_name[FIRST] is target
        assert (target.authority, target.config, target.weight) == (b"a.test", configured[0], 3)


def test_a_target_that_is_another_names_now_has_that_ones_weight() -> None:
    world = World(a=("192.0.2.1",), b=("192.0.2.1", "192.0.2.2"))
    configured = (TargetConfig("http", "a.test", 80, weight=3), TargetConfig("http", "b.test", 80, weight=1))
    watched = Watched(world, targets=configured)
    world.names.known["a.test"] = ("192.0.2.3",)
    world.network.advance(30)
    weights = {verdict.name: verdict.weight for verdict in watched.judging.verdicts(watched.now)}
    assert weights == {FIRST: 1, SECOND: 1, THIRD: 3}
    assert watched.targets.by_name[FIRST].weight == 1


def test_targets_are_picked_while_others_are_still_looked_up() -> None:
    world = World(a=("192.0.2.1",))
    watched = Watched(world, "a.test:80", "b.test:80")
    assert watched.picked(1) == [FIRST]
    world.names.answer("b.test", "192.0.2.2")
    assert watched.names == [FIRST, SECOND]


def test_without_any_target_nobody_is_picked() -> None:
    watched = Watched(World(), "nowhere.test:80")
    assert watched.picked() == []
    assert watched.targets.available_count == 0


def test_a_stop_leaves_nothing_behind() -> None:
    world = World(a=("192.0.2.1",))
    watched = Watched(world, "a.test:80", "b.test:80", health_path="/health")
    assert world.probe.under_way == {FIRST}
    watched.stop()
    assert world.probe.under_way == set()
    world.names.known["a.test"] = ("192.0.2.9",)
    world.network.advance(100)
    assert watched.names == [FIRST]
    assert not world.network.getDelayedCalls()


# the judge


def test_checks_take_a_target_down_and_bring_it_back() -> None:
    world = World()
    watched = Watched(world, FIRST, SECOND, health_path="/health", health_rise=1)
    world.probe.answer(FIRST, 500)
    world.probe.answer(SECOND, 200)
    assert watched.gone == [FIRST]
    assert set(watched.picked()) == {SECOND}
    world.network.advance(5)
    world.probe.answer(FIRST, 200)
    assert sorted(set(watched.picked())) == [FIRST, SECOND]


def test_failures_eject_a_target_and_close_what_is_idle() -> None:
    watched = Watched(World(), FIRST, SECOND, eject_after=3)
    watched.fail(FIRST, times=5)
    assert watched.gone == [FIRST]
    assert set(watched.picked()) == {SECOND}
    assert watched.targets.available_count == 1


def test_a_good_answer_in_between_begins_anew() -> None:
    watched = Watched(World(), FIRST, SECOND, eject_after=3)
    for _ in range(4):
        watched.fail(FIRST, times=2)
        watched.succeed(FIRST)
    assert watched.states()[FIRST] == State.UP
    assert watched.targets.by_name[FIRST].failed == 8
    assert not watched.targets.by_name[FIRST].is_suspected


def ejected(**options: Any) -> Watched:
    """Return targets of which the first was ejected, and may be tried now."""
    watched = Watched(World(), FIRST, SECOND, eject_after=1, eject_for=10.0, **options)
    watched.fail(FIRST)
    watched.pass_time(10)
    assert watched.states()[FIRST] == State.TRIAL
    return watched


def trial_of(watched: Watched) -> Target:
    """Pick until the target on trial is picked; its exchange is the trial."""
    for _ in range(4):
        target = watched.targets.pick(b"", (), exchange())
        assert target is not None
        if target.name == FIRST:
            return target
    raise AssertionError("it is not picked")


def test_one_request_tries_an_ejected_target_and_no_other() -> None:
    watched = ejected()
    target = trial_of(watched)
    assert target.trial is not None
    assert FIRST not in watched.picked(20)


def test_its_success_brings_the_target_back() -> None:
    watched = ejected()
    trial_of(watched)
    watched.succeed(FIRST)
    assert watched.states()[FIRST] == State.UP
    assert FIRST in watched.picked()
    assert watched.targets.by_name[FIRST].trial is None


def test_its_failure_ejects_it_for_longer() -> None:
    watched = ejected()
    trial_of(watched)
    watched.fail(FIRST)
    for seconds, state in ((19, State.EJECTED), (1, State.TRIAL)):
        watched.pass_time(seconds)
        assert watched.states()[FIRST] == state


def test_a_trial_without_a_verdict_lets_another_try() -> None:
    watched = ejected()
    target = trial_of(watched)
    watched.targets.left_undecided(target, watched.now)
    assert target.trial is None
    assert trial_of(watched) is target


def test_a_target_that_returns_grows_into_its_weight() -> None:
    watched = ejected(slow_start=10.0)
    trial_of(watched)
    watched.succeed(FIRST)
    weights = []
    for _ in range(5):
        weights.append(watched.targets.by_name[FIRST].weight)
        watched.pass_time(2.5)
    assert weights == pytest.approx([0.1, 0.325, 0.55, 0.775, 1.0])
    assert watched.targets.by_name[SECOND].weight == 1


@pytest.mark.parametrize(("when_all_down", "picked"), [("fail", []), ("try", [FIRST])])
def test_what_happens_when_all_are_down_is_the_operators_choice(
    when_all_down: str, picked: list[str]
) -> None:
    world = World()
    watched = Watched(world, FIRST, health_path="/health", when_all_down=when_all_down)
    world.probe.answer(FIRST, 500)
    assert watched.picked(1) == picked


def test_a_weight_of_nothing_drains() -> None:
    watched = Watched(World(), targets=(*targets(FIRST), *targets(SECOND, weight=0)))
    assert set(watched.picked()) == {FIRST}
    assert watched.states()[SECOND] == State.DRAINED


# those who ask


def test_a_pick_is_counted() -> None:
    watched = Watched(World(), FIRST)
    for number in (1, 2):
        target = watched.targets.pick(b"", (), exchange())
        assert target is not None
        assert (target.in_flight, target.requests) == (number, number)


def test_who_was_tried_is_picked_again_only_if_nobody_else_is_up() -> None:
    watched = Watched(World(), FIRST, SECOND, eject_after=1)
    tried = [watched.targets.by_name[FIRST]]
    assert {watched.targets.pick(b"", tried, exchange()) for _ in range(4)} == {
        watched.targets.by_name[SECOND]
    }
    watched.fail(SECOND)
    assert watched.targets.pick(b"", tried, exchange()) is tried[0]


# across a reload


def test_what_stays_keeps_its_counts_and_takes_the_new_options() -> None:
    world = World()
    before = Watched(world, FIRST, SECOND)
    kept = before.targets.by_name[FIRST]
    kept.in_flight, kept.requests = 2, 5
    after = Watched(world, targets=targets(FIRST, THIRD, weight=4), previous=before)
    assert after.names == [FIRST, THIRD]
    assert after.targets.by_name[FIRST] is kept
    assert (kept.in_flight, kept.requests, kept.weight) == (2, 5, 4)


def test_another_scheme_is_another_target() -> None:
    world = World()
    before = Watched(world, FIRST)
    secure = (TargetConfig("https", "192.0.2.1", 80),)
    after = Watched(world, targets=secure, previous=before)
    assert after.targets.by_name[FIRST] is not before.targets.by_name[FIRST]


def test_an_exchange_of_before_does_not_judge_what_is_anothers_by_now() -> None:
    world = World()
    before = Watched(world, FIRST, SECOND, eject_after=2)
    before.fail(FIRST)
    after = Watched(world, targets=targets(FIRST, SECOND, weight=7), previous=before)
    with capturedLogs() as logged:
        before.fail(FIRST, times=9)
        before.succeed(FIRST)
        before.pass_time(100)
    shared = after.targets.by_name[FIRST]
    assert shared is before.targets.by_name[FIRST]
    assert (shared.weight, shared.failed, shared.is_on_trial) == (7, 10, False)
    assert before.gone == []
    assert logged == []


def test_nor_takes_the_trial_that_is_for_those_of_now() -> None:
    world = World()
    before = Watched(world, FIRST, SECOND)
    after = Watched(world, FIRST, SECOND, previous=before, eject_after=1, eject_for=10.0)
    after.fail(FIRST)
    after.pass_time(10)
    assert FIRST in before.picked(4)
    assert trial_of(after).name == FIRST
    after.succeed(FIRST)
    assert after.states()[FIRST] == State.UP


# a judge in another process


class Line:
    """The targets of an upstream that is judged elsewhere: nothing comes back but what the test says."""

    def __init__(self, **options: Any) -> None:
        self.world = World()
        self.gone: list[str] = []
        config = upstream_config(FIRST, SECOND, **options)
        self.targets = Targets(config, self.world.surroundings, None)
        self.targets.start(lambda target: self.gone.append(target.name))

    @property
    def now(self) -> float:
        """The test's time."""
        return self.world.network.seconds()

    def stand(self, **first: Any) -> None:
        """Let it be said that all is well, but for what is said of the first target."""
        self.targets.take(
            [
                dataclasses.replace(UP, **first),
                dataclasses.replace(UP, name=SECOND, address="192.0.2.2", place=1),
            ]
        )

    def grant(self, until: float) -> None:
        """Let the trial of the first target be granted."""
        self.stand(state=State.TRIAL, is_trial=True, is_suspected=True, trial_until=until)

    def pick(self) -> Target:
        """Choose a target."""
        target = self.targets.pick(b"", (), exchange())
        assert target is not None
        return target

    def picked(self) -> set[str]:
        """Return who is picked."""
        return {self.pick().name for _ in range(4)}

    @property
    def told(self) -> list[str]:
        """What the judge was told."""
        return self.world.told.lines


UP = Standing(FIRST, "192.0.2.1", 0, State.UP, 1, True, False, False, 0.0, "")


def test_nobody_is_picked_before_it_is_said_how_they_stand() -> None:
    line = Line()
    assert line.targets.pick(b"", (), exchange()) is None
    line.stand()
    assert line.picked() == {FIRST, SECOND}


def test_whoever_failed_here_is_suspected_at_once_and_elsewhere_when_it_is_said() -> None:
    line = Line()
    line.stand()
    first = line.targets.by_name[FIRST]
    suspicions: list[bool] = []
    line.targets.failed(first, "reset", line.now)
    suspicions.append(first.is_suspected)
    line.targets.succeeded(first, line.now)
    suspicions.append(first.is_suspected)
    line.stand(is_suspected=True)
    suspicions.append(first.is_suspected)
    line.stand()
    suspicions.append(first.is_suspected)
    assert suspicions == [True, False, True, False]
    assert line.told == [f"{FIRST} failed: reset", f"{FIRST} succeeded"]


def test_one_trial_is_made_of_each_permission() -> None:
    line = Line()
    line.grant(line.now + 1)
    assert line.picked() == {FIRST, SECOND}
    line.grant(line.now + 1)  # said before the trial was heard of
    assert line.picked() == {SECOND}
    line.world.network.advance(0.5)
    line.grant(line.now + 1)
    assert line.picked() == {FIRST, SECOND}
    assert line.told == [f"{FIRST} is tried"] * 2


def test_and_none_when_it_is_over() -> None:
    line = Line()
    line.grant(line.now + 1)
    line.world.network.advance(1)
    assert line.picked() == {SECOND}
    assert line.targets.available_count == 1
    assert line.told == []
    line.stand()
    assert line.picked() == {FIRST, SECOND}


def test_a_trial_that_is_anothers_is_not_picked() -> None:
    line = Line()
    line.stand(state=State.TRIAL, may_pick=False)
    assert line.picked() == {SECOND}


def test_the_turns_go_on_when_nothing_is_different() -> None:
    """What is not said anew leaves the balancer alone: who stood in for another loses no turn by it."""
    line = Line()
    line.stand()
    line.targets.pick(b"", (line.targets.by_name[FIRST],), exchange())
    line.stand(is_suspected=True)
    assert [line.pick().name for _ in range(3)] == [FIRST, SECOND, FIRST]


def test_what_is_idle_is_closed_once_for_each_time_that_a_target_goes_out() -> None:
    line = Line()
    for state in (State.UP, State.EJECTED, State.EJECTED, State.TRIAL, State.EJECTED, State.DOWN, State.UP):
        line.stand(state=state, may_pick=state == State.UP)
    line.targets.take([])
    assert line.gone == [FIRST] * 4 + [SECOND]


def test_a_weight_that_is_none_is_nobodys_who_may_still_be_picked_elsewhere() -> None:
    line = Line()
    line.stand(weight=3)
    line.stand(state=State.DRAINED, weight=0, may_pick=False)
    assert line.targets.by_name[FIRST].weight == 3
