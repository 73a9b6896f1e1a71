from __future__ import annotations

import pytest

from tests.observers.counted import Counted
from twistedgate.jobs.observer import OUTCOMES
from twistedgate.jobs.redelivery import Outcome


@pytest.fixture
def counted() -> Counted:
    """Return counts of one route that has jobs."""
    made = Counted()
    made.configure(jobs=("reports",))
    return made


def test_jobs_are_counted_as_they_come_and_end(counted: Counted) -> None:
    jobs = counted.metrics.jobs
    for _ in range(3):
        jobs.submitted("reports")
    for outcome in OUTCOMES:
        jobs.finished("reports", outcome)
    jobs.finished("reports", "timeout")
    assert counted.values("twistedgate_jobs_submitted") == {("reports",): 3}
    ends = counted.values("twistedgate_jobs_finished")
    assert ends == {("reports", outcome): 1 + (outcome == "timeout") for outcome in OUTCOMES}


def test_an_end_of_another_word_is_other(counted: Counted) -> None:
    counted.metrics.jobs.finished("reports", "eaten-by-a-dog")
    assert counted.values("twistedgate_jobs_finished") == {("reports", "other"): 1}


def test_a_job_waits_once_however_often_it_is_run(counted: Counted) -> None:
    jobs = counted.metrics.jobs
    jobs.began("reports", 0.04)
    jobs.began("reports", None)
    jobs.began("reports", None)
    assert counted.histogram("twistedgate_job_wait_seconds", "reports") == ([(0.05, 1)], 0.04)
    assert counted.values("twistedgate_job_retries") == {("reports",): 2}


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.0, 0.01), (0.01, 0.01), (0.011, 0.05), (3600.0, 3600.0), (3601, float("inf"))]
)
def test_every_run_is_in_the_bucket_of_its_time(counted: Counted, seconds: float, bound: float) -> None:
    counted.metrics.jobs.ran("reports", seconds)
    assert counted.histogram("twistedgate_job_run_seconds", "reports") == ([(bound, 1)], seconds)


def test_a_clock_that_was_set_back_takes_nothing_away(counted: Counted) -> None:
    counted.metrics.jobs.began("reports", -5.0)
    assert counted.histogram("twistedgate_job_wait_seconds", "reports") == ([(0.01, 1)], 0.0)


def test_callbacks_are_counted_by_what_became_of_them(counted: Counted) -> None:
    for outcome in (*Outcome, Outcome.RETRIED):
        counted.metrics.jobs.told(outcome)
    assert counted.values("twistedgate_job_callbacks") == {
        (outcome.value,): 1 + (outcome is Outcome.RETRIED) for outcome in Outcome
    }


def test_jobs_of_a_route_that_went_are_those_of_others(counted: Counted) -> None:
    counted.metrics.jobs.submitted("reports")
    counted.configure(jobs=("exports",))
    counted.metrics.jobs.finished("reports", "route-gone")
    assert counted.values("twistedgate_jobs_submitted") == {("exports",): 0, ("other",): 0}
    assert counted.values("twistedgate_jobs_finished") == {("other", "route-gone"): 1}
