from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.admin.keeping import AwayStore, Jobs, SlowStore
from twistedgate.admin.job_query import Wanted
from twistedgate.admin.job_search import BUDGET, MOST_PAGES, PAGE, Purged, Search
from twistedgate.errors import Refusal
from twistedgate.jobs.job import Page, State
from twistedgate.jobs.store import StoreAway


class Counting(Clock):
    """A clock that counts what is put off."""

    turns = 0

    def callLater(self, *put_off: Any, **named: Any) -> Any:
        self.turns += 1
        return super().callLater(*put_off, **named)


class Turns:
    """What is asked for, and the turns of the reactor that it takes."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.clock = Counting()
        self.search = Search(jobs.store, jobs.moment, self.clock)

    def finish(self, work: Any) -> Any:
        """Let the reactor turn until the work is done."""
        outcomes: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcomes.append)
        while not outcomes:
            assert self.clock.getDelayedCalls()
            self.clock.advance(0)
        if hasattr(outcomes[0], "raiseException"):
            outcomes[0].raiseException()
        return outcomes[0]

    def select(self, wanted: Wanted) -> Page:
        """Return a page."""
        page: Page = self.finish(self.search.select(wanted))
        return page

    def purge(self, wanted: Wanted) -> Purged:
        """Purge, and return what was done."""
        purged = Purged()
        self.finish(self.search.purge(wanted, purged, lambda: False))
        return purged


def ids(page: Page) -> list[str]:
    return [job.id for job in page.jobs]


def test_a_list_is_the_newest_first_and_goes_on_by_its_cursor() -> None:
    jobs = Jobs()
    made = [jobs.queued() for _ in range(5)][::-1]
    turns = Turns(jobs)
    first = turns.select(Wanted(limit=3))
    rest = turns.select(Wanted(limit=3, cursor=first.cursor))
    assert (ids(first), ids(rest), rest.cursor) == (made[:3], made[3:], "")


def test_a_state_and_an_owner_are_the_stores_own_filters() -> None:
    jobs = Jobs()
    failed, _ = jobs.failed(), jobs.queued()
    of_bob = jobs.failed(caller="key-auth:staff/bob")
    turns = Turns(jobs)
    assert ids(turns.select(Wanted(state=State.FAILED))) == [of_bob, failed]
    assert ids(turns.select(Wanted(owner="key-auth:staff/bob"))) == [of_bob]


def test_a_cursor_that_was_never_given_is_refused() -> None:
    turns = Turns(Jobs())
    for wanted in (Wanted(cursor="x"), Wanted(cursor="x", route="r")):
        with pytest.raises(Refusal, match="cursor"):
            turns.select(wanted)


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=3 * PAGE),
    st.integers(min_value=1, max_value=PAGE),
)
def test_the_pages_of_a_route_are_all_its_jobs_in_order(routes: list[str], limit: int) -> None:
    jobs = Jobs()
    made = [(route, jobs.queued(route=route)) for route in routes]
    turns = Turns(jobs)
    for wanted in ("a", "b"):
        found: list[str] = []
        cursor, is_more = "", True
        while is_more:
            page = turns.select(Wanted(route=wanted, limit=limit, cursor=cursor))
            assert len(page.jobs) <= limit
            found += ids(page)
            cursor, is_more = page.cursor, bool(page.cursor)
        assert found == [job for route, job in reversed(made) if route == wanted]


def test_the_reactor_has_a_turn_between_two_pages() -> None:
    jobs = Jobs()
    last = jobs.queued(route="rare")
    for _ in range(2 * PAGE):
        jobs.queued()
    turns = Turns(jobs)
    assert ids(turns.select(Wanted(route="rare"))) == [last]
    assert turns.clock.turns == 2


class Endless(AwayStore):
    """A store with more jobs than can be looked through."""

    async def list_jobs(self, *_: Any, **__: Any) -> Page:
        return Page((), "7")


def test_what_is_looked_through_for_one_answer_is_bounded() -> None:
    turns = Turns(Jobs(Endless()))
    assert turns.select(Wanted(route="rare")) == Page((), "7")
    assert turns.clock.turns == MOST_PAGES - 1


# a purge


def test_a_purge_forgets_what_is_wanted_and_nothing_else() -> None:
    jobs = Jobs()
    failed, succeeded, cancelled = jobs.failed(), jobs.succeeded(), jobs.cancelled()
    others = [jobs.running(), jobs.queued(), jobs.failed(route="other")]
    turns = Turns(jobs)
    assert turns.purge(Wanted(State.FAILED, "reports")).count == 1
    assert jobs.find(failed).is_forgotten
    assert not any(jobs.find(job).is_forgotten for job in [succeeded, cancelled, *others])
    assert turns.purge(Wanted(route="reports")) == Purged(2)
    assert not any(jobs.find(job).is_forgotten for job in others)
    assert turns.purge(Wanted()) == Purged(1)
    assert turns.purge(Wanted()) == Purged(0)


def test_what_is_younger_stays() -> None:
    jobs = Jobs()
    jobs.moment -= 50.0
    old = jobs.failed()
    jobs.moment += 50.0
    young = jobs.failed()
    assert Turns(jobs).purge(Wanted(ended_before=jobs.moment - 49.0)).count == 1
    assert [jobs.find(job).is_forgotten for job in (old, young)] == [True, False]


def test_a_purge_of_many_gives_the_reactor_its_turns() -> None:
    jobs = Jobs()
    made = [jobs.failed() for _ in range(3 * PAGE)]
    turns = Turns(jobs)
    assert turns.purge(Wanted()).count == 3 * PAGE
    assert turns.clock.turns == 2
    assert all(jobs.find(job).is_forgotten for job in made)


def test_after_a_while_a_purge_says_where_it_goes_on() -> None:
    jobs = Jobs()
    for _ in range(3 * PAGE):
        jobs.failed()
    turns = Turns(jobs)
    purged = Purged()

    def take_long() -> bool:
        turns.clock.advance(BUDGET)
        return False

    turns.finish(turns.search.purge(Wanted(), purged, take_long))
    assert purged.count == PAGE
    assert purged.cursor
    rest = turns.purge(Wanted(cursor=purged.cursor))
    assert (rest.count, rest.cursor) == (2 * PAGE, "")


def test_nobody_purges_on_for_who_has_left() -> None:
    jobs = Jobs()
    for _ in range(2 * PAGE):
        jobs.failed()
    purged = Purged()
    turns = Turns(jobs)
    turns.finish(turns.search.purge(Wanted(), purged, lambda: True))
    assert purged.count == PAGE


def test_jobs_of_a_page_are_forgotten_together() -> None:
    store = SlowStore()
    jobs = Jobs(store)
    for _ in range(PAGE):
        jobs.failed()
    purged = Purged()
    work = Deferred.fromCoroutine(Turns(jobs).search.purge(Wanted(), purged, lambda: False))
    assert len(store.waiting) == PAGE
    store.go_on()
    assert work.called
    assert purged.count == PAGE


def test_what_was_forgotten_before_the_store_was_away_is_known() -> None:
    jobs = Jobs(AwayStore(forget=3))
    for _ in range(5):
        jobs.failed()
    purged = Purged()
    turns = Turns(jobs)
    with pytest.raises(StoreAway):
        turns.finish(turns.search.purge(Wanted(), purged, lambda: False))
    assert purged.count == 3
