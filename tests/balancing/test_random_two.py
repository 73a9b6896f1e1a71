"""The less busy of two that chance names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balancing.candidates import Named, counted, named
from twistedgate.balancing.random_two import RandomTwo


class Drawn:
    """Chance, given out in order."""

    def __init__(self, numbers: list[float]) -> None:
        self._numbers: Iterator[float] = iter(numbers)

    def __call__(self) -> float:
        return next(self._numbers)


def balancer_of(candidates: list[Named], numbers: list[float]) -> RandomTwo[Named]:
    balancer = RandomTwo[Named](Drawn(numbers))
    balancer.update(candidates)
    return balancer


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_pair_is_as_likely_as_any_other(count: int) -> None:
    pairs = count * (count - 1)
    numbers = [(place + 0.5) / pairs for place in range(pairs)]
    picks = counted(balancer_of(named(*[1] * count), numbers), pairs)
    assert set(picks.values()) == {count - 1}  # all are equally busy, so the first of each pair is picked

    for busy in range(count):
        candidates = named(*[1] * count)
        candidates[busy].in_flight = 1
        assert named(*[1] * count)[busy].name not in counted(balancer_of(candidates, numbers), pairs)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.floats(0, 1, exclude_max=True))
def test_never_picks_the_busiest(busy: list[int], number: float) -> None:
    candidates = named(*[1] * len(busy))
    for candidate, in_flight in zip(candidates, busy, strict=True):
        candidate.in_flight = in_flight
    pick = balancer_of(candidates, [number]).pick(b"", ())
    assert pick is not None
    assert busy.count(max(busy)) > 1 or pick.in_flight < max(busy)


def test_counts_by_weight() -> None:
    candidates = named(1, 4)
    candidates[1].in_flight = 2
    assert counted(balancer_of(candidates, [0.2, 0.8]), 2) == {"b": 2}
    candidates[1].in_flight = 4
    assert counted(balancer_of(candidates, [0.2, 0.8]), 2) == {"a": 2}


def test_spreads_requests_that_stay() -> None:
    candidates = named(*[1] * 10)
    balancer = RandomTwo[Named](Random(1).random)
    balancer.update(candidates)
    for _ in range(1000):
        pick = balancer.pick(b"", ())
        assert pick is not None
        pick.in_flight += 1
    assert max(candidate.in_flight for candidate in candidates) < 110


def test_two_are_drawn_from_those_not_excluded() -> None:
    candidates = named(1, 1, 1)
    balancer = balancer_of(candidates, [0.1, 0.9])
    picks = Counter(balancer.pick(b"", [candidates[1]]) for _ in range(2))
    assert picks == {candidates[0]: 1, candidates[2]: 1}
