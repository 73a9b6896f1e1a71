"""What every balancer keeps, and how one is made."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balancing.candidates import Named, named, picked
from twistedgate.balancing.balancer import Balancer, make_balancer
from twistedgate.balancing.consistent_hash import ConsistentHash
from twistedgate.balancing.least_connections import LeastConnections
from twistedgate.balancing.random_two import RandomTwo
from twistedgate.balancing.round_robin import RoundRobin

NAMES = ("round-robin", "least-connections", "random-two", "consistent-hash")


def made(name: str) -> Balancer[Named]:
    return make_balancer(name, Random(7).random)


def test_makes_the_balancer_of_a_name() -> None:
    kinds = (RoundRobin, LeastConnections, RandomTwo, ConsistentHash)
    for name, kind in zip(NAMES, kinds, strict=True):
        assert isinstance(made(name), kind)
    with pytest.raises(ValueError, match="no balancer 'fastest'"):
        made("fastest")


@pytest.mark.parametrize("name", NAMES)
def test_picks_nobody_from_nobody(name: str) -> None:
    balancer = made(name)
    assert picked(balancer, 2) == ".."
    balancer.update(named(1, 2))
    balancer.update([])
    assert picked(balancer, 2) == ".."


@pytest.mark.parametrize("name", NAMES)
def test_picks_the_only_one(name: str) -> None:
    balancer = made(name)
    balancer.update(named(3))
    assert picked(balancer, 3) == "aaa"


candidates = st.lists(
    st.builds(Named, st.sampled_from("abcdefgh"), st.sampled_from((1, 1, 2, 0.1, 5)), st.integers(0, 3)),
    max_size=5,
    unique_by=lambda candidate: candidate.name,
)


@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(candidates, st.sets(st.sampled_from("abcdefgh"), max_size=4)), min_size=1, max_size=3),
    st.lists(st.binary(max_size=3), min_size=1, max_size=6),
)
def test_picks_somebody_who_is_there_and_not_excluded_if_there_is_one(
    name: str, rounds: list[tuple[list[Named], set[str]]], keys: list[bytes]
) -> None:
    balancer = made(name)
    for there, names in rounds:
        balancer.update(there)
        for key in keys:
            excluded = [candidate for candidate in there if candidate.name in names]
            pick = balancer.pick(key, excluded)
            if len(excluded) == len(there):
                assert pick is None
            else:
                assert pick in there
                assert pick not in excluded
            assert (balancer.pick(key, ()) is None) == (not there)
