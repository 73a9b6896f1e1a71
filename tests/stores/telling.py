"""What every store tells: callbacks that are due, changes, work; and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from tests.stores.world import (
    LOST,
    MANY,
    REQUEST_BODY,
    RESULT_BODY,
    TTL,
    Keeping,
    World,
    accepted,
    ids,
    new_job,
    room,
)
from twistedgate.jobs.job import Callback, State, Verdict
from twistedgate.jobs.store import REQUEST

URL = "https://client.example/hook"


class CallingBack:
    """Somebody wants to be told of the end."""

    async def test_an_end_is_told_once_it_is_there(self, keeping: Keeping) -> None:
        claim = await keeping.begin(callback=URL)
        assert await self._due(keeping) == []
        await keeping.finish(claim)
        (callback,) = await self._due(keeping)
        assert (callback.url, callback.attempts) == (URL, 0)
        assert callback.job == await keeping.find(claim.job.id)
        assert await self._due(keeping) == []

    async def test_every_end_is_told(self, keeping: Keeping) -> None:
        failed, cancelled = await keeping.begin(callback=URL), await keeping.begin(callback=URL)
        await keeping.finish(failed, LOST)
        await keeping.store.cancel(cancelled.job.id, keeping.world.now)
        queued = await keeping.queue(callback=URL)
        expired = await keeping.queue(callback=URL, queue_timeout=5.0)
        gone = await keeping.queue(callback=URL, route="gone")
        await keeping.store.cancel(queued, keeping.world.now)
        await keeping.world.advance(10)
        await keeping.store.sweep({"reports"}, keeping.world.now)
        told = {callback.job.id for callback in await self._due(keeping)}
        assert told == {failed.job.id, cancelled.job.id, queued, expired, gone}

    async def test_nobody_is_told_who_did_not_ask(self, keeping: Keeping) -> None:
        await keeping.finish(await keeping.begin())
        assert await self._due(keeping) == []

    async def test_no_more_are_taken_than_are_wanted(self, keeping: Keeping) -> None:
        for _ in range(3):
            await keeping.finish(await keeping.begin(callback=URL))
        taken = [len(await keeping.store.due_callbacks(2, keeping.world.now)) for _ in range(3)]
        assert taken == [2, 1, 0]

    async def test_what_was_delivered_is_not_told_again(self, keeping: Keeping) -> None:
        (callback,) = await self._ended(keeping)
        await keeping.store.callback_ended(callback, None, keeping.world.now)
        await keeping.pass_time(70)
        assert await self._due(keeping) == []

    async def test_what_was_not_delivered_is_told_again_in_time(self, keeping: Keeping) -> None:
        (callback,) = await self._ended(keeping)
        await keeping.store.callback_ended(callback, keeping.world.now + 300, keeping.world.now)
        await keeping.world.advance(290)
        assert await self._due(keeping) == []
        await keeping.world.advance(20)
        (again,) = await self._due(keeping)
        assert (again.job.id, again.attempts) == (callback.job.id, 1)

    async def test_who_does_not_report_in_a_minute_has_failed(self, keeping: Keeping) -> None:
        (callback,) = await self._ended(keeping)
        await keeping.world.advance(50)
        assert await self._due(keeping) == []
        await keeping.world.advance(20)
        (again,) = await self._due(keeping)
        assert (again.job.id, again.attempts) == (callback.job.id, 1)
        # the first comes too late to say anything
        await keeping.store.callback_ended(callback, None, keeping.world.now)
        await keeping.store.callback_ended(callback, keeping.world.now, keeping.world.now)
        assert await self._due(keeping) == []
        await keeping.store.callback_ended(again, keeping.world.now + 5, keeping.world.now)
        await keeping.world.advance(10)
        assert [callback.attempts for callback in await self._due(keeping)] == [2]

    async def test_a_callback_outlives_its_job(self, keeping: Keeping) -> None:
        (callback,) = await self._ended(keeping)
        await keeping.store.callback_ended(callback, keeping.world.now + 5 * TTL, keeping.world.now)
        for _ in range(6):
            await keeping.pass_time(TTL)
        assert not await keeping.is_known(callback.job.id)
        (again,) = await self._due(keeping)
        assert (again.url, again.job.id, again.job.state) == (URL, callback.job.id, State.SUCCEEDED)
        assert (again.job.finished, again.job.status) == (callback.job.finished, 200)
        await keeping.store.callback_ended(again, None, keeping.world.now)
        await keeping.pass_time(70)
        assert await self._due(keeping) == []

    async def test_a_job_that_is_sent_again_tells_its_new_end_only(self, keeping: Keeping) -> None:
        claim = await keeping.begin(callback=URL)
        await keeping.finish(claim, LOST)
        (old,) = await self._due(keeping)
        await keeping.store.retry(claim.job.id, keeping.world.now)
        await keeping.world.advance(1)
        (again,) = await keeping.claim()
        await keeping.store.callback_ended(old, keeping.world.now, keeping.world.now)
        assert await self._due(keeping) == []
        await keeping.finish(again)
        (new,) = await self._due(keeping)
        assert (new.job.state, new.attempts) == (State.SUCCEEDED, 0)
        await keeping.store.callback_ended(old, None, keeping.world.now)
        await keeping.world.advance(70)
        assert [callback.attempts for callback in await self._due(keeping)] == [1]

    async def _due(self, keeping: Keeping) -> list[Callback]:
        return await keeping.store.due_callbacks(100, keeping.world.now)

    async def _ended(self, keeping: Keeping) -> list[Callback]:
        """Return the callbacks that are due when one job that wants it has ended."""
        await keeping.finish(await keeping.begin(callback=URL))
        return await self._due(keeping)


class Watching:
    """Somebody waits for a change, or for work."""

    async def test_every_change_of_a_job_is_told(self, keeping: Keeping) -> None:
        job = await keeping.queue()
        await keeping.queue(priority=-1)
        told: list[str] = []
        stop = keeping.store.watch(job, lambda: told.append("told"))
        (claim,) = await keeping.claim(room(wanted=1))
        await keeping.world.eventually(lambda: told)
        told.clear()
        await keeping.store.put_back(claim, keeping.world.now, keeping.world.now)
        await keeping.world.eventually(lambda: told)
        (claim,) = await keeping.claim(room(wanted=1))
        told.clear()
        await keeping.finish(claim)
        await keeping.world.eventually(lambda: told)
        stop()

    async def test_whoever_ends_a_job_those_who_watch_it_hear_of_it(self, keeping: Keeping) -> None:
        cancelled, expired = await keeping.queue(), await keeping.queue()
        gone = await keeping.queue(route="gone")
        told: set[str] = set()
        stops = [
            keeping.store.watch(cancelled, lambda: told.add("cancelled")),
            keeping.store.watch(expired, lambda: told.add("expired")),
            keeping.store.watch(gone, lambda: told.add("gone")),
        ]
        await keeping.store.cancel(cancelled, keeping.world.now)
        await keeping.world.eventually(lambda: "cancelled" in told)
        await keeping.store.sweep({"reports"}, keeping.world.now)
        await keeping.world.eventually(lambda: "gone" in told)
        await keeping.pass_time(100)
        await keeping.world.eventually(lambda: "expired" in told)
        for stop in stops:
            stop()

    async def test_many_watch_one_job_and_each_stops_for_himself(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        told: list[str] = []
        first = keeping.store.watch(claim.job.id, lambda: told.append("first"))
        second = keeping.store.watch(claim.job.id, lambda: told.append("second"))
        first()
        first()
        await keeping.finish(claim)
        await keeping.world.eventually(lambda: told)
        assert set(told) == {"second"}
        second()

    async def test_who_is_told_may_stop_at_once(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        told: list[str] = []
        stops: list[Callable[[], None]] = []

        def hear(name: str) -> None:
            told.append(name)
            stops[0]()

        stops.extend([keeping.store.watch(claim.job.id, partial(hear, name)) for name in ("a", "b")])
        await keeping.finish(claim)
        await keeping.world.eventually(lambda: "b" in told)
        stops[1]()

    async def test_changes_of_other_jobs_are_nobodys_business(self, keeping: Keeping) -> None:
        first, second = await keeping.begin(), await keeping.begin()
        told: list[str] = []
        stops = [
            keeping.store.watch(first.job.id, lambda: told.append("first")),
            keeping.store.watch(second.job.id, lambda: told.append("second")),
        ]
        await keeping.finish(second)
        await keeping.world.eventually(lambda: "second" in told)
        # a store may call once when it begins to listen, for what came before that
        assert told.count("first") <= 1
        for stop in stops:
            stop()

    async def test_who_runs_jobs_hears_of_work(self, keeping: Keeping) -> None:
        told: list[str] = []
        keeping.store.on_work(lambda: told.append("work"))
        one = replace(MANY, concurrency=1)
        claim = await keeping.begin()
        await keeping.submit(one)
        await keeping.world.eventually(lambda: told)
        told.clear()
        await keeping.finish(claim)
        await keeping.world.eventually(lambda: told)
        (claim,) = await keeping.claim()
        told.clear()
        await keeping.store.put_back(claim, keeping.world.now, keeping.world.now)
        await keeping.world.eventually(lambda: told)
        (claim,) = await keeping.claim()
        await keeping.submit(one)
        told.clear()
        await keeping.store.cancel(claim.job.id, keeping.world.now)
        await keeping.world.eventually(lambda: told)
        await keeping.claim()

    async def test_who_runs_jobs_hears_of_one_that_is_sent_again(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.finish(claim, LOST)
        told: list[str] = []
        keeping.store.on_work(lambda: told.append("work"))
        await keeping.store.retry(claim.job.id, keeping.world.now)
        await keeping.world.eventually(lambda: told)


class Sharing:
    """Several stores stand on one state; only where they can."""

    async def test_what_one_keeps_the_other_finds(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        job = await keeping.queue(key="k", fingerprint="f")
        assert await other.find(job) == await keeping.find(job)
        assert (await other.submit(key="k", fingerprint="f")).verdict is Verdict.REPLAYED
        (claim,) = await other.claim()
        assert claim.body == REQUEST_BODY
        assert (await keeping.find(job)).runner == other.store.runner != keeping.store.runner
        await other.finish(claim)
        assert await keeping.result(job) == RESULT_BODY
        page = await keeping.store.list_jobs(claim.job.owner, None, 10, "", keeping.world.now)
        assert [found.id for found in page.jobs] == [job]

    async def test_no_job_is_claimed_by_two(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        queued = [await keeping.queue() for _ in range(10)]
        first = await keeping.claim(room(wanted=4))
        second = await other.claim(room(wanted=4))
        third = await keeping.claim()
        assert sorted(ids(first + second + third)) == sorted(queued)
        assert (len(first), len(second), len(third)) == (4, 4, 2)

    async def test_concurrency_is_counted_everywhere(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        two = replace(MANY, concurrency=2)
        assert (await keeping.submit(two)).claim is not None
        assert (await other.submit(two)).claim is not None
        assert (await keeping.submit(two)).claim is None
        assert await other.claim(room(concurrency=2)) == []
        assert (await other.counts()).running == 2

    async def test_limits_are_counted_everywhere(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        await keeping.queue(caller="alice")
        one = replace(MANY, concurrency=0, max_queued_per_caller=1)
        assert (await other.submit(one, caller="alice")).verdict is Verdict.CALLER_FULL
        assert (await other.submit(replace(one, max_queued=1), caller="bob")).verdict is Verdict.QUEUE_FULL

    async def test_one_cancels_what_the_other_runs(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        claim = await keeping.begin()
        told: list[str] = []
        stop = keeping.store.watch(claim.job.id, lambda: told.append("told"))
        await other.store.cancel(claim.job.id, keeping.world.now)
        await keeping.world.eventually(lambda: told)
        assert await keeping.finish(claim) is False
        stop()

    async def test_one_hears_of_what_the_other_queues(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        told: list[str] = []
        other.store.on_work(lambda: told.append("work"))
        await keeping.queue()
        await keeping.world.eventually(lambda: told)

    async def test_pieces_are_there_for_everybody(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        new = new_job(body=None)
        await keeping.store.put_piece(new.id, REQUEST, 0, b"x")
        accepted(await keeping.store.submit(new, replace(MANY, concurrency=0), keeping.world.now))
        await other.claim()
        assert await other.request(new.id) == b"x"

    async def test_a_callback_is_taken_by_one(self, keeping: Keeping) -> None:
        if not keeping.world.is_shared:
            return
        other = await self._other(keeping)
        await keeping.finish(await keeping.begin(callback=URL))
        assert len(await other.store.due_callbacks(10, keeping.world.now)) == 1
        assert await keeping.store.due_callbacks(10, keeping.world.now) == []

    async def _other(self, keeping: Keeping) -> Keeping:
        return Keeping(keeping.world, await keeping.world.open("b"))


class Lasting:
    """Every process ends, and another begins; only where something is left then."""

    @pytest.mark.parametrize("is_orderly", [True, False])
    async def test_what_was_accepted_is_there_afterwards(self, keeping: Keeping, is_orderly: bool) -> None:
        if not keeping.world.is_durable:
            return
        queued = await keeping.queue(key="k", fingerprint="f")
        done = await keeping.begin(priority=1, callback=URL)
        await keeping.finish(done)
        running = await keeping.begin(priority=1)
        after = await self._again(keeping.world, keeping, is_orderly)
        swept = await after.store.sweep(None, after.world.now)
        assert swept.ids == (running.job.id,)
        assert (await after.find(running.job.id)).reason == "interrupted"
        assert await after.result(done.job.id) == RESULT_BODY
        assert (await after.submit(key="k", fingerprint="f")).verdict is Verdict.REPLAYED
        assert [told.job.id for told in await after.store.due_callbacks(10, after.world.now)] == [done.job.id]
        (claim,) = await after.claim()
        assert (claim.job.id, claim.body) == (queued, REQUEST_BODY)

    async def _again(self, world: World, keeping: Keeping, is_orderly: bool) -> Keeping:
        if is_orderly:
            await world.stop(keeping.store)
        else:
            await world.kill(keeping.store)
        return Keeping(world, await world.open("c"))
