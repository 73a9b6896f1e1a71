"""A job is its owner's; for everybody else there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_job import CALL, TERMS
from twistedgate.jobs.identity import caller_text, owner_text, visible
from twistedgate.jobs.job import Job, State

POLICIES = st.sampled_from(["key-auth:a", "key-auth:ab", "jwt:a"])
SUBJECTS = st.text("ab/:é", min_size=1, max_size=4)
JOB = Job("id", "r", "key-auth:a/alice", "", CALL, TERMS, State.QUEUED, 100.0)


@given(POLICIES, SUBJECTS, POLICIES, SUBJECTS)
def test_no_two_owners_are_written_alike(policy: str, subject: str, other: str, others: str) -> None:
    is_same = (policy, subject) == (other, others)
    assert (owner_text(policy, subject) == owner_text(other, others)) == is_same


def test_nobody_owns_nothing() -> None:
    assert owner_text("key-auth:a", "") == ""
    with pytest.raises(ValueError, match="slash"):
        owner_text("key-auth:a/b", "c")


@given(POLICIES, SUBJECTS, st.text("r/", max_size=3), st.text("1.:", max_size=3))
def test_an_owners_share_is_not_an_address(policy: str, subject: str, route: str, client: str) -> None:
    owner = owner_text(policy, subject)
    assert caller_text(owner, route, client) == owner
    assert caller_text("", route, client) != owner


def test_a_share_without_an_owner_is_of_one_route() -> None:
    assert caller_text("", "a", "192.0.2.1") != caller_text("", "b", "192.0.2.1")
    assert caller_text("", "a", "192.0.2.1") != caller_text("", "a", "192.0.2.2")


@pytest.mark.parametrize(
    "owner", ["", "key-auth:a/bob", "key-auth:a/alice2", "key-auth:a/alic", "jwt:a/alice"]
)
def test_a_job_is_shown_to_its_owner_only(owner: str) -> None:
    assert visible(JOB, "key-auth:a/alice") is JOB
    assert visible(JOB, owner) is None
    assert visible(None, owner) is None
    assert visible(None, "key-auth:a/alice") is None


def test_names_of_any_script_are_compared() -> None:
    job = replace(JOB, owner="key-auth:a/Zoë")
    assert visible(job, "key-auth:a/Zoë") is job
    assert visible(job, "key-auth:a/Zoe") is None


@pytest.mark.parametrize("owner", ["", "key-auth:a/bob"])
def test_a_job_of_nobody_is_shown_to_whoever_knows_its_id(owner: str) -> None:
    job = replace(JOB, owner="")
    assert visible(job, owner) is job
