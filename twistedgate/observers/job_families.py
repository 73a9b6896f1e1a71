"""What is shown of jobs: what processes have counted, and what the store says of those that are not finished.

Counts of a route are shown when it has jobs, or had some; what the store says only while it says it.  This
module does not know who asks the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from twistedgate.jobs.job import Counts
from twistedgate.observers.cells import (
    ENDED,
    ENDS,
    JOB_SECONDS,
    JOBS_CELLS,
    OTHER,
    PROCESS,
    RAN,
    RUN_AGAIN,
    SUBMITTED,
    TELLINGS,
    TOLD,
    WAITED,
    jobs_block,
    names,
)
from twistedgate.observers.exposition import Family, HistogramFamily, Labels

Total = Callable[[int, int], Sequence[int]]
"""Gives so many cells from a place on, each summed over everybody who counts."""

Samples = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class JobsReading:
    """What the store says of jobs that are not finished, at one moment."""

    is_up: bool
    """Whether it says anything."""
    now: float = 0.0
    """Seconds since 1970."""
    routes: Mapping[str, Counts] | None = None
    """Of the routes that have jobs; those of all others are ``other``."""


def job_families(
    starts: Mapping[str, int], total: Total, jobs: JobsReading | None
) -> Iterator[Family | HistogramFamily]:
    """Give all families of jobs; ``jobs`` is ``None`` where no route has any."""
    counted = list(_counted(starts, total))
    for at, name, meaning in _COUNTERS:
        yield Family(name, "counter", meaning, [(labels, cells[at]) for labels, cells in counted])
    yield Family(
        "twistedgate_jobs_finished",
        "counter",
        "Jobs that ended, by route and outcome: succeeded, cancelled, or the reason of those that failed. A "
        "job that is sent again by an operator ends again.",
        _ends(counted),
    )
    for at, name, meaning in _HISTOGRAMS:
        yield _histogram(name, meaning, at, counted)
    yield Family(
        "twistedgate_job_callbacks",
        "counter",
        "Tries to tell who asked for it of a job's end, by what became of them.",
        _told(total(starts[PROCESS] + TELLINGS, len(TOLD)), jobs is not None),
    )
    yield from _standing(jobs)


_COUNTERS = (
    (SUBMITTED, "twistedgate_jobs_submitted", "Calls that became jobs; replayed ones are not counted again."),
    (RUN_AGAIN, "twistedgate_job_retries", "Runs of jobs but the first of each."),
)

_HISTOGRAMS = (
    (WAITED, "twistedgate_job_wait_seconds", "From a job's submission to the beginning of its first run."),
    (RAN, "twistedgate_job_run_seconds", "From the beginning of a run to its end, whatever came of it."),
)

_GAUGES: tuple[tuple[str, str, str, Callable[[Counts, float], float]], ...] = (
    ("twistedgate_jobs_queued", "Jobs that wait to be run.", "", lambda counts, now: counts.queued),
    ("twistedgate_jobs_running", "Jobs whose call is under way.", "", lambda counts, now: counts.running),
    (
        "twistedgate_jobs_oldest_queued_age_seconds",
        "Seconds since the submission of the oldest job that waits; 0 if none does.",
        "seconds",
        lambda counts, now: 0.0 if counts.oldest is None else max(0.0, round(now - counts.oldest, 3)),
    ),
)


def _counted(starts: Mapping[str, int], total: Total) -> Iterator[tuple[Labels, Sequence[int]]]:
    for name in names(starts, "jobs"):
        cells = total(starts[jobs_block(name)], JOBS_CELLS)
        if name != OTHER or any(cells):
            yield (("route", name),), cells


def _ends(counted: Sequence[tuple[Labels, Sequence[int]]]) -> Samples:
    for labels, cells in counted:
        for outcome, count in zip(ENDS, cells[ENDED:WAITED], strict=True):
            if count:
                yield (*labels, ("outcome", outcome)), count


def _histogram(
    name: str, meaning: str, at: int, counted: Sequence[tuple[Labels, Sequence[int]]]
) -> HistogramFamily:
    rows = [(labels, cells[at : at + JOB_SECONDS.length]) for labels, cells in counted]
    samples = [(labels, row[:-1], JOB_SECONDS.measure(row[-1])) for labels, row in rows if any(row)]
    return HistogramFamily(name, meaning, JOB_SECONDS.upper_bounds(), samples, "seconds")


def _told(counts: Sequence[int], is_shown: bool) -> Samples:
    if is_shown or any(counts):
        for outcome, count in zip(TOLD, counts, strict=True):
            yield (("outcome", outcome),), count


def _standing(jobs: JobsReading | None) -> Iterator[Family]:
    routes = {} if jobs is None or jobs.routes is None else jobs.routes
    now = 0.0 if jobs is None else jobs.now
    for name, meaning, unit, measure in _GAUGES:
        samples = [((("route", route),), measure(counts, now)) for route, counts in routes.items()]
        yield Family(name, "gauge", meaning, samples, unit)
    yield Family(
        "twistedgate_jobs_store_up",
        "gauge",
        "1 while the store of jobs answers; while it does not, nobody knows what waits.",
        [] if jobs is None else [((), int(jobs.is_up))],
    )
