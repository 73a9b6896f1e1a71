"""What every store does with a job that is handed in: limits, shares, keys, and who runs it at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stores.world import (
    CALL,
    MANY,
    QUEUES,
    REQUEST_BODY,
    ROUTE,
    TTL,
    Keeping,
    accepted,
    claimed,
    ids,
    new_job,
)
from twistedgate.jobs.job import INLINE, Job, Limits, State, Submission, Verdict
from twistedgate.jobs.store import REQUEST

ONE_SLOT = replace(MANY, concurrency=1)
TWO_SLOTS = replace(MANY, concurrency=2)


class Submitting:
    """A job is handed in."""

    async def test_a_job_with_a_free_slot_is_claimed_at_once(self, keeping: Keeping) -> None:
        submission = await keeping.submit(ONE_SLOT)
        claim = claimed(submission)
        assert claim.body == REQUEST_BODY
        assert (claim.job.state, claim.job.attempts, claim.job.runner) == (
            State.RUNNING,
            1,
            keeping.store.runner,
        )
        assert claim.job.started == pytest.approx(claim.job.submitted, abs=5)
        assert await keeping.find(claim.job.id) == claim.job
        assert await keeping.claim() == []

    async def test_a_job_without_a_free_slot_is_queued(self, keeping: Keeping) -> None:
        await keeping.submit(ONE_SLOT)
        submission = await keeping.submit(ONE_SLOT)
        job = accepted(submission)
        assert submission.claim is None
        assert (job.state, job.attempts, job.runner, job.started) == (State.QUEUED, 0, "", None)
        assert await keeping.find(job.id) == job

    async def test_everything_of_a_job_is_kept_as_it_was(self, keeping: Keeping) -> None:
        new = new_job(callback="https://client.example/hook", key="k", fingerprint="f", priority=-3)
        await keeping.store.submit(new, QUEUES, keeping.world.now)
        job = await keeping.find(new.id)
        assert job.call == CALL
        assert job.terms == new.terms
        assert (job.route, job.owner, job.caller) == (new.route, new.owner, new.caller)
        assert (job.key, job.fingerprint, job.callback) == ("k", "f", "https://client.example/hook")
        assert job.submitted == pytest.approx(keeping.world.now, abs=5)
        assert (job.finished, job.status, job.reason, job.head, job.expires) == (None, None, "", None, None)
        assert (job.is_forgotten, job.is_gone) == (False, False)

    async def test_bytes_of_any_kind_are_kept_as_they_are(self, keeping: Keeping) -> None:
        body = bytes(range(256)) * (INLINE // 256)
        claim = await keeping.begin(body=body, length=len(body))
        assert claim.body == body
        (again,) = [await keeping.request(claim.job.id)]
        assert again == body

    async def test_a_job_without_a_body_is_claimed_with_an_empty_one(self, keeping: Keeping) -> None:
        claim = await keeping.begin(body=b"", length=0)
        assert not claim.body
        assert await keeping.request(claim.job.id) is None

    async def test_a_large_body_comes_before_its_job_in_pieces(self, keeping: Keeping) -> None:
        new = new_job(body=None, length=INLINE + 3)
        await keeping.store.put_piece(new.id, REQUEST, 0, b"x" * INLINE)
        await keeping.store.put_piece(new.id, REQUEST, 1, b"\x00\xff\n")
        assert not await keeping.is_known(new.id)
        claim = claimed(await keeping.store.submit(new, MANY, keeping.world.now))
        assert claim.body is None
        assert await keeping.request(new.id) == b"x" * INLINE + b"\x00\xff\n"
        assert await keeping.store.get_piece(new.id, REQUEST, 1) == b"\x00\xff\n"
        assert await keeping.store.get_piece(new.id, REQUEST, 2) is None

    async def test_pieces_that_are_not_wanted_are_thrown_away(self, keeping: Keeping) -> None:
        await keeping.store.put_piece("nobody", REQUEST, 0, b"x")
        await keeping.store.put_piece("somebody", REQUEST, 0, b"x")
        await keeping.store.drop_pieces("nobody", REQUEST)
        await keeping.store.drop_pieces("nobody", REQUEST)
        assert await keeping.request("nobody") is None
        assert await keeping.request("somebody") == b"x"

    async def test_pieces_of_a_job_that_never_came_are_thrown_away_in_time(self, keeping: Keeping) -> None:
        new = new_job(body=None)
        await keeping.store.put_piece("nobody", REQUEST, 0, b"x")
        await keeping.store.put_piece(new.id, REQUEST, 0, b"x")
        patient = replace(new, terms=replace(new.terms, queue_timeout=9000.0))
        await keeping.store.submit(patient, QUEUES, keeping.world.now)
        await keeping.pass_time(1)
        assert await keeping.request("nobody") == b"x"
        await keeping.pass_time(3610)
        assert await keeping.request("nobody") is None
        assert await keeping.request(new.id) == b"x"

    # who comes first

    async def test_a_free_slot_is_for_those_who_waited(self, keeping: Keeping) -> None:
        await keeping.submit(ONE_SLOT)
        first = accepted(await keeping.submit(ONE_SLOT)).id
        submission = await keeping.submit(TWO_SLOTS)
        assert submission.claim is None
        assert ids(await keeping.claim()) == [first, accepted(submission).id]

    async def test_a_free_slot_is_for_a_higher_priority_first(self, keeping: Keeping) -> None:
        await keeping.queue(priority=3)
        assert (await keeping.submit(MANY, priority=3)).claim is None
        assert (await keeping.submit(MANY, priority=2)).claim is None
        assert (await keeping.submit(MANY, priority=4)).claim is not None

    async def test_what_waits_for_its_time_comes_before_nobody(self, keeping: Keeping) -> None:
        claim = await keeping.begin()
        await keeping.store.put_back(claim, keeping.world.now + 20, keeping.world.now)
        assert (await keeping.submit()).claim is not None
        await keeping.world.advance(30)
        assert (await keeping.submit()).claim is None

    async def test_what_waited_too_long_comes_before_nobody(self, keeping: Keeping) -> None:
        await keeping.queue(queue_timeout=15.0)
        await keeping.world.advance(30)
        assert (await keeping.submit()).claim is not None

    async def test_routes_do_not_take_slots_from_one_another(self, keeping: Keeping) -> None:
        await keeping.submit(ONE_SLOT)
        await keeping.queue(route="slow")
        assert (await keeping.submit(ONE_SLOT, route="other")).claim is not None

    async def test_a_slot_is_free_again_after_every_way_out(self, keeping: Keeping) -> None:
        claim = claimed(await keeping.submit(ONE_SLOT))
        await keeping.finish(claim)
        claim = claimed(await keeping.submit(ONE_SLOT))
        await keeping.store.cancel(claim.job.id, keeping.world.now)
        claim = claimed(await keeping.submit(ONE_SLOT))
        await keeping.store.put_back(claim, keeping.world.now + 30, keeping.world.now)
        assert (await keeping.submit(ONE_SLOT)).claim is not None
        assert (await keeping.submit(ONE_SLOT)).claim is None

    # limits

    async def test_a_full_queue_takes_nothing_more(self, keeping: Keeping) -> None:
        limits = replace(QUEUES, max_queued=2)
        first = accepted(await keeping.submit(limits, caller="x")).id
        await keeping.submit(limits, caller="y")
        new = new_job(caller="z")
        refused = await keeping.store.submit(new, limits, keeping.world.now)
        assert refused == Submission(Verdict.QUEUE_FULL)
        assert not await keeping.is_known(new.id)
        assert (await keeping.counts()).queued == 2
        assert (await keeping.submit(limits, route="other")).verdict is Verdict.ACCEPTED
        await keeping.store.cancel(first, keeping.world.now)
        assert (await keeping.submit(limits)).verdict is Verdict.ACCEPTED

    async def test_what_is_run_at_once_needs_no_place_in_the_queue(self, keeping: Keeping) -> None:
        limits = Limits(max_queued=0, max_queued_per_caller=0, concurrency=1)
        assert (await keeping.submit(limits)).claim is not None
        assert (await keeping.submit(limits)).verdict in {Verdict.QUEUE_FULL, Verdict.CALLER_FULL}

    async def test_what_is_claimed_gives_its_place_in_the_queue_back(self, keeping: Keeping) -> None:
        limits = Limits(max_queued=1, max_queued_per_caller=1, concurrency=0)
        await keeping.submit(limits)
        assert (await keeping.submit(limits)).verdict is not Verdict.ACCEPTED
        (claim,) = await keeping.claim()
        assert (await keeping.submit(limits)).verdict is Verdict.ACCEPTED
        await keeping.store.put_back(claim, keeping.world.now + 20, keeping.world.now)
        assert (await keeping.counts()).queued == 2
        assert (await keeping.submit(limits)).verdict is not Verdict.ACCEPTED

    async def test_a_caller_has_a_share_of_the_queue(self, keeping: Keeping) -> None:
        limits = replace(QUEUES, max_queued_per_caller=2)
        first = accepted(await keeping.submit(limits, caller="alice")).id
        await keeping.submit(limits, caller="alice")
        new = new_job(caller="alice")
        assert await keeping.store.submit(new, limits, keeping.world.now) == Submission(Verdict.CALLER_FULL)
        assert not await keeping.is_known(new.id)
        assert (await keeping.submit(limits, caller="bob")).verdict is Verdict.ACCEPTED
        assert (await keeping.submit(limits, caller="alice", route="other")).verdict is Verdict.ACCEPTED
        await keeping.store.cancel(first, keeping.world.now)
        assert (await keeping.submit(limits, caller="alice")).verdict is Verdict.ACCEPTED
        assert (await keeping.submit(limits, caller="alice")).verdict is Verdict.CALLER_FULL

    async def test_a_share_is_given_back_by_time(self, keeping: Keeping) -> None:
        limits = replace(QUEUES, max_queued_per_caller=1)
        await keeping.submit(limits, queue_timeout=15.0)
        await keeping.pass_time(30)
        assert (await keeping.submit(limits)).verdict is Verdict.ACCEPTED
        assert (await keeping.submit(limits)).verdict is Verdict.CALLER_FULL

    # keys

    async def test_the_same_key_gives_the_same_job(self, keeping: Keeping) -> None:
        first = accepted(await keeping.submit(key="k", fingerprint="f"))
        new = new_job(key="k", fingerprint="f")
        again = await keeping.store.submit(new, MANY, keeping.world.now)
        assert again.verdict is Verdict.REPLAYED
        assert again.job == first
        assert again.claim is None
        assert not await keeping.is_known(new.id)
        assert (await keeping.counts()).running == 1

    async def test_the_same_key_with_another_call_is_a_mistake(self, keeping: Keeping) -> None:
        await keeping.submit(key="k", fingerprint="f")
        again = await keeping.submit(key="k", fingerprint="g")
        assert (again.verdict, again.job, again.claim) == (Verdict.MISMATCH, None, None)
        assert (await keeping.submit(key="k", fingerprint="f")).verdict is Verdict.REPLAYED

    async def test_a_key_is_its_callers_and_its_routes_own(self, keeping: Keeping) -> None:
        await keeping.submit(key="k", fingerprint="f")
        assert (await keeping.submit(key="k", fingerprint="f", caller="bob")).verdict is Verdict.ACCEPTED
        assert (await keeping.submit(key="k", fingerprint="f", route="other")).verdict is Verdict.ACCEPTED
        assert (await keeping.submit(key="k2", fingerprint="f")).verdict is Verdict.ACCEPTED
        assert (await keeping.submit(key="K", fingerprint="f")).verdict is Verdict.ACCEPTED

    async def test_keys_do_not_run_into_one_another(self, keeping: Keeping) -> None:
        for route, caller, key in (
            ("r", "a:b", "c"),
            ("r", "a", "b:c"),
            ("r:a", "b", "c"),
            ("r", "a:b:c", "d"),
        ):
            submission = await keeping.submit(route=route, caller=caller, key=key, fingerprint="f")
            assert submission.verdict is Verdict.ACCEPTED

    async def test_jobs_without_a_key_are_not_the_same(self, keeping: Keeping) -> None:
        first = await keeping.submit(fingerprint="f")
        second = await keeping.submit(fingerprint="f")
        assert accepted(first).id != accepted(second).id

    async def test_a_key_is_known_when_the_queue_is_full(self, keeping: Keeping) -> None:
        limits = Limits(max_queued=1, max_queued_per_caller=1, concurrency=0)
        await keeping.submit(limits, key="k", fingerprint="f")
        assert (await keeping.submit(limits, key="k", fingerprint="f")).verdict is Verdict.REPLAYED
        assert (await keeping.submit(limits, key="k", fingerprint="g")).verdict is Verdict.MISMATCH
        assert (await keeping.submit(limits, key="l", fingerprint="f")).verdict is not Verdict.ACCEPTED

    async def test_a_key_of_a_refused_job_is_not_taken(self, keeping: Keeping) -> None:
        full = replace(QUEUES, max_queued=0)
        assert (await keeping.submit(full, key="k", fingerprint="f")).verdict is Verdict.QUEUE_FULL
        assert (await keeping.submit(key="k", fingerprint="g")).verdict is Verdict.ACCEPTED

    async def test_a_key_lives_as_long_as_its_job(self, keeping: Keeping) -> None:
        claim = await keeping.begin(key="k", fingerprint="f")
        await keeping.finish(claim)
        await keeping.world.advance(TTL - 10)
        assert await self._replay(keeping) == await keeping.find(claim.job.id)
        await keeping.world.advance(20)
        assert (await keeping.find(claim.job.id)).is_gone
        second = accepted(await keeping.submit(key="k", fingerprint="g"))
        assert second.id != claim.job.id
        # what becomes of the first does nothing to the second's key
        await keeping.pass_time(TTL)
        again = await keeping.submit(key="k", fingerprint="g")
        assert (again.verdict, again.job) == (Verdict.REPLAYED, second)

    async def test_a_key_lives_on_with_a_job_that_was_cancelled_or_forgotten(self, keeping: Keeping) -> None:
        claim = await keeping.begin(key="k", fingerprint="f")
        await keeping.store.cancel(claim.job.id, keeping.world.now)
        assert (await self._replay(keeping)).state is State.CANCELLED
        await keeping.store.forget(claim.job.id, keeping.world.now)
        assert (await self._replay(keeping)).is_forgotten

    async def test_a_route_reads_its_own_name(self, keeping: Keeping) -> None:
        await keeping.queue()
        assert (await keeping.counts(ROUTE)).queued == 1
        assert (await keeping.counts("other")).queued == 0

    async def _replay(self, keeping: Keeping) -> Job:
        submission = await keeping.submit(key="k", fingerprint="f")
        assert submission.verdict is Verdict.REPLAYED
        assert submission.job is not None
        return submission.job
