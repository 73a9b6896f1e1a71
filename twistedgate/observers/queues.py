"""Asks the store how many jobs wait and run, for whoever is shown it: once a second at most.

A store that is away, or does not answer in time, says nothing, and that is what is told.  Jobs of routes that
are not among those named are put together as ``other``: others share the store, and no label comes from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.jobs.job import Counts
from twistedgate.jobs.store import JobStore, StoreAway
from twistedgate.observers.cells import OTHER
from twistedgate.observers.job_families import JobsReading

FRESH = 1.0
"""Seconds that an answer is good for: several who look at the same time ask once."""

PATIENCE = 2.0
"""Seconds that the store has to answer; a scrape is given up after ten by default."""

_AWAY = JobsReading(is_up=False)

_log = Logger()


class Queues:
    """What the store said last."""

    def __init__(self, clock: IReactorTime, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since 1970."""
        self._clock = clock
        self._wall = wall
        self._last: JobsReading | None = None
        self._asked = 0.0
        self._waiting: list[Deferred[JobsReading]] = []

    def look(self, store: JobStore, routes: Collection[str]) -> Deferred[JobsReading]:
        """Return what is not finished of these routes."""
        if self._last is not None and self._clock.seconds() < self._asked + FRESH:
            looked = succeed(self._last)
        else:
            looked = Deferred()
            self._waiting.append(looked)
            if len(self._waiting) == 1:
                self._ask(store)
        return looked.addCallback(_of_routes, routes)

    def _ask(self, store: JobStore) -> None:
        self._asked = self._clock.seconds()
        asking = Deferred.fromCoroutine(store.counts(self._wall()))
        asking.addTimeout(PATIENCE, self._clock)
        told = asking.addCallbacks(self._counted, _lacked)
        told.addErrback(_failed).addCallback(self._answer)

    def _counted(self, counts: Mapping[str, Counts]) -> JobsReading:
        return JobsReading(True, self._wall(), counts)

    def _answer(self, reading: JobsReading) -> None:
        self._last = reading
        waiting, self._waiting = self._waiting, []
        for looked in waiting:
            looked.callback(reading)


def _lacked(failure: Failure) -> JobsReading:
    failure.trap(StoreAway, GivenUp)
    return _AWAY


def _failed(failure: Failure) -> JobsReading:
    _log.failure("the store of jobs cannot count them", failure)
    return _AWAY


def _of_routes(reading: JobsReading, routes: Collection[str]) -> JobsReading:
    """Return what is known of ``routes``, nothing of those that have nothing to do being 0, and of others."""
    if reading.routes is None:
        return reading
    known = {route: reading.routes.get(route, Counts()) for route in routes}
    others = [counts for route, counts in reading.routes.items() if route not in known]
    if others and OTHER in known:
        # a route may be called so
        others.append(known[OTHER])
    if others:
        oldest = min((counts.oldest for counts in others if counts.oldest is not None), default=None)
        queued, running = sum(one.queued for one in others), sum(one.running for one in others)
        known[OTHER] = Counts(queued, running, oldest)
    return replace(reading, routes=known)
