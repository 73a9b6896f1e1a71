"""Jobs among many: those that a list shows, and those that a purge forgets, a page of the store at a time.

Between two pages the reactor has its turn, so that clients are served meanwhile, however many jobs there are.
What is looked through for one answer is bounded; the answer's cursor goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from twistedgate.admin.job_query import Wanted
from twistedgate.errors import Refusal
from twistedgate.jobs.job import Job, Page
from twistedgate.jobs.store import JobStore

PAGE: Final = 100
"""Jobs that are asked for at once: some milliseconds."""

MOST_PAGES: Final = 100
"""Pages that are looked through for one answer; a list may be short then, and goes on by its cursor."""

BUDGET: Final = 5.0
"""Seconds of one answer to a purge, which is less than whoever asks waits for."""


class Search:
    """Looks through the jobs of a store as they stand ``now``."""

    def __init__(self, store: JobStore, now: float, reactor: Any) -> None:
        self._store = store
        self._now = now
        self._reactor = reactor

    async def select(self, wanted: Wanted) -> Page:
        """Return the jobs that are wanted, newest first; raises ``Refusal`` for a bad cursor."""
        if not wanted.route:
            return await self._look(wanted, wanted.limit, wanted.cursor)
        found: list[Job] = []
        cursor = wanted.cursor
        for number in range(MOST_PAGES):
            if number:
                await self._pause()
            page = await self._look_for_route(wanted, wanted.limit - len(found), cursor)
            found += [job for job in page.jobs if job.route == wanted.route]
            cursor = page.cursor
            if not cursor or len(found) >= wanted.limit:
                break
        return Page(tuple(found), cursor)

    async def _look_for_route(self, wanted: Wanted, left: int, cursor: str) -> Page:
        """Return a page with no more jobs of the route than are ``left`` to be found."""
        limit = PAGE
        while True:
            page = await self._look(wanted, limit, cursor)
            places = [place for place, job in enumerate(page.jobs) if job.route == wanted.route]
            if len(places) <= left:
                return page
            # once more, up to the last one: only a store's own cursor says where that is
            limit = places[left - 1] + 1

    async def _look(self, wanted: Wanted, limit: int, cursor: str) -> Page:
        try:
            return await self._store.list_jobs(wanted.owner, wanted.state, limit, cursor, self._now)
        except ValueError:
            wrong = "the cursor is not one that a list has given; without one a list begins anew"
            raise Refusal(400, "bad-query", wrong) from None

    async def purge(self, wanted: Wanted, purged: Purged, is_unwanted: Callable[[], bool]) -> None:
        """Forget what is wanted until the time of one answer is over, or nobody waits for it any more."""
        until = self._reactor.seconds() + BUDGET
        purged.cursor = wanted.cursor
        while True:
            # of every state: a store that looks for a rare one may look through everything at once
            page = await self._look(Wanted(), PAGE, purged.cursor)
            await self._forget([job.id for job in page.jobs if wanted.may_forget(job)], purged)
            purged.cursor = page.cursor
            if not page.cursor or is_unwanted() or self._reactor.seconds() >= until:
                return
            await self._pause()

    async def _forget(self, jobs: list[str], purged: Purged) -> None:
        # together: a store that keeps them on a disk writes them there at once
        failures: list[Failure] = []
        forgetting = [Deferred.fromCoroutine(self._forget_one(job, purged)) for job in jobs]
        await DeferredList([one.addErrback(failures.append) for one in forgetting])
        if failures:
            failures[0].raiseException()

    async def _forget_one(self, job: str, purged: Purged) -> None:
        after = await self._store.forget(job, self._now)
        if after is not None and after.is_forgotten:
            purged.count += 1

    def _pause(self) -> Deferred[None]:
        return deferLater(self._reactor, 0)


@dataclass(slots=True)
class Purged:
    """What a purge has done so far."""

    count: int = 0
    cursor: str = ""
    """Where it goes on; empty at its end."""
