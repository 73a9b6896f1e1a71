"""After a run: the whole table of JOBS' rules, and a backoff that is bounded and spread."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_job import CALL, TERMS
from twistedgate.errors import TITLES
from twistedgate.jobs.job import Delivery, Job, State
from twistedgate.jobs.schedule import (
    LONGEST_BACKOFF,
    REASONS,
    UNAVAILABLE,
    Fail,
    Outcome,
    RunAgain,
    Succeed,
    delay_after,
    follow,
    may_run_again,
    reason_of,
)

UNSAFE = ("POST", "PATCH")
IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


def _job(method: str, delivery: Delivery = Delivery.AT_MOST_ONCE, attempts: int = 1, retries: int = 3) -> Job:
    terms = replace(TERMS, delivery=delivery, retries=retries)
    call = replace(CALL, method=method)
    return Job("id", "r", "", "", call, terms, State.RUNNING, 100.0, attempts=attempts)


def _half() -> float:
    return 0.5


@pytest.mark.parametrize("reason", ["connect-failed", "connect-timeout", "no-target", "too-many"])
@pytest.mark.parametrize("method", [*UNSAFE, *IDEMPOTENT])
def test_what_the_upstream_never_saw_is_run_again(reason: str, method: str) -> None:
    assert isinstance(follow(Outcome(reason=reason), _job(method), 1.0, _half), RunAgain)


@pytest.mark.parametrize("outcome", [Outcome(reason="timeout"), Outcome(reason="reset"), Outcome(status=503)])
@pytest.mark.parametrize(
    ("method", "delivery", "is_run_again"),
    [
        ("POST", Delivery.AT_MOST_ONCE, False),
        ("PATCH", Delivery.AT_MOST_ONCE, False),
        ("POST", Delivery.AT_LEAST_ONCE, True),
        ("GET", Delivery.AT_MOST_ONCE, True),
        ("PUT", Delivery.AT_MOST_ONCE, True),
        ("DELETE", Delivery.AT_LEAST_ONCE, True),
    ],
)
def test_what_it_may_have_seen_is_run_again_only_where_that_is_harmless(
    outcome: Outcome, method: str, delivery: Delivery, is_run_again: bool
) -> None:
    assert may_run_again(outcome, _job(method, delivery)) is is_run_again


@pytest.mark.parametrize("reason", ["bad-response", "result-too-large", "interrupted", "internal", "loop"])
def test_what_would_be_the_same_again_is_not_tried(reason: str) -> None:
    following = follow(Outcome(reason=reason), _job("GET", Delivery.AT_LEAST_ONCE), 1.0, _half)
    assert following == Fail(reason_of(reason))


@given(st.integers(100, 599), st.sampled_from([*UNSAFE, *IDEMPOTENT]), st.sampled_from(Delivery))
def test_whatever_the_upstream_answers_in_the_end_is_the_answer(
    status: int, method: str, delivery: Delivery
) -> None:
    job = _job(method, delivery, attempts=4, retries=3)
    assert follow(Outcome(status=status), job, 1.0, _half) == Succeed()
    if status not in UNAVAILABLE:
        assert follow(Outcome(status=status), _job(method, delivery), 1.0, _half) == Succeed()


@pytest.mark.parametrize(("retries", "runs"), [(0, 1), (1, 2), (3, 4)])
def test_a_job_is_run_once_and_as_often_again_as_it_may_be(retries: int, runs: int) -> None:
    attempts = 1
    while isinstance(
        follow(Outcome(reason="no-target"), _job("GET", attempts=attempts, retries=retries), 1, _half),
        RunAgain,
    ):
        attempts += 1
    assert attempts == runs
    last = _job("GET", attempts=attempts, retries=retries)
    assert follow(Outcome(reason="no-target"), last, 1.0, _half) == Fail("no-target")


@given(st.sampled_from(sorted({*TITLES, *REASONS})))
def test_a_failed_job_says_one_of_the_reasons_that_are_promised(reason: str) -> None:
    assert reason_of(reason) in REASONS
    assert reason_of(reason_of(reason)) == reason_of(reason)


def test_the_reasons_are_those_that_are_promised() -> None:
    promised = (
        "connect-failed no-target too-many timeout reset bad-response result-too-large interrupted "
        "expired-in-queue route-gone"
    )
    assert set(promised.split()) == REASONS
    assert reason_of("response-timeout") == reason_of("read-timeout") == "timeout"
    assert (reason_of("truncated"), reason_of("connect-timeout")) == ("reset", "connect-failed")


@given(st.integers(1, 10_000), st.floats(0.001, 1000.0), st.floats(0.0, 1.0, exclude_max=True))
def test_the_backoff_stays_below_its_bound(attempts: int, backoff: float, chance: float) -> None:
    delay = delay_after(attempts, backoff, lambda: chance)
    assert 0.0 <= delay <= LONGEST_BACKOFF
    if attempts < 10:
        assert delay <= backoff * 2 ** (attempts - 1)


def test_the_bound_doubles_and_the_jitter_is_full() -> None:
    assert [delay_after(attempts, 1.0, lambda: 1.0) for attempts in range(1, 6)] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert delay_after(3, 1.0, lambda: 0.0) == 0.0
    assert delay_after(3, 1.0, _half) == 2.0
    assert delay_after(20, 1.0, lambda: 1.0) == LONGEST_BACKOFF
    assert follow(Outcome(reason="no-target"), _job("GET", attempts=3), 2.0, _half) == RunAgain(4.0)
