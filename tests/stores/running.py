"""What every store does with jobs that are run: claims, fences, results, and what is run again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stores.world import (
    DONE,
    HEAD,
    LOST,
    MANY,
    QUEUE_TIMEOUT,
    REQUEST_BODY,
    RESULT_BODY,
    TTL,
    Keeping,
    accepted,
    ids,
    new_job,
    room,
)
from twistedgate.jobs.job import INLINE, Delivery, End, Head, State
from twistedgate.jobs.store import REQUEST, RESULT

SECRET_FIELDS = ((b"Authorization", b"Bearer x"), (b"COOKIE", b"a=b"))


class Claiming:
    """A runner takes jobs."""

    async def test_the_oldest_comes_first(self, keeping: Keeping) -> None:
        queued = []
        for _ in range(5):
            queued.append(await keeping.queue())
            await keeping.world.advance(1)
        assert ids(await keeping.claim(room(wanted=2))) == queued[:2]
        assert ids(await keeping.claim()) == queued[2:]
        assert await keeping.claim() == []

    async def test_the_highest_priority_comes_before_age(self, keeping: Keeping) -> None:
        queued = {}
        for name, priority in (("a", 0), ("b", 7), ("c", -2), ("d", 7), ("e", 0)):
            queued[name] = await keeping.queue(priority=priority)
            await keeping.world.advance(1)
        order = []
        while claims := await keeping.claim(room(wanted=1)):
            order += ids(claims)
        assert order == [queued[name] for name in "bdaec"]

    async def test_a_claim_has_all_that_a_run_needs(self, keeping: Keeping) -> None:
        job = await keeping.queue()
        await keeping.world.advance(10)
        (claim,) = await keeping.claim()
        assert claim.body == REQUEST_BODY
        assert (claim.job.id, claim.job.state, claim.job.attempts) == (job, State.RUNNING, 1)
        assert claim.job.started == pytest.approx(keeping.world.now, abs=5)
        assert claim.job.runner == keeping.store.runner
        assert await keeping.find(job) == claim.job

    async def test_no_more_is_claimed_than_is_wanted(self, keeping: Keeping) -> None:
        for _ in range(3):
            await keeping.queue()
        assert await keeping.claim(room(wanted=0)) == []
        assert len(await keeping.claim(room(wanted=2))) == 2

    async def test_no_more_is_claimed_than_may_be_under_way(self, keeping: Keeping) -> None:
        running = await keeping.begin()
        for _ in range(4):
            await keeping.queue()
        (claim,) = await keeping.claim(room(concurrency=2))
        assert await keeping.claim(room(concurrency=2)) == []
        await keeping.finish(running)
        assert len(await keeping.claim(room(concurrency=2))) == 1
        await keeping.finish(claim, LOST)
        assert len(await keeping.claim(room(concurrency=2))) == 1

    async def test_only_the_routes_that_were_named_are_claimed(self, keeping: Keeping) -> None:
        a, b, c = [await keeping.queue(route=route) for route in ("a", "b", "c")]
        claims = await keeping.claim(room(route="a", wanted=5), room(route="c"), room(route="unknown"))
        assert set(ids(claims)) == {a, c}
        assert ids(await keeping.claim(room(route="b"))) == [b]

    async def test_nothing_is_claimed_that_waited_too_long(self, keeping: Keeping) -> None:
        job = await keeping.queue()
        await keeping.world.advance(QUEUE_TIMEOUT + 5)
        assert await keeping.claim() == []
        swept = await keeping.store.sweep(None, keeping.world.now)
        assert (swept.expired_in_queue, swept.ids) == (1, (job,))

    async def test_those_behind_one_that_waited_too_long_are_claimed(self, keeping: Keeping) -> None:
        await keeping.queue(queue_timeout=5.0, priority=1)
        behind = await keeping.queue()
        await keeping.world.advance(10)
        assert ids(await keeping.claim(room(wanted=1))) == [behind]

    async def test_a_large_body_is_read_by_who_claimed_it(self, keeping: Keeping) -> None:
        new = new_job(body=None, length=INLINE + 1)
        await keeping.store.put_piece(new.id, REQUEST, 0, b"a" * INLINE)
        await keeping.store.put_piece(new.id, REQUEST, 1, b"b")
        await keeping.store.submit(new, replace(MANY, concurrency=0), keeping.world.now)
        (claim,) = await keeping.claim()
        assert claim.body is None
        assert await keeping.request(new.id) == b"a" * INLINE + b"b"


class Finishing:
    """A run ends."""

    async def test_an_answer_is_kept_with_its_job(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.world.advance(10)
        assert await keeping.finish(claim) is True
        job = await keeping.find(claim.job.id)
        assert (job.state, job.status, job.reason, job.attempts) == (State.SUCCEEDED, 200, "", 1)
        assert job.head == HEAD
        assert job.finished == pytest.approx(keeping.world.now, abs=5)
        assert job.finished is not None
        assert job.expires == job.finished + TTL
        assert job.runner == ""
        assert job.version > claim.job.version
        assert await keeping.result(job.id) == RESULT_BODY
        assert await keeping.store.get_piece(job.id, RESULT, 1) is None

    async def test_an_answer_without_a_body_is_one(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        head = Head(204, (), 0)
        await keeping.finish(claim, End(State.SUCCEEDED, head))
        assert (await keeping.find(claim.job.id)).head == head
        assert await keeping.result(claim.job.id) is None

    async def test_a_large_answer_is_kept_in_pieces(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        for number in range(3):
            await keeping.store.put_piece(claim.job.id, RESULT, number, bytes([number]) * INLINE)
        head = Head(200, (), 3 * INLINE)
        assert await keeping.finish(claim, End(State.SUCCEEDED, head)) is True
        assert await keeping.store.get_piece(claim.job.id, RESULT, 1) == b"\x01" * INLINE
        assert await keeping.result(claim.job.id) == b"\x00" * INLINE + b"\x01" * INLINE + b"\x02" * INLINE

    async def test_a_failure_says_why(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.store.put_piece(claim.job.id, RESULT, 0, b"the beginning of it")
        assert await keeping.finish(claim, LOST) is True
        job = await keeping.find(claim.job.id)
        assert (job.state, job.reason, job.status, job.head) == (State.FAILED, "reset", None, None)
        assert job.expires is not None
        assert await keeping.result(job.id) is None

    async def test_what_is_finished_stays_so(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.finish(claim)
        job = await keeping.find(claim.job.id)
        assert await keeping.finish(claim, LOST) is False
        assert await keeping.finish(claim) is False
        assert await keeping.store.put_back(claim, keeping.world.now, keeping.world.now) is False
        assert await keeping.store.cancel(job.id, keeping.world.now) == job
        assert await keeping.find(job.id) == job
        assert await keeping.result(job.id) == RESULT_BODY
        assert await keeping.claim() == []

    @pytest.mark.parametrize("end", [DONE, LOST, End(State.CANCELLED)])
    async def test_credentials_are_erased_at_every_end(self, keeping: Keeping, end: End) -> None:
        claim = await keeping.begin(headers=((b"Accept", b"*/*"), *SECRET_FIELDS))
        assert claim.job.call.headers == ((b"Accept", b"*/*"), *SECRET_FIELDS)
        await keeping.finish(claim, end)
        job = await keeping.find(claim.job.id)
        assert job.state is end.state
        assert job.call.headers == ((b"Accept", b"*/*"),)

    async def test_credentials_are_kept_until_then(self, keeping: Keeping) -> None:
        claim = await keeping.begin(headers=SECRET_FIELDS)
        await keeping.store.put_back(claim, keeping.world.now, keeping.world.now)
        (again,) = await keeping.claim()
        assert again.job.call.headers == SECRET_FIELDS
        await keeping.store.cancel(claim.job.id, keeping.world.now)
        assert (await keeping.find(claim.job.id)).call.headers == ()

    async def test_the_request_of_an_answered_job_is_not_kept(self, keeping: Keeping) -> None:
        done, lost = await keeping.begin(), await keeping.begin()
        await keeping.finish(done)
        await keeping.finish(lost, LOST)
        assert await keeping.request(done.job.id) is None
        assert await keeping.request(lost.job.id) == REQUEST_BODY


class RunningAgain:
    """A job is queued again."""

    async def test_a_job_that_is_put_back_waits_until_it_is_due(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        assert await keeping.store.put_back(claim, keeping.world.now + 20, keeping.world.now) is True
        job = await keeping.find(claim.job.id)
        assert (job.state, job.attempts, job.runner) == (State.QUEUED, 1, "")
        assert job.due == pytest.approx(keeping.world.now + 20, abs=5)
        assert job.version > claim.job.version
        assert (await keeping.counts()).queued == 1
        assert await keeping.claim() == []
        await keeping.world.advance(30)
        (again,) = await keeping.claim()
        assert (again.job.id, again.job.attempts, again.body) == (job.id, 2, REQUEST_BODY)
        assert again.fence > claim.fence
        assert await keeping.claim() == []

    async def test_a_job_that_was_due_long_ago_waits_from_now_on(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.world.advance(1000)
        await keeping.store.put_back(claim, 0.0, keeping.world.now)
        await keeping.pass_time(QUEUE_TIMEOUT - 10)
        assert ids(await keeping.claim()) == [claim.job.id]

    async def test_a_job_that_is_put_back_keeps_its_age(self, keeping: Keeping) -> None:
        first = await keeping.begin()
        await keeping.world.advance(1)
        second = await keeping.queue()
        await keeping.store.put_back(first, keeping.world.now, keeping.world.now)
        assert ids(await keeping.claim()) == [first.job.id, second]

    async def test_those_behind_one_that_is_not_due_are_claimed(self, keeping: Keeping) -> None:
        first = await keeping.begin(priority=5)
        second = await keeping.queue()
        await keeping.store.put_back(first, keeping.world.now + 30, keeping.world.now)
        assert ids(await keeping.claim()) == [second]

    async def test_waiting_for_its_time_is_no_waiting_in_the_queue(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.store.put_back(claim, keeping.world.now + 60, keeping.world.now)
        await keeping.pass_time(QUEUE_TIMEOUT + 5)
        assert (await keeping.find(claim.job.id)).state is State.QUEUED
        await keeping.pass_time(QUEUE_TIMEOUT)
        assert (await keeping.find(claim.job.id)).state is State.QUEUED
        await keeping.pass_time(30)
        job = await keeping.find(claim.job.id)
        assert (job.state, job.reason) == (State.FAILED, "expired-in-queue")

    async def test_what_a_run_left_of_an_answer_is_thrown_away(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        for number in range(2):
            await keeping.store.put_piece(claim.job.id, RESULT, number, b"old")
        await keeping.store.put_back(claim, keeping.world.now, keeping.world.now)
        (again,) = await keeping.claim()
        await keeping.store.put_piece(again.job.id, RESULT, 0, b"new")
        await keeping.finish(again, End(State.SUCCEEDED, Head(200, (), 3)))
        assert await keeping.result(again.job.id) == b"new"

    async def test_a_later_run_shuts_out_an_earlier_one(self, keeping: Keeping) -> None:
        old = await keeping.begin()
        await keeping.store.put_back(old, keeping.world.now, keeping.world.now)
        assert await keeping.finish(old) is False
        assert await keeping.store.put_back(old, keeping.world.now, keeping.world.now) is False
        (new,) = await keeping.claim()
        assert await keeping.finish(old, LOST) is False
        assert await keeping.store.put_back(old, keeping.world.now, keeping.world.now) is False
        assert (await keeping.find(new.job.id)).state is State.RUNNING
        assert await keeping.finish(new) is True
        assert (await keeping.find(new.job.id)).state is State.SUCCEEDED

    async def test_a_failed_job_is_sent_again_on_request(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.finish(claim, LOST)
        await keeping.world.advance(QUEUE_TIMEOUT + 15)
        job = await keeping.store.retry(claim.job.id, keeping.world.now)
        assert job is not None
        assert (job.state, job.reason, job.finished, job.expires) == (State.QUEUED, "", None, None)
        assert await keeping.find(job.id) == job
        assert (await keeping.counts()).queued == 1
        await keeping.pass_time(QUEUE_TIMEOUT - 10)
        (again,) = await keeping.claim()
        assert (again.job.attempts, again.body) == (2, REQUEST_BODY)
        assert again.fence > claim.fence
        assert await keeping.finish(claim) is False
        assert await keeping.finish(again) is True
        await keeping.pass_time(TTL - 10)
        assert not (await keeping.find(job.id)).is_gone

    async def test_a_cancelled_job_is_sent_again_on_request(self, keeping: Keeping) -> None:
        job = await keeping.queue(delivery=Delivery.AT_LEAST_ONCE)
        await keeping.store.cancel(job, keeping.world.now)
        await keeping.store.retry(job, keeping.world.now)
        assert ids(await keeping.claim()) == [job]

    async def test_nothing_else_is_sent_again(self, keeping: Keeping) -> None:
        done, running, forgotten = [await keeping.begin() for _ in range(3)]
        queued = await keeping.queue()
        await keeping.finish(done)
        await keeping.finish(forgotten, LOST)
        await keeping.store.forget(forgotten.job.id, keeping.world.now)
        for job in (done.job.id, running.job.id, queued, forgotten.job.id):
            before = await keeping.find(job)
            assert await keeping.store.retry(job, keeping.world.now) == before
            assert await keeping.find(job) == before
        assert await keeping.store.retry("unknown", keeping.world.now) is None

    async def test_a_job_that_is_sent_again_counts_as_queued(self, keeping: Keeping) -> None:
        one = replace(MANY, max_queued_per_caller=1, concurrency=0)
        claim = await keeping.begin()
        await keeping.finish(claim, LOST)
        await keeping.store.retry(claim.job.id, keeping.world.now)
        assert (await keeping.submit(one)).job is None
        await keeping.store.cancel(claim.job.id, keeping.world.now)
        assert accepted(await keeping.submit(one)).state is State.QUEUED
