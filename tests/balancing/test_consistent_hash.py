"""The same key goes to the same candidate, and a loss moves only what was lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.candidates import Named, named
from twistedgate.balancing.consistent_hash import SLOTS, ConsistentHash, slot_of

KEYS = [b"10.0.%d.%d" % (number >> 8, number & 255) for number in range(2000)]


def owners(candidates: list[Named], excluded: list[Named] | None = None) -> list[str]:
    balancer: ConsistentHash[Named] = ConsistentHash()
    balancer.update(candidates)
    return picks(balancer, excluded or [])


def picks(balancer: ConsistentHash[Named], excluded: list[Named]) -> list[str]:
    found = [balancer.pick(key, excluded) for key in KEYS]
    return ["" if pick is None else pick.name for pick in found]


some = st.lists(
    st.builds(Named, st.sampled_from("abcdef"), st.sampled_from((0.1, 0.5, 1, 2, 10))),
    min_size=2,
    max_size=5,
    unique_by=lambda candidate: candidate.name,
)


@given(some)
@settings(max_examples=25)
def test_the_order_of_candidates_does_not_count(candidates: list[Named]) -> None:
    assert owners(candidates) == owners(candidates[::-1])


@given(some, st.integers(0, 4))
@settings(max_examples=25)
def test_a_loss_moves_only_its_own_share(candidates: list[Named], which: int) -> None:
    lost = candidates[which % len(candidates)]
    left = [candidate for candidate in candidates if candidate is not lost]
    for before, after in zip(owners(candidates), owners(left), strict=True):
        assert before in (after, lost.name)


@given(some, st.integers(0, 4))
@settings(max_examples=25)
def test_who_is_excluded_is_replaced_as_if_lost(candidates: list[Named], which: int) -> None:
    lost = candidates[which % len(candidates)]
    left = [candidate for candidate in candidates if candidate is not lost]
    assert owners(candidates, [lost]) == owners(left)


@given(some, st.integers(0, 4), st.sampled_from((1.5, 3.0)))
@settings(max_examples=25)
def test_a_weight_that_grows_only_gains(candidates: list[Named], which: int, growth: float) -> None:
    place = which % len(candidates)
    grown = [replace(candidate) for candidate in candidates]
    grown[place].weight *= growth
    for before, after in zip(owners(candidates), owners(grown), strict=True):
        assert after in (before, grown[place].name)


@given(st.lists(some, min_size=2, max_size=4))
@settings(max_examples=25)
def test_what_was_before_does_not_count(rounds: list[list[Named]]) -> None:
    balancer: ConsistentHash[Named] = ConsistentHash()
    for candidates in rounds:
        balancer.update(candidates)
    assert picks(balancer, []) == owners(rounds[-1])


def test_a_weight_that_changes_in_place_is_seen_at_the_next_update() -> None:
    candidates = named(1, 1, 1)
    balancer: ConsistentHash[Named] = ConsistentHash()
    balancer.update(candidates)
    candidates[1].weight = 0.1
    balancer.update(candidates)
    assert picks(balancer, []) == owners(named(1, 0.1, 1))
    candidates[1].weight = 1
    balancer.update(candidates)
    assert picks(balancer, []) == owners(named(1, 1, 1))


def test_a_candidate_made_anew_under_its_name_is_the_one_picked() -> None:
    balancer: ConsistentHash[Named] = ConsistentHash()
    balancer.update(named(1, 1))
    anew = named(1, 1)
    balancer.update(anew)
    assert {balancer.pick(key, ()) for key in KEYS} == set(anew)


def test_shares_follow_the_weights() -> None:
    shares = Counter(owners(named(2, 1, 1)))
    for name, share in (("a", 0.5), ("b", 0.25), ("c", 0.25)):
        assert abs(shares[name] / len(KEYS) - share) < 0.03


def test_owners_are_the_same_in_every_process_and_release() -> None:
    candidates = [Named(f"10.0.0.{number}:8080") for number in (1, 2, 3)]
    balancer: ConsistentHash[Named] = ConsistentHash()
    balancer.update(candidates)
    found = [balancer.pick(key, ()) for key in (b"", b"a", b"192.0.2.7", b"/orders", b"\xff")]
    assert [candidates.index(pick) for pick in found if pick is not None] == [2, 2, 1, 2, 0]


def test_keys_that_differ_in_one_digit_are_spread() -> None:
    slots = Counter(slot_of(b"10.0.%d.%d" % (number >> 8, number & 255)) for number in range(1 << 16))
    assert len(slots) > SLOTS * 0.99
    assert max(slots.values()) < 4 * (1 << 16) / SLOTS
