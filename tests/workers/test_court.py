"""One judge and several workers, which hear of each other by nothing but rows."""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.upstream.network import World, upstream_config
from twistedgate.balancing.ejection import most_ejected
from twistedgate.balancing.health import Judge, State
from twistedgate.balancing.rules import HealthRules
from twistedgate.config.model import UpstreamConfig
from twistedgate.exchange import Exchange
from twistedgate.testing import exchange
from twistedgate.upstream.judging import Watching
from twistedgate.upstream.target import Target
from twistedgate.upstream.targets import Targets
from twistedgate.workers.court import Court
from twistedgate.workers.nudges import Nudges, Row, standing_of

FIRST, SECOND, THIRD, FOURTH = (f"192.0.2.{number}:80" for number in range(1, 5))


def travel(rows: list[Row]) -> list[Row]:
    """Return what arrives of rows."""
    arrived: list[Row] = json.loads(json.dumps(rows, allow_nan=False))
    return arrived


class Worker:
    """One worker: its half of the upstream ``orders``, what it has to say, and what it has yet to hear."""

    def __init__(self, supervisor: Supervisor, number: int) -> None:
        self.number = number
        self.supervisor = supervisor
        self.inbox: deque[tuple[str, list[Row]]] = deque()
        self.outbox: deque[list[Row]] = deque()
        self.nudges = Nudges(self.outbox.append, lambda call: None)
        self.under_way: list[tuple[Target, Exchange]] = []
        self.targets: Targets
        self.heard = 0

    def configure(self, config: UpstreamConfig, standings: dict[str, list[Row]]) -> None:
        """Take a configuration, and all that is known."""
        previous = getattr(self, "targets", None)
        surroundings = dataclasses.replace(self.supervisor.world.surroundings, judge_of=self.nudges.port)
        self.targets = Targets(config, surroundings, previous)
        if previous is not None:
            previous.stop()
        self.targets.take(map(standing_of, travel(standings["orders"])))

    def hear(self) -> None:
        """Read everything that was sent here."""
        while self.inbox:
            _, rows = self.inbox.popleft()
            self.heard += 1
            self.targets.take(map(standing_of, travel(rows)))

    def say(self) -> None:
        """End a turn, and let all that was said be heard."""
        self.nudges.flush()
        while self.outbox:
            self.supervisor.court.take(self.number, travel(self.outbox.popleft()))

    def pick(self, name: str = "") -> Target | None:
        """Send a request, to a target if one is named and may be picked."""
        tried = [target for target in self.targets.by_name.values() if name and target.name != name]
        asked = exchange()
        target = self.targets.pick(b"", tried, asked)
        if target is not None:
            self.under_way.append((target, asked))
        return target

    def end(self, place: int, act: str) -> str:
        """Let a request that is under way fail, be answered or be left; returns whose it was."""
        target, asked = self.under_way.pop(place)
        target.give_back()
        is_trial = target.trial is asked
        if act == "fail":
            self.targets.failed(target, "reset", self.supervisor.now)
        elif act == "answer" and (is_trial or target.is_suspected):
            self.targets.succeeded(target, self.supervisor.now)
        elif is_trial and act == "leave":
            self.targets.left_undecided(target, self.supervisor.now)
        return target.name

    def request(self, name: str, act: str) -> bool:
        """Send a request to a target and end it; ``False`` if it cannot be picked."""
        target = self.pick(name)
        is_there = target is not None and target.name == name
        self.end(-1, act if is_there else "leave")
        return is_there

    @property
    def pickable(self) -> set[str]:
        """Who may be picked."""
        return {target.name for target, _ in self.targets._candidates}


class Supervisor:
    """The judge's process, and its workers."""

    def __init__(self, *places: str, workers: int = 2, **options: Any) -> None:
        self.world = World(name=("192.0.2.1", "192.0.2.2"))
        self.court = Court(self._watching(self.world))
        self.workers: dict[int, Worker] = {}
        self.configure(*(places or (FIRST, SECOND, THIRD)), **options)
        for number in range(1, workers + 1):
            self.spawn(number)

    @staticmethod
    def _watching(world: World) -> Watching:
        return world.watching

    @property
    def now(self) -> float:
        """The test's time."""
        return self.world.network.seconds()

    def configure(self, *places: str, **options: Any) -> None:
        """Let a configuration take effect everywhere."""
        self.config = upstream_config(*places, **options)
        self.court.commit(self.court.prepare({"orders": self.config}))
        for worker in self.workers.values():
            worker.hear()
            worker.configure(self.config, self.court.standings_for(worker.number))

    def spawn(self, number: int) -> Worker:
        """Begin a worker."""
        worker = self.workers[number] = Worker(self, number)
        self.court.join(number, lambda upstream, rows: worker.inbox.append((upstream, rows)))
        worker.configure(self.config, self.court.standings_for(number))
        return worker

    def kill(self, number: int) -> Worker:
        """Let a worker die: what it had not sent is lost."""
        worker = self.workers.pop(number)
        self.court.leave(number)
        return worker

    def settle(self) -> None:
        """Let everything that was said be heard."""
        while any(
            worker.inbox or worker.outbox or worker.nudges._waiting for worker in self.workers.values()
        ):
            for worker in self.workers.values():
                worker.say()
            for worker in self.workers.values():
                worker.hear()

    def pass_time(self, seconds: float) -> None:
        """Let time pass when all is said."""
        self.settle()
        self.world.network.advance(seconds)
        self.court.sweep(self.now)
        self.settle()

    def state(self, name: str = FIRST) -> State:
        """Return how a target stands."""
        (verdict,) = [
            one for one in self.court.judges.judgings["orders"].verdicts(self.now) if one.name == name
        ]
        return verdict.state

    def fail(self, number: int, name: str = FIRST, times: int = 1) -> None:
        """Let requests of a worker fail, and that be heard everywhere."""
        for _ in range(times):
            assert self.workers[number].request(name, "fail")
        self.settle()

    @property
    def may_try(self) -> list[int]:
        """Which workers may make the trial of the first target."""
        return [
            number
            for number, worker in self.workers.items()
            if FIRST in worker.pickable and worker.targets.by_name[FIRST].is_on_trial
        ]


# failures in a row


def test_failures_of_all_workers_are_one_row() -> None:
    supervisor = Supervisor(workers=3, eject_after=3)
    for number in (1, 2, 3):
        assert supervisor.state() == State.UP
        supervisor.fail(number)
    assert supervisor.state() == State.EJECTED
    assert all(worker.pickable == {SECOND, THIRD} for worker in supervisor.workers.values())


def test_a_success_anywhere_ends_it() -> None:
    supervisor = Supervisor(eject_after=3)
    supervisor.fail(1, times=2)
    assert supervisor.workers[2].request(FIRST, "answer")
    supervisor.settle()
    supervisor.fail(1, times=2)
    assert supervisor.state() == State.UP
    supervisor.fail(2)
    assert supervisor.state() == State.EJECTED


def test_of_many_successes_one_is_told() -> None:
    supervisor = Supervisor(eject_after=3)
    supervisor.fail(1)
    second = supervisor.workers[2]
    for _ in range(5):
        second.request(FIRST, "answer")
    second.nudges.flush()
    assert [len(rows) for rows in second.outbox] == [1]
    supervisor.settle()
    supervisor.workers[1].request(FIRST, "answer")
    assert not supervisor.workers[1].nudges._waiting


def test_nobody_is_told_what_it_knows() -> None:
    supervisor = Supervisor(eject_after=3)
    supervisor.fail(1, times=2)
    assert [worker.heard for worker in supervisor.workers.values()] == [1, 1]
    supervisor.pass_time(10)
    assert [worker.heard for worker in supervisor.workers.values()] == [1, 1]


# trials


def ejected(workers: int = 2, **options: Any) -> Supervisor:
    """Return a gateway whose first target was ejected, and may be tried by one worker."""
    supervisor = Supervisor(workers=workers, eject_after=1, eject_for=10.0, **options)
    supervisor.fail(1)
    supervisor.pass_time(10)
    assert supervisor.state() == State.TRIAL
    return supervisor


def test_one_worker_makes_the_trial() -> None:
    supervisor = ejected(workers=3)
    assert supervisor.may_try == [1]
    assert [FIRST in worker.pickable for worker in supervisor.workers.values()] == [True, False, False]
    assert supervisor.workers[1].request(FIRST, "answer")
    supervisor.settle()
    assert supervisor.state() == State.UP
    assert all(FIRST in worker.pickable for worker in supervisor.workers.values())


def test_it_is_made_once_whatever_was_said_before_it_was_heard_of() -> None:
    supervisor = ejected()
    first = supervisor.workers[1]
    first.pick(FIRST)
    supervisor.workers[2].request(SECOND, "fail")
    supervisor.workers[2].say()
    first.hear()
    assert first.targets.by_name[SECOND].is_suspected
    assert not first.request(FIRST, "answer")


def test_its_failure_ejects_for_longer() -> None:
    supervisor = ejected()
    assert supervisor.workers[1].request(FIRST, "fail")
    supervisor.pass_time(19)
    assert supervisor.state() == State.EJECTED
    supervisor.pass_time(1)
    assert supervisor.may_try == [2]


def test_whoever_has_no_request_for_it_lets_the_next_one_try() -> None:
    supervisor = ejected()
    supervisor.pass_time(1)
    assert not supervisor.workers[1].request(FIRST, "answer")
    assert FIRST not in supervisor.workers[1].pickable
    supervisor.pass_time(0.5)
    assert supervisor.may_try == []
    supervisor.pass_time(0.5)
    assert supervisor.may_try == [2]
    assert supervisor.workers[2].request(FIRST, "answer")
    supervisor.settle()
    assert supervisor.state() == State.UP


def test_requests_of_before_say_nothing_while_it_is_under_way() -> None:
    supervisor = Supervisor(eject_after=1, eject_for=10.0)
    second = supervisor.workers[2]
    for _ in range(2):
        second.pick(FIRST)
    supervisor.fail(1)
    supervisor.pass_time(10)
    assert supervisor.may_try == [1]
    supervisor.workers[1].pick(FIRST)
    supervisor.settle()
    for act in ("answer", "fail"):
        second.end(0, act)
        supervisor.settle()
        assert supervisor.state() == State.TRIAL
    supervisor.workers[1].end(0, "answer")
    supervisor.settle()
    assert supervisor.state() == State.UP


@pytest.mark.parametrize("begins", [False, True])
def test_when_a_worker_dies_the_next_one_tries(begins: bool) -> None:
    supervisor = ejected()
    if begins:
        supervisor.workers[1].pick(FIRST)
        supervisor.settle()
    supervisor.kill(1)
    supervisor.settle()
    assert supervisor.state() == State.TRIAL
    assert supervisor.may_try == [2]


def test_a_worker_that_comes_knows_how_all_stand() -> None:
    supervisor = ejected()
    supervisor.fail(1, SECOND)
    worker = supervisor.spawn(3)
    assert worker.pickable == {SECOND, THIRD}
    assert worker.targets.by_name[SECOND].is_suspected
    assert repr(supervisor.court) == "<Court of [1, 2, 3], <Grants {'orders/192.0.2.1:80': 1} of [2, 1, 3]>>"


def test_a_worker_that_knows_nothing_yet_makes_no_trial() -> None:
    supervisor = ejected(workers=1)
    supervisor.court.join(9, lambda upstream, rows: None)
    for _ in range(5):
        supervisor.pass_time(2)
        assert supervisor.may_try == [1]


def test_a_worker_that_is_to_end_makes_no_trial_and_knows_how_all_stand() -> None:
    supervisor = ejected()
    supervisor.court.retire(1)
    supervisor.settle()
    assert supervisor.may_try == [2]
    assert supervisor.workers[2].request(FIRST, "answer")
    supervisor.settle()
    supervisor.fail(1, SECOND)
    assert supervisor.state(SECOND) == State.EJECTED
    assert supervisor.workers[1].pickable == {FIRST, THIRD}


def test_a_worker_that_is_gone_may_go_again() -> None:
    supervisor = ejected()
    supervisor.kill(2)
    supervisor.court.leave(2)
    assert supervisor.may_try == [1]


# configurations


def test_nobody_is_told_of_a_new_configuration_before_it_has_it() -> None:
    supervisor = Supervisor(eject_after=1)
    supervisor.fail(1)
    prepared = supervisor.court.prepare({"orders": upstream_config(FOURTH, SECOND, FIRST, eject_after=1)})
    supervisor.court.commit(prepared)
    supervisor.court.sweep(supervisor.now)
    supervisor.court.judges.drain("orders", FOURTH)
    assert not any(worker.inbox for worker in supervisor.workers.values())
    worker = supervisor.workers[1]
    worker.configure(prepared["orders"].config, supervisor.court.standings_for(1))
    assert worker.pickable == {SECOND}
    supervisor.court.judges.enable("orders", FOURTH)
    assert [bool(worker.inbox) for worker in supervisor.workers.values()] == [True, False]


def test_a_trial_under_way_is_made_again_by_the_new_configuration() -> None:
    supervisor = ejected()
    supervisor.workers[1].pick(FIRST)
    supervisor.settle()
    supervisor.configure(FIRST, SECOND, THIRD, eject_after=1, eject_for=10.0, retries=3)
    assert supervisor.may_try == [2]
    assert supervisor.workers[2].request(FIRST, "answer")
    supervisor.settle()
    assert supervisor.state() == State.UP


def test_an_upstream_that_is_gone_is_asked_about_no_more() -> None:
    supervisor = ejected()
    supervisor.court.commit({})
    supervisor.pass_time(100)
    supervisor.court.take(1, [["orders", FIRST, "failed", "reset", 1]])
    assert supervisor.court.standings_for(1) == {}
    assert repr(supervisor.court) == "<Court of [1, 2], <Grants {} of [2, 1]>>"


def test_the_end_leaves_nothing_behind() -> None:
    supervisor = Supervisor("name.test:80", health_path="/health")
    supervisor.court.stop()
    supervisor.court.judges.port("orders").failed(FIRST, "reset", 0.0)
    assert not supervisor.world.network.getDelayedCalls()
    assert not any(worker.inbox for worker in supervisor.workers.values())


# whatever happens

PLACES = (FIRST, SECOND, THIRD, FOURTH)
moves = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("pick", "pick", "pick", "fail", "fail", "fail", "answer", "leave"),
                *("say", "hear", "settle", "time", "time", "kill", "spawn"),
            )
        ),
        st.integers(0, 3),
        st.sampled_from((0.1, 0.9, 1.0, 5.0, 11.0)),
    ),
    max_size=70,
)


def act(supervisor: Supervisor, move: str, number: int, seconds: float) -> None:
    """Let something happen to a worker, or to all."""
    worker = supervisor.workers.get(number)
    if move == "time":
        supervisor.pass_time(seconds)
    elif move == "settle":
        supervisor.settle()
    elif move == "spawn" and worker is None:
        supervisor.spawn(number)
    elif worker is None:
        return
    elif move == "kill":
        supervisor.kill(number)
    elif move == "pick":
        worker.pick()
    elif move == "say":
        worker.say()
    elif move == "hear":
        worker.hear()
    elif worker.under_way:
        worker.end(0, move)


class Strict(Court):
    """A court that refuses to have a trial begun that is none."""

    def take(self, worker: int, rows: list[Row]) -> None:
        """Hear what a worker says."""
        for row in rows:
            if row[2] == "trial-started":
                assert self._grants.seen_by(worker, "orders", self._standing(row[1])).is_trial
        super().take(worker, rows)

    def _standing(self, name: str) -> Any:
        (found,) = [one for one in self.judges.standings()["orders"] if one.name == name]
        return found


@given(moves, st.integers(1, 3), st.sampled_from((0.25, 0.5, 1.0)))
@settings(max_examples=150)
def test_whatever_workers_do_the_bounds_hold(
    steps: list[tuple[str, int, float]], eject_after: int, max_ejected: float
) -> None:
    """The cap, the last one, and one trial at a time; and when all is said, everybody knows the same."""
    supervisor = Supervisor(
        *PLACES, workers=3, eject_after=eject_after, eject_for=10.0, max_ejected=max_ejected
    )
    for move, number, seconds in steps:
        act(supervisor, move, number, seconds)
        states = [supervisor.state(name) for name in PLACES]
        out = [state for state in states if state in (State.EJECTED, State.TRIAL)]
        assert len(out) <= most_ejected(max_ejected, len(PLACES))
        assert all(worker.targets.available_count for worker in supervisor.workers.values())
    supervisor.settle()
    up = {name for name in PLACES if supervisor.state(name) == State.UP}
    for worker in supervisor.workers.values():
        assert {name for name in worker.pickable if not worker.targets.by_name[name].is_on_trial} == up
    for name in PLACES:
        may = [one for one in supervisor.workers.values() if one.targets.by_name[name].is_on_trial]
        assert len(may) <= (supervisor.state(name) == State.TRIAL)


@given(moves)
@settings(max_examples=100)
def test_no_worker_begins_a_trial_that_is_not_its_own(steps: list[tuple[str, int, float]]) -> None:
    supervisor = Supervisor(*PLACES, workers=0, eject_after=1, eject_for=10.0)
    supervisor.court.__class__ = Strict
    for number in range(3):
        supervisor.spawn(number)
    for move, number, seconds in steps:
        act(supervisor, move, number, seconds)


outcomes = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(PLACES), st.sampled_from(("fail", "fail", "answer"))),
    max_size=60,
)


@given(outcomes, st.integers(1, 5), st.sampled_from((0.25, 0.5, 1.0)))
@settings(max_examples=150)
def test_several_workers_are_judged_as_one_would_be(
    steps: list[tuple[int, str, str]], eject_after: int, max_ejected: float
) -> None:
    """Where everything is heard before the next thing happens, "in a row" is over all workers."""
    supervisor = Supervisor(*PLACES, workers=3, eject_after=eject_after, max_ejected=max_ejected)
    alone = Judge(HealthRules(eject_after=eject_after, max_ejected=max_ejected), supervisor.now)
    alone.update(dict.fromkeys(PLACES, 1.0), supervisor.now)
    for number, name, how in steps:
        if supervisor.workers[number].request(name, how):
            if how == "fail":
                alone.failed(name, "reset", supervisor.now)
            else:
                alone.succeeded(name, supervisor.now)
        supervisor.settle()
    judging = supervisor.court.judges.judgings["orders"]
    assert judging.verdicts(supervisor.now) == alone.verdicts(supervisor.now)
