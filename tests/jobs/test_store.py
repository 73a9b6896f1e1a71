"""The port of a store: bodies have two kinds, and what goes wrong there has a name."""

from __future__ import annotations

from twistedgate.jobs.store import REQUEST, RESULT, StoreAway, StoreFull


def test_the_two_bodies_of_a_job_are_told_apart() -> None:
    assert REQUEST != RESULT


def test_a_store_that_is_away_is_not_one_that_is_full() -> None:
    assert not issubclass(StoreAway, StoreFull)
    assert not issubclass(StoreFull, StoreAway)
