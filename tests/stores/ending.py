"""What every store does with jobs that are cancelled, forgotten, too old or left behind."""

from __future__ import annotations

import pytest

from tests.stores.world import (
    LOST,
    MANY,
    QUEUE_TIMEOUT,
    REQUEST_BODY,
    RESULT_BODY,
    ROUTE,
    TTL,
    Keeping,
    ids,
    new_job,
)
from twistedgate.jobs.job import MOST_RUNS, Claim, Counts, Delivery, EndedJob, State
from twistedgate.jobs.store import REQUEST, RESULT, JobStore


class Cancelling:
    """Somebody does not want a job any more."""

    async def test_a_queued_job_is_cancelled_and_never_run(self, keeping: Keeping) -> None:
        job = await keeping.queue()
        cancelled = await keeping.store.cancel(job, keeping.world.now)
        assert cancelled is not None
        assert (cancelled.state, cancelled.attempts) == (State.CANCELLED, 0)
        assert cancelled.expires is not None
        assert await keeping.find(job) == cancelled
        assert await keeping.claim() == []
        assert await keeping.counts() == Counts()

    async def test_a_job_that_waits_for_its_time_is_cancelled(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.store.put_back(claim, keeping.world.now + 20, keeping.world.now)
        await keeping.store.cancel(claim.job.id, keeping.world.now)
        await keeping.world.advance(30)
        assert await keeping.claim() == []
        assert (await keeping.find(claim.job.id)).state is State.CANCELLED

    async def test_a_running_job_is_cancelled_and_its_run_says_nothing_more(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.store.put_piece(claim.job.id, RESULT, 0, b"the beginning of it")
        cancelled = await keeping.store.cancel(claim.job.id, keeping.world.now)
        assert cancelled is not None
        assert (cancelled.state, cancelled.was_ended_now) == (State.CANCELLED, True)
        assert await keeping.finish(claim) is False
        assert await keeping.store.put_back(claim, keeping.world.now, keeping.world.now) is False
        assert await keeping.find(claim.job.id) == cancelled
        assert await keeping.result(claim.job.id) is None
        assert await keeping.counts() == Counts()

    async def test_cancelled_twice_is_cancelled_once(self, keeping: Keeping) -> None:
        job = await keeping.queue()
        first = await keeping.store.cancel(job, keeping.world.now)
        await keeping.world.advance(10)
        second = await keeping.store.cancel(job, keeping.world.now)
        assert second == first
        assert [one is not None and one.was_ended_now for one in (first, second)] == [True, False]

    async def test_nobody_cancels_or_forgets_what_is_unknown(self, keeping: Keeping) -> None:
        assert await keeping.store.cancel("unknown", keeping.world.now) is None
        assert await keeping.store.forget("unknown", keeping.world.now) is None
        assert await keeping.store.find("unknown", keeping.world.now) is None


class Forgetting:
    """Somebody does not want a result any more, or its time is over."""

    async def test_a_forgotten_result_is_thrown_away(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.finish(claim)
        before = await keeping.find(claim.job.id)
        job = await keeping.store.forget(claim.job.id, keeping.world.now)
        assert job is not None
        assert (job.state, job.is_forgotten, job.head, job.status) == (State.SUCCEEDED, True, None, 200)
        assert (job.finished, job.expires) == (before.finished, before.expires)
        assert job.version > before.version
        assert await keeping.find(job.id) == job
        assert await keeping.result(job.id) is None
        assert await keeping.store.forget(job.id, keeping.world.now) == job

    async def test_a_large_result_is_forgotten_whole(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        for number in range(3):
            await keeping.store.put_piece(claim.job.id, RESULT, number, b"x")
        await keeping.finish(claim)
        await keeping.store.forget(claim.job.id, keeping.world.now)
        for number in range(3):
            assert await keeping.store.get_piece(claim.job.id, RESULT, number) is None

    async def test_a_forgotten_failure_keeps_no_request(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.finish(claim, LOST)
        await keeping.store.forget(claim.job.id, keeping.world.now)
        job = await keeping.find(claim.job.id)
        assert (job.state, job.reason, job.is_forgotten) == (State.FAILED, "reset", True)
        assert await keeping.request(job.id) is None

    async def test_what_is_not_finished_is_not_forgotten(self, keeping: Keeping) -> None:
        claim, queued = await keeping.begin(), await keeping.queue()
        assert await keeping.store.forget(claim.job.id, keeping.world.now) == claim.job
        assert await keeping.store.forget(queued, keeping.world.now) == await keeping.find(queued)
        assert await keeping.finish(claim) is True
        assert await keeping.result(claim.job.id) == RESULT_BODY

    async def test_a_job_is_kept_for_its_ttl_then_gone_for_as_long_then_unknown(
        self, keeping: Keeping
    ) -> None:
        claim = await keeping.begin()
        await keeping.world.advance(500)
        await keeping.finish(claim)
        await keeping.pass_time(TTL - 10)
        assert not (await keeping.find(claim.job.id)).is_gone
        assert await keeping.result(claim.job.id) == RESULT_BODY
        await keeping.world.advance(20)
        job = await keeping.find(claim.job.id)
        assert (job.is_gone, job.state, job.owner) == (True, State.SUCCEEDED, claim.job.owner)
        assert (await keeping.store.sweep(None, keeping.world.now)).forgotten == 1
        assert await keeping.result(claim.job.id) is None
        assert (await keeping.find(claim.job.id)).is_gone
        await keeping.pass_time(TTL - 20)
        assert (await keeping.find(claim.job.id)).is_gone
        await keeping.world.advance(20)
        assert not await keeping.is_known(claim.job.id)
        swept = await keeping.store.sweep(None, keeping.world.now)
        assert (swept.forgotten, swept.ids) == (0, ())
        assert not await keeping.is_known(claim.job.id)

    async def test_every_end_has_its_ttl(self, keeping: Keeping) -> None:
        failed, cancelled = await keeping.begin(), await keeping.begin()
        expired = await keeping.queue(queue_timeout=5.0)
        await keeping.finish(failed, LOST)
        await keeping.store.cancel(cancelled.job.id, keeping.world.now)
        await keeping.pass_time(10)
        jobs = (failed.job.id, cancelled.job.id, expired)
        await keeping.pass_time(TTL - 15)
        assert not any([(await keeping.find(job)).is_gone for job in jobs])
        await keeping.pass_time(30)
        assert all([(await keeping.find(job)).is_gone for job in jobs])
        await keeping.pass_time(TTL)
        assert not any([await keeping.is_known(job) for job in jobs])

    async def test_nothing_of_a_job_that_is_gone_is_kept(self, keeping: Keeping) -> None:
        new = new_job(body=None)
        await keeping.store.put_piece(new.id, REQUEST, 0, b"x")
        (claim,) = [(await keeping.store.submit(new, MANY, keeping.world.now)).claim]
        assert claim is not None
        await keeping.finish(claim, LOST)
        small = await keeping.begin()
        await keeping.finish(small, LOST)
        await keeping.pass_time(TTL + 10)
        assert await keeping.request(new.id) is None
        assert await keeping.request(small.job.id) is None
        for job in (new.id, small.job.id):
            again = await keeping.store.retry(job, keeping.world.now)
            assert again is None or again.state is State.FAILED
        assert await keeping.claim() == []

    async def test_what_is_not_finished_never_expires(self, keeping: Keeping) -> None:
        claim = await keeping.begin(ttl=5.0)
        await keeping.pass_time(5000)
        assert await keeping.finish(claim) is True


class Sweeping:
    """Time acts."""

    async def test_a_job_that_waited_too_long_fails(self, keeping: Keeping) -> None:
        job = await keeping.queue()
        await keeping.pass_time(QUEUE_TIMEOUT - 10)
        assert (await keeping.find(job)).state is State.QUEUED
        await keeping.world.advance(20)
        swept = await keeping.store.sweep(None, keeping.world.now)
        assert (swept.expired_in_queue, swept.ended) == (1, (EndedJob(job, ROUTE, "expired-in-queue"),))
        found = await keeping.find(job)
        assert (found.state, found.reason, found.attempts) == (State.FAILED, "expired-in-queue", 0)
        assert found.finished is not None
        assert await keeping.counts() == Counts()
        assert (await keeping.store.sweep(None, keeping.world.now)).ids == ()

    async def test_a_running_job_waits_for_nothing(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.pass_time(QUEUE_TIMEOUT + 10)
        assert (await keeping.find(claim.job.id)).state is State.RUNNING

    async def test_queued_jobs_of_a_route_that_is_gone_end(self, keeping: Keeping) -> None:
        gone, kept = await keeping.queue(route="gone"), await keeping.queue(route="kept")
        running = await keeping.begin(route="gone", priority=1)
        waiting = await keeping.begin(route="gone", priority=1)
        await keeping.store.put_back(waiting, keeping.world.now + 20, keeping.world.now)
        assert (await keeping.store.sweep(None, keeping.world.now)).ids == ()
        swept = await keeping.store.sweep({"kept"}, keeping.world.now)
        assert set(swept.ended) == {EndedJob(job, "gone", "route-gone") for job in (gone, waiting.job.id)}
        for job in swept.ids:
            found = await keeping.find(job)
            assert (found.state, found.reason) == (State.FAILED, "route-gone")
        assert (await keeping.find(kept)).state is State.QUEUED
        assert await keeping.finish(running) is True
        assert ids(await keeping.claim()) == []

    async def test_a_living_runner_keeps_its_jobs(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        for _ in range(20):
            await keeping.world.advance(10)
            swept = await keeping.store.sweep({ROUTE}, keeping.world.now)
            assert (swept.interrupted, swept.put_back, swept.ids) == (0, 0, ())
        assert await keeping.finish(claim) is True


class Listing:
    """Somebody asks for his jobs, and an operator for everybody's."""

    async def test_jobs_are_listed_the_newest_first(self, keeping: Keeping) -> None:
        submitted = []
        for _ in range(5):
            submitted.append(await keeping.queue(caller="alice"))
            await keeping.queue(caller="bob")
            await keeping.world.advance(1)
        assert await self._all(keeping, "alice", None, 100) == submitted[::-1]
        everybodys = await self._all(keeping, None, None, 100)
        assert len(everybodys) == 10
        assert [job for job in everybodys if job in submitted] == submitted[::-1]

    async def test_pages_follow_one_another(self, keeping: Keeping) -> None:
        submitted = []
        for _ in range(7):
            submitted.append(await keeping.queue())
            await keeping.world.advance(1)
        for limit in (1, 2, 3, 6, 7):
            assert await self._all(keeping, new_job().owner, None, limit) == submitted[::-1]
            assert await self._all(keeping, None, None, limit) == submitted[::-1]

    async def test_a_page_does_not_move_while_jobs_come_and_go(self, keeping: Keeping) -> None:
        submitted = []
        for _ in range(6):
            submitted.append(await keeping.queue(queue_timeout=5000.0))
            await keeping.world.advance(1)
        first = await keeping.store.list_jobs(None, None, 2, "", keeping.world.now)
        await keeping.queue(queue_timeout=5000.0)
        await keeping.store.cancel(submitted[4], keeping.world.now)
        await keeping.pass_time(3 * TTL)
        second = await keeping.store.list_jobs(None, None, 2, first.cursor, keeping.world.now)
        assert [job.id for job in first.jobs + second.jobs] == submitted[:1:-1]

    async def test_a_list_may_be_of_one_state(self, keeping: Keeping) -> None:
        done, lost, running = [await keeping.begin() for _ in range(3)]
        await keeping.finish(done)
        await keeping.finish(lost, LOST)
        queued = await keeping.queue()
        wanted = {
            State.SUCCEEDED: done.job.id,
            State.FAILED: lost.job.id,
            State.RUNNING: running.job.id,
            State.QUEUED: queued,
        }
        for state, job in wanted.items():
            page = await keeping.store.list_jobs(new_job().owner, state, 1, "", keeping.world.now)
            assert ([found.id for found in page.jobs], page.cursor) == ([job], "")
            assert page.jobs[0] == await keeping.find(job)
        page = await keeping.store.list_jobs(None, State.CANCELLED, 10, "", keeping.world.now)
        assert (page.jobs, page.cursor) == ((), "")

    async def test_pages_of_one_state_follow_one_another(self, keeping: Keeping) -> None:
        wanted = []
        for number in range(9):
            job = await keeping.queue()
            if number % 3:
                await keeping.store.cancel(job, keeping.world.now)
                wanted.append(job)
            await keeping.world.advance(1)
        assert await self._all(keeping, None, State.CANCELLED, 2) == wanted[::-1]

    async def test_what_is_gone_is_not_listed(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.finish(claim)
        await keeping.world.advance(TTL + 10)
        assert await self._all(keeping, claim.job.owner, None, 10) == []
        assert await self._all(keeping, None, None, 10) == []

    async def test_an_unknown_owner_has_no_jobs(self, keeping: Keeping) -> None:
        await keeping.queue(caller="alice")
        assert await self._all(keeping, "ali", None, 10) == []
        assert await self._all(keeping, "alice2", None, 10) == []

    @pytest.mark.parametrize("cursor", ["x", "-", "é", "1.5.2", "\x00", "9" * 400])
    async def test_a_cursor_that_was_never_given_is_refused(self, keeping: Keeping, cursor: str) -> None:
        await keeping.queue()
        with pytest.raises(ValueError, match="cursor"):
            await keeping.store.list_jobs(None, None, 10, cursor, keeping.world.now)

    async def test_what_is_not_finished_is_counted_by_route(self, keeping: Keeping) -> None:
        assert await keeping.counts() == Counts()
        oldest = await keeping.begin()
        await keeping.world.advance(10)
        younger = await keeping.queue(route="other")
        await keeping.world.advance(10)
        await keeping.queue()
        await keeping.queue(priority=4)
        await keeping.store.put_back(oldest, keeping.world.now + 20, keeping.world.now)
        counts = await keeping.counts()
        assert (counts.queued, counts.running, counts.oldest) == (3, 0, oldest.job.submitted)
        assert await keeping.counts("other") == Counts(1, 0, (await keeping.find(younger)).submitted)
        await keeping.world.advance(25)
        claims: list[Claim] = await keeping.claim()
        assert await keeping.counts() == Counts(0, 3, None)
        for claim in claims:
            await keeping.finish(claim)
        assert await keeping.counts() == Counts()

    async def _all(self, keeping: Keeping, owner: str | None, state: State | None, limit: int) -> list[str]:
        """Return every id of a list that is read in pages of ``limit``."""
        found: list[str] = []
        cursor = ""
        while True:
            page = await keeping.store.list_jobs(owner, state, limit, cursor, keeping.world.now)
            assert 0 < len(page.jobs) <= limit or not found
            found += [job.id for job in page.jobs]
            cursor = page.cursor
            if not cursor:
                return found


class Dying:
    """A runner dies with calls under way; only where it leaves something behind."""

    async def test_a_call_of_a_dead_runner_is_interrupted(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        claim = await keeping.begin(headers=((b"Cookie", b"a=b"),))
        other = await self._survive(keeping)
        swept = await other.sweep(None, keeping.world.now)
        assert (swept.interrupted, swept.put_back) == (1, 0)
        assert swept.ended == (EndedJob(claim.job.id, ROUTE, "interrupted"),)
        job = await other.find(claim.job.id, keeping.world.now)
        assert job is not None
        assert (job.state, job.reason, job.attempts) == (State.FAILED, "interrupted", 1)
        assert job.call.headers == ()
        assert job.expires is not None
        assert await Keeping(keeping.world, other).claim() == []
        assert (await other.sweep(None, keeping.world.now)).ids == ()

    async def test_a_job_that_may_be_what_kills_its_runners_is_not_run_for_ever(
        self, keeping: Keeping
    ) -> None:
        if not keeping.world.is_shared:
            return
        claim = await keeping.begin(delivery=Delivery.AT_LEAST_ONCE)
        for attempts in range(2, MOST_RUNS + 1):
            await keeping.store.put_back(claim, keeping.world.now, keeping.world.now)
            (claim,) = await keeping.claim()
            assert claim.job.attempts == attempts
        other = await self._survive(keeping)
        swept = await other.sweep(None, keeping.world.now)
        assert swept.ended == (EndedJob(claim.job.id, ROUTE, "interrupted"),)
        assert swept.put_back == 0

    async def test_a_call_of_a_dead_runner_is_run_again_where_it_may_be(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        claim = await keeping.begin(delivery=Delivery.AT_LEAST_ONCE)
        await keeping.store.put_piece(claim.job.id, RESULT, 0, b"the beginning of it")
        other = await self._survive(keeping)
        swept = await other.sweep(None, keeping.world.now)
        assert (swept.interrupted, swept.put_back, swept.ids) == (0, 1, ())
        (again,) = await Keeping(keeping.world, other).claim()
        assert (again.job.id, again.job.attempts, again.body) == (claim.job.id, 2, REQUEST_BODY)
        assert again.job.runner == other.runner
        assert again.fence > claim.fence
        assert await other.finish(claim, LOST, keeping.world.now) is False
        assert await other.get_piece(claim.job.id, RESULT, 0) is None
        assert (await other.sweep(None, keeping.world.now)).put_back == 0
        assert await other.finish(again, LOST, keeping.world.now) is True

    async def test_what_waits_does_not_die_with_a_runner(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        queued = await keeping.queue()
        claim = await keeping.begin(priority=1)
        await keeping.finish(claim)
        other = Keeping(keeping.world, await self._survive(keeping))
        swept = await other.store.sweep(None, keeping.world.now)
        assert (swept.interrupted, swept.put_back, swept.ids) == (0, 0, ())
        assert await other.result(claim.job.id) == RESULT_BODY
        assert ids(await other.claim()) == [queued]

    async def test_a_slot_of_a_dead_runner_is_free_again(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        await keeping.begin()
        other = Keeping(keeping.world, await self._survive(keeping))
        await other.store.sweep(None, keeping.world.now)
        assert await other.counts() == Counts()

    async def _survive(self, keeping: Keeping) -> JobStore:
        """Return another runner's store, the first one's owner being dead."""
        other = await keeping.world.open("b")
        await keeping.world.kill(keeping.store)
        return other
