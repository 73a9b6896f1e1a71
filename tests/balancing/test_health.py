"""The judge: who may be picked, why not, and since when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistedgate.balancing.ejection import TRIAL_PATIENCE, most_ejected
from twistedgate.balancing.health import Change, Judge, State, Verdict
from twistedgate.balancing.rules import Checks, HealthRules

RULES = HealthRules(rise=2, fall=3, eject_after=2, eject_for=30.0, max_ejected=0.5)


def judge_of(names: str = "abcd", rules: HealthRules = RULES) -> Judge:
    judge = Judge(rules, 0.0)
    for name in names:
        assert judge.add(name, 1.0, 0.0) == []
    return judge


def states(judge: Judge, now: float = 0.0) -> str:
    return " ".join(f"{verdict.name}:{verdict.state}" for verdict in judge.verdicts(now))


def available(judge: Judge, now: float = 0.0) -> str:
    return "".join(verdict.name for verdict in judge.available(now))


def fail(judge: Judge, name: str, now: float, times: int = 2) -> list[Change]:
    return [change for _ in range(times) for change in judge.failed(name, "reset", now)]


# Checks


def test_a_target_starts_up() -> None:
    judge = judge_of("ab")
    assert judge.verdict("a", 5.0) == Verdict("a", State.UP, 0.0, "", 1.0, True)
    assert available(judge) == "ab"


def test_the_first_check_decides_at_once() -> None:
    judge = judge_of("ab")
    assert judge.probed("a", True, "", 1.0) == []
    assert judge.probed("b", False, "refused", 1.0) == [
        Change("b", State.DOWN, "its first check is bad: refused")
    ]
    assert available(judge) == "a"
    assert judge.verdict("b", 2.0) == Verdict("b", State.DOWN, 1.0, "refused", 1.0, False)


def test_later_checks_need_a_row() -> None:
    judge = judge_of("ab")
    judge.probed("a", True, "", 1.0)
    outcomes = [False, False, True, False, False, False, True, False, True, True]
    changes = [judge.probed("a", ok, "timeout", float(now)) for now, ok in enumerate(outcomes, 2)]
    assert changes[5] == [Change("a", State.DOWN, "3 bad checks in a row: timeout")]
    assert changes[9] == [Change("a", State.UP, "2 good checks in a row")]
    assert not any(changes[:5] + changes[6:9])
    assert judge.verdict("a", 20.0).since == 11.0


# Requests


def test_failures_in_a_row_eject() -> None:
    judge = judge_of()
    assert fail(judge, "a", 1.0, 1) == []
    judge.succeeded("a", 1.5)
    assert fail(judge, "a", 2.0, 1) == []
    assert fail(judge, "a", 3.0, 1) == [
        Change("a", State.EJECTED, "2 failures in a row, out for 30 s: reset")
    ]
    assert available(judge) == "bcd"


def test_no_number_of_failures_ejects_when_that_is_off() -> None:
    judge = judge_of(rules=replace(RULES, eject_after=0))
    assert fail(judge, "a", 1.0, 100) == []


def test_one_trial_brings_it_back() -> None:
    judge = judge_of()
    fail(judge, "a", 1.0)
    assert judge.tick(30.9) == []
    assert judge.tick(31.0) == [Change("a", State.TRIAL, "its time is over, one request may try")]
    assert available(judge) == "abcd"
    before = judge.revision
    assert judge.trial_started("a", 32.0) == []
    assert judge.revision > before
    assert available(judge) == "bcd"
    assert judge.succeeded("a", 33.0) == [Change("a", State.UP, "its trial succeeded")]
    assert available(judge) == "abcd"
    assert "30 s" in fail(judge, "a", 34.0)[0].reason


def test_a_trial_that_fails_ejects_for_longer() -> None:
    judge = judge_of()
    fail(judge, "a", 0.0)
    now = 0.0
    for seconds in (30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300):
        now += seconds
        assert [change.state for change in judge.tick(now)] == [State.TRIAL]
        assert judge.verdict("a", now).may_pick
        judge.trial_started("a", now)
        changes = judge.failed("a", "connect-failed", now)
        longer = min(seconds + 30, 300)
        assert changes == [
            Change("a", State.EJECTED, f"its trial failed, out for {longer} s: connect-failed")
        ]


def test_what_older_requests_report_changes_nothing() -> None:
    judge = judge_of()
    fail(judge, "a", 0.0)
    assert judge.succeeded("a", 1.0) == fail(judge, "a", 1.0) == []
    judge.tick(30.0)
    assert judge.succeeded("a", 31.0) == fail(judge, "a", 31.0) == []
    assert judge.verdict("a", 31.0).state == State.TRIAL


@pytest.mark.parametrize("gives_up", [
    lambda judge: judge.trial_abandoned("a", 32.0),
    lambda judge: judge.tick(31.0 + TRIAL_PATIENCE),
])  # fmt: skip
def test_a_trial_without_a_verdict_makes_room_for_another(gives_up: Callable[[Judge], object]) -> None:
    judge = judge_of()
    fail(judge, "a", 0.0)
    judge.tick(30.0)
    judge.trial_started("a", 31.0)
    assert not judge.verdict("a", 31.5).may_pick
    before = judge.revision
    gives_up(judge)
    assert judge.revision > before
    assert judge.verdict("a", 400.0).may_pick
    assert judge.verdict("a", 400.0).state == State.TRIAL


def test_a_trial_that_is_under_way_is_not_started_again() -> None:
    judge = judge_of()
    judge.trial_started("a", 0.0)
    assert available(judge) == "abcd"
    fail(judge, "a", 0.0)
    judge.tick(30.0)
    judge.trial_started("a", 31.0)
    judge.trial_started("a", 31.0 + TRIAL_PATIENCE - 1)
    judge.tick(31.0 + TRIAL_PATIENCE)
    assert judge.verdict("a", 400.0).may_pick


def test_checks_and_requests_are_both_heard() -> None:
    judge = judge_of()
    judge.probed("a", True, "", 0.0)
    fail(judge, "a", 0.0)
    for now in (1.0, 2.0):
        assert judge.probed("a", True, "", now) == []  # good checks do not end an ejection
    assert [change.state for now in (3.0, 4.0, 5.0) for change in judge.probed("a", False, "x", now)] == [
        State.DOWN
    ]
    assert judge.tick(31.0) == []
    assert [change.state for now in (32.0, 33.0) for change in judge.probed("a", True, "", now)] == [
        State.TRIAL
    ]


def test_failures_before_a_change_by_checks_do_not_count_after_it() -> None:
    judge = judge_of(rules=replace(RULES, fall=1, rise=1))
    judge.probed("a", True, "", 0.0)
    fail(judge, "a", 0.0, 1)
    judge.probed("a", False, "x", 1.0)
    judge.probed("a", True, "", 2.0)
    assert fail(judge, "a", 3.0, 1) == []


def test_failures_may_be_told_together() -> None:
    judge = judge_of()
    assert judge.failed("a", "reset", 1.0, 7) == [
        Change("a", State.EJECTED, "7 failures in a row, out for 30 s: reset")
    ]


def test_a_first_failure_and_a_success_after_it_are_news_and_others_are_not() -> None:
    judge = judge_of(rules=replace(RULES, eject_after=9))
    seen = []
    for tell in (*[lambda: fail(judge, "a", 1.0, 1)] * 2, *[lambda: judge.succeeded("a", 2.0)] * 2):
        before = judge.revision
        tell()
        seen.append((judge.revision > before, judge.verdict("a", 2.0).is_suspected))
    assert seen == [(True, True), (False, True), (True, False), (False, False)]


# The cap, and the last one


def test_no_more_than_max_ejected_are_out() -> None:
    judge = judge_of("abcd")
    assert [bool(fail(judge, name, 0.0)) for name in "abcd"] == [True, True, False, False]
    judge.tick(30.0)
    judge.trial_started("a", 30.0)
    judge.succeeded("a", 31.0)
    assert fail(judge, "c", 32.0, 1)[0].reason == "3 failures in a row, out for 30 s: reset"


def test_the_last_one_is_never_ejected() -> None:
    judge = judge_of("abc", replace(RULES, max_ejected=1.0))
    assert [bool(fail(judge, name, 0.0)) for name in "abc"] == [True, True, False]
    alone = judge_of("a", replace(RULES, max_ejected=1.0))
    assert fail(alone, "a", 0.0, 50) == []
    assert alone.verdict("a", 1.0).last_error == "reset"


def test_the_last_one_that_is_not_down_is_never_ejected() -> None:
    judge = judge_of("abc")
    for name in "ab":
        judge.probed(name, False, "refused", 1.0)
    assert fail(judge, "c", 2.0, 50) == []
    assert available(judge) == "c"


def test_who_is_down_is_not_ejected_too() -> None:
    judge = judge_of("abc", replace(RULES, rise=1))
    judge.probed("a", False, "refused", 1.0)
    assert fail(judge, "a", 2.0) == []
    assert judge.probed("a", True, "", 3.0) == [Change("a", State.UP, "1 good checks in a row")]


def test_who_is_ejected_comes_back_when_all_others_go_down() -> None:
    judge = judge_of("ab")
    fail(judge, "a", 0.0)
    assert judge.probed("b", False, "refused", 1.0) == [
        Change("b", State.DOWN, "its first check is bad: refused"),
        Change("a", State.UP, "nobody else is left"),
    ]
    assert available(judge) == "a"


def test_who_is_ejected_comes_back_when_too_few_are_left() -> None:
    judge = judge_of("abcd")
    fail(judge, "b", 0.0)
    fail(judge, "a", 1.0)
    assert judge.remove("c", 2.0) == [Change("b", State.UP, "no more than max_ejected may be out")]
    assert judge.add("d", 0.0, 3.0) == [Change("d", State.DRAINED, "its weight is 0")]
    assert states(judge) == "a:ejected b:up d:drained"
    assert judge.remove("b", 4.0) == [Change("a", State.UP, "no more than max_ejected may be out")]


# Weights


def test_a_weight_of_zero_drains() -> None:
    judge = judge_of("a")
    assert judge.add("b", 0.0, 0.0) == []
    assert states(judge) == "a:up b:drained"
    assert judge.add("b", 2.0, 1.0) == [Change("b", State.UP, "its weight is 2")]
    assert judge.add("b", 3.0, 2.0) == []
    assert [(one.name, one.weight) for one in judge.available(3.0)] == [("a", 1.0), ("b", 3.0)]
    assert judge.add("a", 0.0, 4.0) == [Change("a", State.DRAINED, "its weight is 0")]


def test_a_target_that_returns_grows_to_its_weight() -> None:
    judge = Judge(replace(RULES, slow_start=10.0), 0.0)
    judge.add("a", 2.0, 0.0)
    judge.add("b", 2.0, 0.0)
    assert judge.verdict("a", 0.0).weight == 2.0
    judge.probed("a", False, "x", 1.0)
    judge.probed("a", True, "", 2.0)
    judge.probed("a", True, "", 3.0)
    weights = []
    for now in (3.0, 8.0, 13.0, 20.0):
        before = judge.revision
        judge.tick(now)
        weights.append(round(judge.verdict("a", now).weight, 6))
        assert (judge.revision > before) == (now < 20.0)
    assert weights == [0.2, 1.1, 2.0, 2.0]
    assert judge.verdict("b", 20.0).weight == 2.0


@pytest.mark.parametrize(("when_all_down", "expected"), [("fail", ""), ("try", "ab")])
def test_when_all_are_down_health_decides_or_is_ignored(when_all_down: str, expected: str) -> None:
    judge = judge_of("ab", replace(RULES, when_all_down=when_all_down))
    judge.add("c", 0.0, 0.0)
    for name in "abc":
        judge.probed(name, False, "refused", 1.0)
    assert available(judge) == expected
    assert states(judge) == "a:down b:down c:drained"


def test_why_a_weight_changes_is_told() -> None:
    judge = judge_of("a")
    assert judge.add("a", 0.0, 1.0, "so it was wished") == [Change("a", State.DRAINED, "so it was wished")]


# All at once


def test_those_who_are_judged_are_changed_at_once() -> None:
    judge = judge_of("abc")
    assert judge.update({"b": 2.0, "d": 1.0, "a": 0.0}, 1.0) == [
        Change("a", State.DRAINED, "its weight is 0")
    ]
    assert states(judge) == "a:drained b:up d:up"
    assert judge.verdict("b", 1.0).weight == 2.0


def test_nobody_comes_back_because_another_is_replaced() -> None:
    judge = judge_of("ab")
    fail(judge, "a", 0.0)
    assert judge.update({"a": 1.0, "c": 1.0}, 1.0) == []
    assert states(judge) == "a:ejected c:up"
    assert judge.update({"a": 1.0}, 2.0) == [Change("a", State.UP, "no more than max_ejected may be out")]


# Another judge


def successor(judge: Judge, rules: HealthRules = RULES, checks: Checks = Checks.AS_BEFORE) -> Judge:
    after = Judge(rules, 1.0)
    for verdict in judge.verdicts(1.0):
        after.recall(verdict.name, judge, checks, 1.0)
    return after


def test_another_judge_recalls_what_was_known() -> None:
    judge = judge_of()
    fail(judge, "a", 0.0)
    fail(judge, "b", 0.0, 1)
    judge.probed("c", False, "refused", 0.5)
    judge.add("d", 0.0, 0.5)
    after = successor(judge)
    assert after.recall("e", judge, Checks.AS_BEFORE, 1.0) == []
    assert after.verdicts(1.0) == judge.verdicts(1.0)
    assert after.update(dict.fromkeys("abc", 1.0) | {"d": 0.0}, 1.0) == []
    assert fail(after, "b", 1.0, 1) == []  # of three one may be out, and one is
    assert [change.state for _ in range(2) for change in after.probed("c", True, "", 2.0)] == [State.UP]


def test_but_keeps_to_its_own_rules() -> None:
    judge = judge_of()
    fail(judge, "a", 0.0)
    fail(judge, "b", 0.5)
    after = successor(judge, replace(RULES, max_ejected=0.25))
    assert after.update(dict.fromkeys("abcd", 1.0), 1.0) == [
        Change("a", State.UP, "no more than max_ejected may be out")
    ]


@pytest.mark.parametrize(
    ("checks", "expected"),
    [(Checks.AS_BEFORE, "a:down"), (Checks.OTHERWISE, "a:down"), (Checks.NOT_AT_ALL, "a:up")],
)
def test_who_was_down_is_up_if_it_is_not_checked_any_more(checks: Checks, expected: str) -> None:
    judge = judge_of("a")
    judge.probed("a", False, "refused", 0.0)
    assert states(successor(judge, checks=checks)) == expected


@pytest.mark.parametrize(("checks", "good"), [(Checks.AS_BEFORE, 2), (Checks.OTHERWISE, 1)])
def test_a_check_of_another_kind_decides_at_once(checks: Checks, good: int) -> None:
    judge = judge_of("a")
    judge.probed("a", False, "refused", 0.0)
    after = successor(judge, checks=checks)
    assert [bool(after.probed("a", True, "", 2.0)) for _ in range(good)] == [False] * (good - 1) + [True]


# Whoever is not known, whatever the clock


def test_those_who_are_gone_are_ignored() -> None:
    judge = judge_of("a")
    judge.remove("b", 0.0)
    assert judge.failed("b", "reset", 0.0) == judge.succeeded("b", 0.0) == []
    assert judge.probed("b", False, "", 0.0) == judge.trial_started("b", 0.0) == []
    assert judge.trial_abandoned("b", 0.0) == []
    with pytest.raises(KeyError):
        judge.verdict("b", 0.0)


def test_a_clock_that_goes_back_stands_still() -> None:
    judge = judge_of()
    judge.tick(100.0)
    fail(judge, "a", 50.0)
    assert judge.verdict("a", 50.0).since == 100.0
    assert judge.tick(129.9) == []
    assert judge.tick(130.0) != []


def test_a_success_of_the_healthy_changes_nothing() -> None:
    judge = judge_of()
    before = judge.revision
    assert judge.succeeded("a", 5.0) == []
    assert judge.revision == before


# Properties

NAMES = st.sampled_from("abc")
steps = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("bad", "good", "fail", "fail", "fail", "fail", "succeed", "trial", "trial", "abandon"),
                *("tick", "tick", "add", "drain", "remove"),
            )
        ),
        NAMES,
        st.sampled_from((0.0, 0.5, 10.0, 31.0, 400.0, -3.0)),
    ),
    min_size=15,
    max_size=60,
)
all_rules = st.builds(
    HealthRules,
    rise=st.integers(1, 2),
    fall=st.integers(1, 2),
    eject_after=st.sampled_from((0, 1, 1, 2)),
    eject_for=st.just(30.0),
    max_ejected=st.sampled_from((0.0, 0.25, 0.5, 0.5, 1.0)),
    slow_start=st.sampled_from((0.0, 20.0)),
    when_all_down=st.sampled_from(("fail", "try")),
)


def take(judge: Judge, step: str, name: str, now: float) -> list[Change]:
    match step:
        case "bad" | "good":
            return judge.probed(name, step == "good", "x", now)
        case "fail":
            return judge.failed(name, "reset", now)
        case "succeed":
            return judge.succeeded(name, now)
        case "trial":
            return judge.trial_started(name, now)
        case "abandon":
            return judge.trial_abandoned(name, now)
        case "tick":
            return judge.tick(now)
        case "remove":
            return judge.remove(name, now)
        case _:
            return judge.add(name, 0.0 if step == "drain" else 2.0, now)


def check_bounds(judge: Judge, verdicts: list[Verdict]) -> None:
    """The cap holds; somebody may be picked while somebody stands."""
    weighty = [verdict for verdict in verdicts if verdict.state != State.DRAINED]
    out = [verdict for verdict in weighty if verdict.state in (State.EJECTED, State.TRIAL)]
    assert len(out) <= most_ejected(judge.rules.max_ejected, len(weighty))
    if any(verdict.state != State.DOWN for verdict in weighty):
        assert any(verdict.state == State.UP for verdict in weighty)
        assert {one.name for one in judge.available(0.0)} == {one.name for one in verdicts if one.may_pick}
    for verdict in verdicts:
        assert verdict.may_pick == (verdict.state == State.UP) or verdict.state == State.TRIAL
        assert verdict.weight > 0 or verdict.state == State.DRAINED


@given(all_rules, steps)
@settings(max_examples=300)
def test_the_judge_keeps_its_rules_whatever_it_is_told(
    rules: HealthRules, moves: list[tuple[str, str, float]]
) -> None:
    judge = judge_of("abc", rules)
    known = {verdict.name: verdict for verdict in judge.verdicts(0.0)}
    now = latest = 0.0
    for step, name, wait in moves:
        now += wait
        latest = max(latest, now)
        revision = judge.revision
        changes = take(judge, step, name, now)
        verdicts = judge.verdicts(now)
        check_bounds(judge, verdicts)
        told = {one: known[one].state for one in known if one != name or step != "remove"}
        for change in changes:
            assert told[change.name] != change.state
            told[change.name] = change.state
        for verdict in verdicts:
            before = known.get(verdict.name, verdict)
            assert before.since <= verdict.since <= latest
            assert verdict.since == before.since or verdict.name in {change.name for change in changes}
            assert told.get(verdict.name, verdict.state) == verdict.state
            if (before.state, before.may_pick) != (verdict.state, verdict.may_pick):
                assert judge.revision > revision
        known = {verdict.name: verdict for verdict in verdicts}


@given(steps)
def test_one_trial_at_a_time(moves: list[tuple[str, str, float]]) -> None:
    judge = judge_of("abc", replace(RULES, eject_after=1, max_ejected=1.0))
    started: dict[str, float] = {}
    now = 0.0
    for step, name, wait in moves:
        now += abs(wait)
        was = {verdict.name: verdict for verdict in judge.verdicts(now)}
        if step == "trial" and name in was and was[name].state == State.TRIAL and was[name].may_pick:
            assert name not in started
            started[name] = now
        take(judge, step, name, now)
        for verdict in judge.verdicts(now):
            is_over = (step == "abandon" and name == verdict.name) or (
                step == "tick" and now - started.get(verdict.name, now) >= TRIAL_PATIENCE
            )
            if verdict.state != State.TRIAL or is_over:
                started.pop(verdict.name, None)
            elif verdict.name in started:
                assert not verdict.may_pick
        started = {
            one: at for one, at in started.items() if one in {left.name for left in judge.verdicts(now)}
        }


def test_every_target_comes_back_in_the_end() -> None:
    judge = judge_of(rules=replace(RULES, max_ejected=1.0))
    for name in "abcd":
        judge.probed(name, name == "d", "x", 0.0)
        fail(judge, name, 1.0)
    now = 1.0
    while available(judge) != "abcd":
        now += 10.0
        assert now < 1000.0
        judge.tick(now)
        for name in "abcd":
            judge.probed(name, True, "", now)
            judge.trial_started(name, now)
            judge.succeeded(name, now)
