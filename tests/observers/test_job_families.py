from __future__ import annotations

import pytest

from tests.observers.counted import Counted, Values
from twistedgate.jobs.job import Counts
from twistedgate.observers.exposition import Family, Format, render
from twistedgate.observers.families import families
from twistedgate.observers.job_families import JobsReading

AWAY = JobsReading(is_up=False)
BUSY = JobsReading(
    True, 1000.0, {"reports": Counts(3, 2, 940.5), "exports": Counts(), "ahead": Counts(1, 0, 1002.0)}
)
GAUGES = ("twistedgate_jobs_queued", "twistedgate_jobs_running", "twistedgate_jobs_oldest_queued_age_seconds")


def told(jobs: JobsReading | None, name: str) -> Values:
    """Return the samples of a family where the store says this."""
    counted = Counted()
    counted.configure(jobs=("reports",))
    for family in families(counted.reading(jobs=jobs)):
        if isinstance(family, Family) and family.name == name:
            return {tuple(value for _, value in labels): count for labels, count in family.samples}
    raise LookupError(name)


def test_what_is_not_finished_is_what_the_store_says() -> None:
    queued, running, age = (told(BUSY, name) for name in GAUGES)
    assert queued == {("reports",): 3, ("exports",): 0, ("ahead",): 1}
    assert running == {("reports",): 2, ("exports",): 0, ("ahead",): 0}
    assert age == {("reports",): 59.5, ("exports",): 0.0, ("ahead",): 0.0}
    assert told(BUSY, "twistedgate_jobs_store_up") == {(): 1}


@pytest.mark.parametrize("name", GAUGES)
def test_while_it_is_away_nothing_is_said_of_them(name: str) -> None:
    assert told(AWAY, name) == {}
    assert told(AWAY, "twistedgate_jobs_store_up") == {(): 0}


def test_what_was_counted_is_shown_all_the_same() -> None:
    assert told(AWAY, "twistedgate_jobs_submitted") == {("reports",): 0}
    assert set(told(AWAY, "twistedgate_job_callbacks").values()) == {0}


@pytest.mark.parametrize("form", Format)
def test_a_gateway_without_jobs_shows_nothing_of_them(form: Format) -> None:
    counted = Counted()
    counted.configure("orders")
    assert "_job" not in "".join(render(families(counted.reading()), form))
