"""The record of one target's failures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.balancing.ejection import LONGEST, TRIAL_PATIENCE, Ejection, most_ejected


def on_trial(now: float = 30.0) -> Ejection:
    ejection = Ejection()
    ejection.eject(30.0, now - 30.0)
    assert ejection.expire(now)
    return ejection


def test_each_ejection_in_a_row_is_longer_up_to_a_bound() -> None:
    ejection = Ejection()
    assert [ejection.eject(70.0, 0.0) for _ in range(6)] == [70.0, 140.0, 210.0, 280.0, LONGEST, LONGEST]


def test_goes_on_trial_when_its_time_is_over() -> None:
    ejection = Ejection()
    ejection.eject(30.0, 100.0)
    assert [(ejection.expire(now), ejection.is_on_trial) for now in (129.9, 130.0, 131.0)] == [
        (False, False),
        (True, True),
        (False, True),
    ]
    assert ejection.is_out


def test_a_trial_that_succeeds_forgets_the_row() -> None:
    ejection = on_trial()
    assert ejection.start_trial(31.0)
    assert not ejection.start_trial(31.5)
    assert (ejection.succeed(), ejection.is_out, ejection.abandon_trial()) == (True, False, False)
    assert ejection.eject(30.0, 40.0) == 30.0


def test_success_counts_only_when_a_trial_was_sent() -> None:
    ejection = Ejection()
    ejection.eject(30.0, 0.0)
    outcomes = []
    for now in (10.0, 30.0, 31.0):
        ejection.expire(now)
        outcomes.append((ejection.succeed(), ejection.is_out, ejection.is_on_trial))
    assert outcomes == [(False, True, False), (False, True, True), (False, True, True)]


def test_a_trial_that_nobody_reports_is_given_up() -> None:
    ejection = on_trial(30.0)
    assert ejection.start_trial(40.0)
    assert not ejection.expire(40.0 + TRIAL_PATIENCE - 0.1)
    assert ejection.expire(40.0 + TRIAL_PATIENCE)
    assert (ejection.abandon_trial(), ejection.is_on_trial) == (False, True)


def test_a_trial_without_a_verdict_can_be_made_again() -> None:
    ejection = on_trial()
    assert [ejection.abandon_trial(), ejection.start_trial(31.0)] == [False, True]
    assert [ejection.abandon_trial(), ejection.start_trial(32.0)] == [True, True]


def test_only_who_is_on_trial_is_tried() -> None:
    ejection = Ejection()
    assert not ejection.start_trial(0.0)
    ejection.eject(30.0, 0.0)
    assert not ejection.start_trial(1.0)


def test_a_success_ends_the_row_of_failures() -> None:
    ejection = Ejection()
    ejection.failures = 4
    assert not ejection.succeed()
    assert ejection.failures == 0


def test_what_is_released_remembers_its_row() -> None:
    ejection = Ejection()
    ejection.eject(30.0, 0.0)
    ejection.release()
    assert not ejection.is_out
    assert ejection.eject(30.0, 1.0) == 60.0


def recalled(known: Ejection, eject_after: int = 5, eject_for: float = 30.0, now: float = 0.0) -> Ejection:
    ejection = Ejection()
    ejection.recall(known, eject_after, eject_for, now)
    return ejection


def test_what_is_recalled_goes_on() -> None:
    known = Ejection()
    known.failures = 3
    assert recalled(known).failures == 3
    for _ in range(2):
        known.eject(30.0, 100.0)
    ejection = recalled(known, now=110.0)
    assert (ejection.is_out, ejection.until) == (True, 160.0)
    ejection.expire(160.0)
    assert ejection.eject(30.0, 160.0) == 90.0


def test_but_no_longer_than_it_would_last_now() -> None:
    known = Ejection()
    known.eject(300.0, 100.0)
    assert recalled(known, eject_for=5.0, now=110.0).until == 115.0
    assert recalled(known, eject_after=0, now=110.0).is_out is False


def test_no_trial_that_is_under_way_is_recalled() -> None:
    known = on_trial()
    known.start_trial(31.0)
    ejection = recalled(known, now=32.0)
    assert ejection.is_on_trial
    assert ejection.start_trial(32.0)


@pytest.mark.parametrize(
    ("ratio", "targets", "expected"),
    [
        (0.5, 3, 1),
        (0.5, 4, 2),
        (0.5, 2, 1),
        (0.5, 1, 0),
        (1.0, 3, 2),
        (0.0, 3, 0),
        (0.1, 3, 0),
        (0.29, 100, 29),
        (1.0, 0, 0),
    ],
)
def test_bounds_how_many_may_be_out(ratio: float, targets: int, expected: int) -> None:
    assert most_ejected(ratio, targets) == expected


@given(st.floats(0, 1), st.integers(1, 50))
def test_never_all_and_never_more_than_the_ratio(ratio: float, targets: int) -> None:
    most = most_ejected(ratio, targets)
    assert most < targets
    assert most <= ratio * targets + 1e-6
