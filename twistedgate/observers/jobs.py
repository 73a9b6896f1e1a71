"""Counts what becomes of jobs, into cells that somebody else adds up and shows.

A route whose jobs have no block (it went with a reload, and its jobs are ended after it) is that of
``other``.  This module does not know what the counts are called outside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, MutableSequence

from twistedgate.jobs.redelivery import Outcome
from twistedgate.observers.cells import (
    ENDED,
    ENDS,
    JOB_SECONDS,
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

_END_AT = {outcome: ENDED + place for place, outcome in enumerate(ENDS)}
_TOLD_AT = {outcome: TELLINGS + place for place, outcome in enumerate(TOLD)}


class JobMetrics:
    """The counts of one process: a ``JobsObserver``."""

    __slots__ = ("_cells", "_other", "_process", "_routes", "_starts")

    def __init__(self, cells: MutableSequence[int], starts: Mapping[str, int]) -> None:
        """``starts`` tells where each block is, and may change; see ``Metrics``."""
        self._cells = cells
        self._starts = starts
        self.arrange()

    def arrange(self) -> None:
        """Count into the blocks that there are now."""
        starts = self._starts
        self._process = starts[PROCESS]
        self._other = starts[jobs_block(OTHER)]
        self._routes = {name: starts[jobs_block(name)] for name in names(starts, "jobs")}

    def submitted(self, route: str) -> None:
        """Count a job."""
        self._cells[self._start(route) + SUBMITTED] += 1

    def began(self, route: str, waited: float | None) -> None:
        """Count how long a job waited for its first run, or one more run."""
        if waited is None:
            self._cells[self._start(route) + RUN_AGAIN] += 1
        else:
            self._count_seconds(self._start(route) + WAITED, waited)

    def ran(self, route: str, seconds: float) -> None:
        """Count how long a run took."""
        self._count_seconds(self._start(route) + RAN, seconds)

    def finished(self, route: str, outcome: str) -> None:
        """Count an end."""
        self._cells[self._start(route) + _END_AT.get(outcome, _END_AT[OTHER])] += 1

    def told(self, outcome: Outcome) -> None:
        """Count a try to tell an end."""
        self._cells[self._process + _TOLD_AT[outcome]] += 1

    def _start(self, route: str) -> int:
        return self._routes.get(route, self._other)

    def _count_seconds(self, at: int, seconds: float) -> None:
        # the clock of the day may be set back meanwhile
        spent = max(0, int(seconds * 1e6))
        self._cells[at + bisect_left(JOB_SECONDS.bounds, spent)] += 1
        self._cells[at + JOB_SECONDS.buckets] += spent
