"""Retries stay within their share of the requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.limiting.window import RetryBudget


def taken(budget: RetryBudget, now: float, wanted: int = 1000) -> int:
    return sum(budget.take(now) for _ in range(wanted))


def test_a_few_retries_are_always_allowed() -> None:
    budget = RetryBudget(0.2)
    assert taken(budget, 5.0) == 3
    assert taken(budget, 14.9) == 0
    assert taken(budget, 16.0) == 3


def test_requests_allow_their_share() -> None:
    budget = RetryBudget(0.2)
    for _ in range(100):
        budget.count(7.5)
    assert taken(budget, 8.0) == 20
    for _ in range(10):
        budget.count(9.0)
    assert taken(budget, 9.5) == 2
    assert taken(budget, 16.9) == 0


@pytest.mark.parametrize(
    ("ratio", "minimum", "expected"), [(0.0, 0, 0), (0.0, 3, 3), (1.0, 0, 7), (0.5, 0, 3)]
)
def test_the_greater_of_minimum_and_share_counts(ratio: float, minimum: int, expected: int) -> None:
    budget = RetryBudget(ratio, minimum)
    for _ in range(7):
        budget.count(1.0)
    assert taken(budget, 1.0) == expected


def test_a_long_silence_forgets_everything() -> None:
    budget = RetryBudget(0.5, 1)
    for _ in range(100):
        budget.count(3.0)
    assert taken(budget, 3.0) == 50
    assert taken(budget, 1e9) == 1


def test_a_clock_that_goes_back_stands_still() -> None:
    budget = RetryBudget(0.5, 1)
    budget.count(20.0)
    assert taken(budget, 20.0) == 1
    assert taken(budget, 3.0) == 0
    for _ in range(4):
        budget.count(3.0)
    assert taken(budget, 3.0) == 1


steps = st.lists(
    st.tuples(st.sampled_from((0.0, 0.1, 0.4, 1.0, 3.0, 9.9, 11.0)), st.integers(0, 12), st.integers(0, 4))
)


@given(
    steps,
    st.sampled_from((0.0, 0.2, 0.5, 1.0)),
    st.integers(0, 3),
    st.sampled_from((1, 2, 10)),
    st.floats(0, 5),
)
def test_no_window_ever_has_more_retries_than_its_share(
    moves: list[tuple[float, int, int]], ratio: float, minimum: int, window: int, now: float
) -> None:
    budget = RetryBudget(ratio, minimum, float(window))
    requests: list[float] = []
    retries: list[float] = []
    for wait, coming, wanted in moves:
        now += wait
        for _ in range(coming):
            budget.count(now)
            requests.append(now)
        for _ in range(wanted):
            counted = sum(now - window < then for then in requests)
            before = sum(now - window < then for then in retries)
            if budget.take(now):
                retries.append(now)
                assert before + 1 <= max(minimum, ratio * counted)


@given(st.integers(0, 100), st.floats(0, 8))
def test_what_the_share_allows_is_given(count: int, wait: float) -> None:
    budget = RetryBudget(0.2, 3)
    for _ in range(count):
        budget.count(100.0)
    assert taken(budget, 100.0 + wait) == max(3, count // 5)
