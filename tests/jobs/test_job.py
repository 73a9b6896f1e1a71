"""States follow one another as the table says, and ids are not to be guessed."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.job import FINAL, NEXT, Call, Delivery, Job, State, Terms, new_id

CALL = Call("GET", "/", "", "example.com", "http", (), "192.0.2.1", "public", "r-1", "")
TERMS = Terms(Delivery.AT_MOST_ONCE, ttl=60.0, queue_timeout=30.0, retries=1)


def test_what_is_final_is_followed_by_nothing() -> None:
    assert {state for state, following in NEXT.items() if not following} == FINAL
    assert NEXT.keys() == set(State)


def test_every_state_but_the_first_is_reached_from_another() -> None:
    assert set().union(*NEXT.values()) == set(State)


@given(st.lists(st.sampled_from(State), min_size=2, max_size=6))
def test_no_way_leads_back_from_the_end(states: list[State]) -> None:
    is_way = all(after in NEXT[before] for before, after in pairwise(states))
    assert not is_way or all(state not in FINAL for state in states[:-1])


def test_a_job_expires_its_ttl_after_its_end() -> None:
    queued = Job("id", "r", "", "", CALL, TERMS, State.QUEUED, 100.0)
    ended = Job("id", "r", "", "", CALL, TERMS, State.FAILED, 100.0, finished=110.0)
    assert (queued.is_final, queued.expires) == (False, None)
    assert (ended.is_final, ended.expires) == (True, 170.0)


def test_what_waits_for_its_time_does_not_wait_in_the_queue() -> None:
    queued = Job("id", "r", "", "", CALL, TERMS, State.QUEUED, 100.0)
    assert queued.queue_ends == 130.0
    assert replace(queued, due=150.0).queue_ends == 180.0


def test_a_call_forgets_credentials_however_they_are_spelled() -> None:
    fields = ((b"Accept", b"*/*"), (b"AUTHORIZATION", b"Bearer x"), (b"Cookie", b"a=b"), (b"cookie", b"c=d"))
    assert replace(CALL, headers=fields).without_secrets().headers == fields[:1]
    assert CALL.without_secrets() is CALL


@pytest.mark.parametrize(("finished", "held"), [(None, False), (110.0, True), (110.5, False)])
def test_who_was_held_was_answered_if_it_ended_by_then(finished: float | None, held: bool) -> None:
    terms = replace(TERMS, hold=10.0)
    job = Job("id", "r", "", "", CALL, terms, State.SUCCEEDED, 100.0, finished=finished)
    assert job.was_held == held
    assert not replace(job, terms=TERMS, finished=100.0).was_held


def test_ids_are_long_random_and_fit_into_a_path() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{26}", one) for one in ids)
