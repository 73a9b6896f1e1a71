"""The one with the least under way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.balancing.candidates import Named, counted, named, picked
from twistedgate.balancing.least_connections import LeastConnections


def balancer_of(candidates: list[Named]) -> LeastConnections[Named]:
    balancer: LeastConnections[Named] = LeastConnections()
    balancer.update(candidates)
    return balancer


def test_picks_the_least_busy() -> None:
    candidates = named(1, 1, 1)
    candidates[0].in_flight = 2
    candidates[1].in_flight = 1
    candidates[2].in_flight = 3
    balancer = balancer_of(candidates)
    assert picked(balancer, 2) == "bb"
    assert picked(balancer, 2, [candidates[1]]) == "aa"


def test_counts_one_request_more_for_its_weight() -> None:
    candidates = named(2, 1)
    candidates[0].in_flight = 2
    balancer = balancer_of(candidates)
    assert picked(balancer, 1) == "b"  # 3/2 against 1/1
    candidates[1].in_flight = 1
    assert picked(balancer, 1) == "a"  # 3/2 against 2/1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_equals_take_turns(busy: list[int]) -> None:
    candidates = named(*[1] * len(busy))
    for candidate, in_flight in zip(candidates, busy, strict=True):
        candidate.in_flight = in_flight
    least = {candidate.name for candidate in candidates if candidate.in_flight == min(busy)}
    assert counted(balancer_of(candidates), 4 * len(least)) == dict.fromkeys(least, 4)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 60))
def test_requests_that_stay_are_spread_by_weight(weights: list[int], requests: int) -> None:
    candidates = named(*weights)
    balancer = balancer_of(candidates)
    for _ in range(requests):
        pick = balancer.pick(b"", ())
        assert pick is not None
        pick.in_flight += 1
    for candidate in candidates:
        assert abs(candidate.in_flight - requests * candidate.weight / sum(weights)) <= len(weights)


def test_an_update_to_fewer_goes_on() -> None:
    balancer = balancer_of(named(1, 1, 1))
    assert picked(balancer, 2) == "ab"
    balancer.update(named(1))
    assert picked(balancer, 2) == "aa"
    balancer.update(named(1, 1))
    assert picked(balancer, 2) == "ab"
