"""Each in its turn, by weight."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balancing.candidates import Named, counted, named, picked
from twistedgate.balancing.round_robin import RoundRobin


def balancer_of(candidates: list[Named]) -> RoundRobin[Named]:
    balancer: RoundRobin[Named] = RoundRobin()
    balancer.update(candidates)
    return balancer


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1, 1, 1), "abcabc"),
        ((5, 1, 1), "aabacaaaabacaa"),
        ((2, 1), "abaaba"),
        ((0.5, 0.25), "abaaba"),
    ],
)
def test_takes_turns_smoothly(weights: tuple[float, ...], expected: str) -> None:
    assert picked(balancer_of(named(*weights)), len(expected)) == expected


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 30))
def test_every_round_is_fair(weights: list[int], before: int) -> None:
    balancer = balancer_of(named(*weights))
    counted(balancer, before)
    picks = counted(balancer, sum(weights))
    assert picks == Counter({candidate.name: int(candidate.weight) for candidate in named(*weights)})


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_nobody_waits_longer_than_weights_explain(weights: list[int]) -> None:
    turns = picked(balancer_of(named(*weights)), 3 * sum(weights))
    heaviest = max(named(*weights), key=lambda candidate: candidate.weight)
    for name in {candidate.name for candidate in named(*weights)} - {heaviest.name}:
        assert name + name not in turns


@pytest.mark.parametrize("weights", [(1, 1, 1), (2, 2, 1)])
def test_who_is_excluded_is_passed_over_and_the_others_share(weights: tuple[float, ...]) -> None:
    candidates = named(*weights)
    picks = Counter(picked(balancer_of(candidates), 12, [candidates[0]]))
    assert picks == Counter(
        {name: weight * 12 // sum(weights[1:]) for name, weight in zip("bc", weights[1:], strict=True)}
    )


def test_an_update_leaves_everybody_in_place() -> None:
    balancer = balancer_of(named(1, 1, 1))
    assert picked(balancer, 1) == "a"
    balancer.update(named(1, 1, 1))
    assert picked(balancer, 1) == "b"
    balancer.update(named(1, 1))
    assert picked(balancer, 3) == "aba"
    balancer.update(named(1, 1, 1, 1))
    assert picked(balancer, 4) == "bcda"


def test_updates_that_change_nothing_keep_the_shares() -> None:
    balancer = balancer_of(named(5, 1, 1))
    picks = ""
    for _ in range(14):
        picks += picked(balancer, 1)
        balancer.update(named(5, 1, 1))
    assert picks == "aabacaa" * 2


def test_weights_that_grow_are_followed() -> None:
    candidates = named(1, 1)
    candidates[1].weight = 0.25
    balancer = balancer_of(candidates)
    assert counted(balancer, 10) == {"a": 8, "b": 2}
    candidates[1].weight = 1
    balancer.update(candidates)
    assert counted(balancer, 10) == {"a": 5, "b": 5}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_who_stands_in_for_one_that_fails_loses_no_turn_by_it(count: int) -> None:
    candidates = named(*[1.0] * count)
    failing = candidates[0]
    balancer = balancer_of(candidates)
    chosen = []
    for _ in range(4 * count):
        first = balancer.pick(b"", ())
        chosen.append(first)
        if first is failing:
            assert balancer.pick(b"", [failing]) is not failing
    assert (failing, failing) not in pairwise(chosen)
