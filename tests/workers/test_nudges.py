"""What workers tell the judge, and are told, as values and as rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.balancing.health import Judge, State
from twistedgate.balancing.rules import HealthRules
from twistedgate.upstream.judging import Standing
from twistedgate.workers.nudges import Kind, Nudge, Nudges, Row, standing_of, standing_row, take_outcomes

UP = Standing("192.0.2.1:80", "192.0.2.1", 0, State.UP, 1, True, False, False, 0.0, "")


# rows

texts = st.text(max_size=20)
times = st.floats(0, 1e9)
standings = st.builds(
    Standing,
    name=texts,
    address=texts,
    place=st.integers(0, 1000),
    state=st.sampled_from(State),
    weight=st.floats(0, 1000),
    may_pick=st.booleans(),
    is_trial=st.booleans(),
    is_suspected=st.booleans(),
    since=times,
    last_error=texts,
    trial_until=st.one_of(st.just(inf), times),
)
nudges = st.builds(Nudge, texts, texts, st.sampled_from(Kind), texts, st.integers(1, 10**9))


def travel(row: Row) -> Row:
    """Return what arrives of a row."""
    arrived: Row = json.loads(json.dumps(row, allow_nan=False))
    return arrived


@given(standings)
def test_a_standing_arrives_as_it_was_sent(standing: Standing) -> None:
    assert standing_of(travel(standing_row(standing))) == standing


@given(nudges)
def test_a_nudge_arrives_as_it_was_sent(nudge: Nudge) -> None:
    assert Nudge.of(travel(nudge.row)) == nudge


# a worker's turn


class Worker:
    """A worker that tells what became of requests."""

    def __init__(self) -> None:
        self.sent: list[list[Row]] = []
        self.calls: list[Callable[[], None]] = []
        self.nudges = Nudges(self.sent.append, self.calls.append)
        self.judge = self.nudges.port("orders")

    def act(self, acts: str, target: str = "a") -> None:
        """Let requests fail (f), succeed (s), trials begin (t) and end without a verdict (u)."""
        for number, act in enumerate(acts):
            match act:
                case "f":
                    self.judge.failed(target, f"reason {number}", 0.0)
                case "s":
                    self.judge.succeeded(target, 0.0)
                case "t":
                    self.judge.trial_started(target, 0.0)
                case "u":
                    self.judge.trial_abandoned(target, 0.0)

    def turn(self) -> list[Nudge]:
        """Return what is sent at the end of the turn."""
        calls = self.calls[:]
        self.calls.clear()
        for call in calls:
            call()
        rows = [row for batch in self.sent for row in batch]
        self.sent.clear()
        return [Nudge.of(row) for row in rows]

    def told(self, acts: str) -> str:
        """Return what is sent of what happens in one turn, failures as their number."""
        self.act(acts)
        letters = {Kind.SUCCEEDED: "s", Kind.TRIAL_STARTED: "t", Kind.TRIAL_ABANDONED: "u"}
        return " ".join(letters.get(nudge.kind) or str(nudge.count) for nudge in self.turn())


def test_nothing_is_sent_before_the_end_of_the_turn_and_then_all_at_once() -> None:
    worker = Worker()
    worker.act("ff", "a")
    worker.act("s", "b")
    assert worker.sent == []
    assert len(worker.calls) == 1
    assert repr(worker.nudges) == "<Nudges 2 to be sent>"
    assert worker.turn() == [
        Nudge("orders", "a", Kind.FAILED, "reason 1", 2),
        Nudge("orders", "b", Kind.SUCCEEDED),
    ]
    assert worker.turn() == []
    worker.act("f")
    assert len(worker.calls) == 1


def test_nothing_is_sent_twice_when_it_was_sent_early() -> None:
    worker = Worker()
    worker.act("f")
    worker.nudges.flush()
    assert len(worker.sent) == 1
    assert len(worker.turn()) == 1


def test_two_upstreams_are_told_apart() -> None:
    worker = Worker()
    worker.act("f")
    worker.nudges.port("other").failed("a", "reset", 0.0)
    assert [(nudge.upstream, nudge.count) for nudge in worker.turn()] == [("orders", 1), ("other", 1)]


@pytest.mark.parametrize(
    ("acts", "told"),
    [
        ("fff", "3"),
        ("sss", "s"),
        ("ffsff", "2 s 2"),
        ("ffsfs", "2 s 1 s"),
        ("fsffsffff", "1 s 2 s 4"),
        ("fsffsffffsf", "1 s 4 s 1"),
        ("sffsfs", "s 2 s"),
        ("fstfsfsfs", "1 s t 1 s 1 s"),
        ("tu", "t u"),
        ("ftf", "1 t 1"),
    ],
)
def test_what_makes_a_difference_is_told_in_order(acts: str, told: str) -> None:
    assert Worker().told(acts) == told


@given(st.lists(st.sampled_from("fs"), max_size=200))
def test_a_flood_has_a_bound(acts: list[str]) -> None:
    worker = Worker()
    worker.act("".join(acts))
    assert len(worker.turn()) <= 5


# the judge's side


class Anybody:
    """Lets every worker do everything."""

    def start(self, upstream: str, target: str, worker: int) -> bool:
        """A trial begins."""
        return True

    def is_heard(self, upstream: str, target: str, worker: int) -> bool:
        """A worker speaks."""
        return True


class One(Anybody):
    """Hears the first worker, and lets nobody make a trial."""

    def start(self, upstream: str, target: str, worker: int) -> bool:
        """A trial begins."""
        return False

    def is_heard(self, upstream: str, target: str, worker: int) -> bool:
        """A worker speaks."""
        return worker == 1


def judge_of(eject_after: int) -> Judge:
    judge = Judge(HealthRules(eject_after=eject_after), 0.0)
    judge.update(dict.fromkeys("ab", 1.0), 0.0)
    return judge


class Direct:
    """A judge that counts, told by the batch or one by one."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.told: list[str] = []

    def failed(self, target: str, reason: str, now: float, count: int = 1) -> None:
        """Requests came to nothing."""
        self.told.append(f"{target} failed {count}: {reason}")
        self.judge.failed(target, reason, now, count)

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered."""
        self.told.append(f"{target} succeeded")
        self.judge.succeeded(target, now)

    def trial_started(self, target: str, now: float) -> None:
        """A trial is under way."""
        self.told.append(f"{target} is tried")
        self.judge.trial_started(target, now)

    def trial_abandoned(self, target: str, now: float) -> None:
        """A trial ended."""
        self.told.append(f"{target} was tried in vain")
        self.judge.trial_abandoned(target, now)


def rows_of(acts: str) -> list[Row]:
    worker = Worker()
    worker.act(acts)
    return [nudge.row for nudge in worker.turn()]


def test_the_judge_of_the_upstream_is_told() -> None:
    judge = Direct(judge_of(9))
    take_outcomes({"orders": judge}.get, Anybody(), 1, rows_of("fftus"), 5.0)
    take_outcomes({"other": judge}.get, Anybody(), 1, rows_of("f"), 5.0)
    assert judge.told == ["a failed 2: reason 1", "a is tried", "a was tried in vain", "a succeeded"]


def test_only_who_is_heard_is_told_and_a_trial_that_is_none_is_not() -> None:
    judge = Direct(judge_of(9))
    for worker in (1, 2):
        take_outcomes({"orders": judge}.get, One(), worker, rows_of("fts"), 5.0)
    assert judge.told == ["a failed 1: reason 0", "a succeeded"]


@given(st.lists(st.sampled_from("ffs"), max_size=60), st.integers(0, 6), st.integers(0, 4))
def test_the_judge_comes_to_the_same_as_if_it_were_told_one_by_one(
    acts: list[str], eject_after: int, before: int
) -> None:
    batched, one_by_one = judge_of(eject_after), judge_of(eject_after)
    for judge in (batched, one_by_one):
        for _ in range(before):
            judge.failed("a", "before", 0.0)
    take_outcomes({"orders": Direct(batched)}.get, Anybody(), 1, rows_of("".join(acts)), 1.0)
    for act in acts:
        if act == "f":
            one_by_one.failed("a", "reset", 1.0)
        else:
            one_by_one.succeeded("a", 1.0)
    verdicts = [replace(judge.verdict("a", 1.0), last_error="") for judge in (batched, one_by_one)]
    assert verdicts[0] == verdicts[1]
    for judge in (batched, one_by_one):
        judge.failed("a", "after", 2.0, max(eject_after - 1, 1))
    assert batched.verdict("a", 2.0).state == one_by_one.verdict("a", 2.0).state
