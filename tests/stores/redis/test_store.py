"""The store in a real Redis does what every store does; and what becomes of jobs while Redis is away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import capturedLogs, formatEvent

from tests.stores.redis.server import RedisServer
from tests.stores.redis.world import RedisWorld
from tests.stores.suite import StoreSuite
from tests.stores.world import (
    HEAD,
    LOST,
    MANY,
    QUEUES,
    RESULT_BODY,
    ROUTE,
    Keeping,
    World,
    accepted,
    ids,
    new_job,
)
from twistedgate.jobs.job import Claim, Counts, Delivery, End, State, Verdict
from twistedgate.jobs.store import REQUEST, RESULT, StoreAway, StoreFull
from twistedgate.stores.redis.store import RedisStore


class TestRedisStore(StoreSuite):
    """What is asked of every store."""

    server: RedisServer

    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def make_world(self, place: Path) -> World:
        return RedisWorld(self.server)


def store_of(keeping: Keeping) -> RedisStore:
    """Return the store, as more than any store is."""
    assert isinstance(keeping.store, RedisStore)
    return keeping.store


async def restart(server: RedisServer, *keepings: Keeping) -> None:
    """Restart Redis, and wait until everybody is connected again."""
    stores = [store_of(each) for each in keepings]
    epochs = [store._session.epoch for store in stores]
    server.restart()
    await keepings[0].world.eventually(
        lambda: all(
            store.is_up and store._session.epoch > epoch for store, epoch in zip(stores, epochs, strict=True)
        )
    )


async def back(keeping: Keeping) -> None:
    """Wait until Redis is there again."""
    store = store_of(keeping)
    await keeping.world.eventually(lambda: store.is_up)


def later(keeping: Keeping, seconds: float) -> None:
    """Let Redis' clock go on while nobody says that he lives."""
    store_of(keeping).scripts.offset += round(seconds * 1000)


# Redis is away


@pytest.mark.parametrize("is_killed", [True, False])
async def test_who_asks_while_redis_is_away_is_told(
    keeping: Keeping, is_killed: bool, own_server: RedisServer
) -> None:
    claim = await keeping.begin()
    own_server.kill() if is_killed else own_server.freeze()
    for asking in (
        keeping.submit,
        lambda: keeping.find(claim.job.id),
        keeping.claim,
        keeping.counts,
        lambda: keeping.store.renew(0.0),
        lambda: keeping.store.put_piece("x", REQUEST, 0, b"x"),
    ):
        with pytest.raises(StoreAway):
            await asking()
    if is_killed:
        own_server.start()
    else:
        own_server.thaw()
    await back(keeping)
    assert (await keeping.find(claim.job.id)).state is State.RUNNING
    assert await keeping.finish(claim) is True


async def test_what_ends_while_redis_is_away_is_said_when_it_is_back(
    keeping: Keeping, own_server: RedisServer
) -> None:
    succeeds, fails, again, large = [await keeping.begin() for _ in range(4)]
    own_server.kill()
    saying = [
        ensureDeferred(keeping.finish(succeeds)),
        ensureDeferred(keeping.finish(fails, LOST)),
        ensureDeferred(keeping.store.put_back(again, 0.0, 0.0)),
        ensureDeferred(put_large(keeping, large)),
    ]
    await keeping.world.eventually(lambda: store_of(keeping)._spool.waiting == 3)
    assert not any(said.called for said in saying)
    own_server.start()
    assert [await said for said in saying] == [True, True, True, True]
    assert [(await keeping.find(claim.job.id)).state for claim in (succeeds, fails, again, large)] == [
        *(State.SUCCEEDED, State.FAILED, State.QUEUED, State.SUCCEEDED)
    ]
    assert await keeping.result(succeeds.job.id) == RESULT_BODY
    assert await keeping.result(large.job.id) == b"onetwo"


async def put_large(keeping: Keeping, claim: Claim) -> bool:
    """Write a result in pieces and say that it is there."""
    await keeping.store.put_piece(claim.job.id, RESULT, 0, b"one")
    await keeping.store.put_piece(claim.job.id, RESULT, 1, b"two")
    return await keeping.finish(claim, End(State.SUCCEEDED, HEAD, None))


async def test_what_is_said_twice_since_the_answer_got_lost_counts_once(
    keeping: Keeping, own_server: RedisServer
) -> None:
    claim = await keeping.begin()
    own_server.freeze()
    finishing = ensureDeferred(keeping.finish(claim))
    await keeping.world.eventually(lambda: store_of(keeping)._spool.waiting)
    # Redis has read the first one by now, and does what it says before it hears the second one
    own_server.thaw()
    assert await finishing is True
    assert (await keeping.find(claim.job.id)).version == 2
    assert await keeping.finish(claim) is False


async def test_a_submission_whose_answer_got_lost_is_withdrawn(
    keeping: Keeping, own_server: RedisServer
) -> None:
    for limits, key in ((MANY, "k"), (QUEUES, "l")):
        own_server.freeze()
        with pytest.raises(StoreAway):
            await keeping.submit(limits, key=key)
        own_server.thaw()
        await back(keeping)
    assert await keeping.counts() == Counts()
    assert (await keeping.store.list_jobs(None, None, 10, "", 0.0)).jobs == ()
    # and its key is free
    assert accepted(await keeping.submit(key="k"))
    keys = {
        key.decode().removeprefix(store_of(keeping).scripts.prefix) for key in own_server.ask("KEYS", "*")
    }
    assert len([key for key in keys if key.startswith("job:")]) == 1


async def test_a_lost_submission_stays_if_somebody_knows_of_it(
    keeping: Keeping, own_server: RedisServer
) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    lost = new_job(key="k", fingerprint="f")
    store = store_of(keeping)
    # it was kept, and the answer did not arrive
    submission = await store.submit(lost, MANY, 0.0)
    assert submission.claim is not None
    store._session.let_go(lost.id, submission.claim.fence)
    store._session.withdraw(lost.id)
    assert (await other.submit(key="k", fingerprint="f")).verdict is Verdict.REPLAYED
    await restart(own_server, keeping, other)
    job = await other.find(lost.id)
    assert (job.state, job.attempts, job.started) == (State.QUEUED, 0, None)
    assert ids(await other.claim()) == [lost.id]


async def test_claims_that_got_lost_are_given_back(keeping: Keeping, own_server: RedisServer) -> None:
    held = await keeping.begin()
    job = await keeping.queue()
    own_server.freeze()
    with pytest.raises(StoreAway):
        await keeping.claim()
    own_server.thaw()
    await back(keeping)
    assert (await keeping.find(held.job.id)).state is State.RUNNING
    (claim,) = await keeping.claim()
    assert (claim.job.id, claim.job.attempts) == (job, 1)


async def test_what_an_earlier_connection_still_sends_does_nothing(keeping: Keeping) -> None:
    store = store_of(keeping)
    await keeping.queue()
    for asking in (keeping.claim, keeping.submit):
        epoch = store._session.epoch
        store._session.epoch -= 1
        with pytest.raises(StoreAway, match="STALE"):
            await asking()
        # and it is given up for good
        await keeping.world.eventually(lambda epoch=epoch: store.is_up and store._session.epoch == epoch)  # type: ignore[misc]
    assert (await keeping.counts()).queued == 1


@pytest.mark.parametrize("is_claim", [True, False])
async def test_a_claim_that_nobody_waits_for_is_given_back(keeping: Keeping, is_claim: bool) -> None:
    if is_claim:
        await keeping.queue()
    asking: Deferred[object] = ensureDeferred(keeping.claim() if is_claim else keeping.submit())
    asking.cancel()
    with pytest.raises(CancelledError):
        await asking
    while (await keeping.counts()).queued != 1:
        pass
    (claim,) = await keeping.claim()
    assert claim.job.attempts == 1


async def test_a_redis_that_is_restarted_empty_is_a_new_one(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path)
    world = RedisWorld(server)
    keeping = Keeping(world, await world.open())
    other = Keeping(world, await world.open("b"))
    running, queued = await keeping.begin(key="k"), await keeping.queue()
    changes: list[str] = []
    stop = keeping.store.watch(queued, lambda: changes.append(queued))
    server.kill()
    finishing = ensureDeferred(keeping.finish(running))
    server.start()
    assert await finishing is False
    await back(keeping)
    await back(other)
    assert not await keeping.is_known(queued)
    assert await keeping.store.cancel(queued, 0.0) is None
    assert changes
    stop()
    # it goes on
    claim = await keeping.begin(key="k")
    assert (await other.find(claim.job.id)).state is State.RUNNING
    assert await keeping.finish(claim) is True
    await world.close()
    server.kill()


async def test_whoever_watches_hears_again_after_a_loss(keeping: Keeping, own_server: RedisServer) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    claim = await keeping.begin()
    changes: list[str] = []
    work: list[str] = []
    stop = other.store.watch(claim.job.id, lambda: changes.append("change"))
    other.store.on_work(lambda: work.append("work"))
    await restart(own_server, keeping, other)
    await keeping.world.eventually(lambda: changes and work)
    changes.clear()
    work.clear()
    await keeping.finish(claim)
    await keeping.queue()
    await keeping.world.eventually(lambda: changes and work)
    stop()


async def test_after_redis_was_away_owners_have_time_to_say_that_they_live(keeping: Keeping) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    claim = await keeping.begin()
    for each in (keeping, other):
        later(each, 600)
    assert (await other.store.sweep((), 0.0)).interrupted == 0
    for each in (keeping, other):
        later(each, 9)
    await keeping.store.renew(0.0)
    for each in (keeping, other):
        later(each, 9)
    await other.store.renew(0.0)
    assert (await other.store.sweep((), 0.0)).interrupted == 0
    assert await keeping.finish(claim) is True


async def test_who_does_not_say_that_he_lives_loses_what_he_has(keeping: Keeping) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    claim = await keeping.begin()
    interrupted = []
    for _ in range(7):
        for each in (keeping, other):
            later(each, 10)
        await other.store.renew(0.0)
        interrupted.append((await other.store.sweep((), 0.0)).interrupted)
    assert interrupted == [0, 0, 0, 0, 0, 1, 0]
    assert await keeping.finish(claim) is False


async def test_pieces_of_a_run_that_does_not_count_are_not_those_of_the_one_that_does(
    keeping: Keeping,
) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    first = await keeping.begin(delivery=Delivery.AT_LEAST_ONCE)
    job = first.job.id
    await keeping.store.put_piece(job, RESULT, 0, b"wrong")
    keeping.world.server.ask("ZADD", f"{keeping.world.prefix}runners", 1, keeping.store.runner)  # type: ignore[attr-defined]
    assert (await other.store.sweep(None, 0.0)).put_back == 1
    (second,) = await other.claim()
    await keeping.store.put_piece(job, RESULT, 1, b"wrong")
    await other.store.put_piece(job, RESULT, 0, b"right")
    await keeping.store.put_piece(job, RESULT, 2, b"wrong")
    large = End(State.SUCCEEDED, HEAD, None)
    assert await keeping.finish(first, large) is False
    assert await other.finish(second, large) is True
    # by now it holds no claim at all
    await keeping.store.put_piece(job, RESULT, 0, b"wrong")
    await keeping.store.drop_pieces(job, RESULT)
    assert await other.result(job) == b"right"


async def test_a_route_is_gone_when_no_gateway_has_it(keeping: Keeping) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    await keeping.store.sweep(("reports",), 0.0)
    job = await keeping.queue()
    assert (await other.store.sweep((), 0.0)).ids == ()
    assert (await keeping.store.sweep((), 0.0)).ids == (job,)
    assert (await keeping.find(job)).reason == "route-gone"


async def test_a_gateway_that_is_started_anew_finds_the_jobs_of_its_routes(keeping: Keeping) -> None:
    other = Keeping(keeping.world, await keeping.world.open("b"))
    job = await keeping.queue(queue_timeout=1000.0)
    await keeping.world.stop(keeping.store)
    assert (await other.store.sweep((), 0.0)).ids == ()
    await other.world.advance(50)
    assert (await other.store.sweep((), 0.0)).ids == ()
    await other.world.advance(20)
    assert (await other.store.sweep((), 0.0)).ids == (job,)


async def test_a_redis_without_room_takes_no_jobs_and_every_end(
    keeping: Keeping, own_server: RedisServer
) -> None:
    claim = await keeping.begin()
    own_server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreFull):
        await keeping.submit()
    with pytest.raises(StoreFull):
        await keeping.store.put_piece("x", REQUEST, 0, b"x")
    assert await keeping.finish(claim) is True
    assert await keeping.result(claim.job.id) == RESULT_BODY
    own_server.ask("CONFIG", "SET", "maxmemory", "0")
    assert accepted(await keeping.submit())


async def test_a_redis_without_room_forgets_what_is_too_old_and_knows_who_lives(
    keeping: Keeping, own_server: RedisServer
) -> None:
    claim, under_way = await keeping.begin(callback="https://client.example/"), await keeping.begin()
    await keeping.finish(claim)
    own_server.ask("CONFIG", "SET", "maxmemory", "1")
    (callback,) = await keeping.store.due_callbacks(1, 0.0)
    await keeping.store.callback_ended(callback, None, 0.0)
    for _ in range(11):
        later(keeping, 10)
        await keeping.store.renew(0.0)
    assert (await keeping.store.sweep((ROUTE,), 0.0)).forgotten == 1
    own_server.ask("CLIENT", "KILL", "TYPE", "normal")
    await keeping.world.eventually(lambda: not store_of(keeping).is_up)
    await keeping.world.eventually(lambda: store_of(keeping).is_up)
    assert (await keeping.find(under_way.job.id)).state is State.RUNNING
    assert await keeping.finish(under_way) is True


async def test_a_result_that_finds_no_room_is_given_up(keeping: Keeping, own_server: RedisServer) -> None:
    once, again = await keeping.begin(), await keeping.begin(delivery=Delivery.AT_LEAST_ONCE)
    store_of(keeping)._spool._limit = 1
    own_server.kill()
    saying = [ensureDeferred(keeping.finish(claim)) for claim in (once, again)]
    await keeping.world.eventually(lambda: store_of(keeping)._spool.waiting == 2)
    own_server.start()
    assert [await said for said in saying] == [True, True]
    found = [await keeping.find(claim.job.id) for claim in (once, again)]
    assert [(job.state, job.reason) for job in found] == [(State.FAILED, "interrupted"), (State.QUEUED, "")]


async def test_who_stops_while_redis_is_away_does_not_wait_for_ever(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    world = RedisWorld(server)
    keeping = Keeping(world, await world.open())
    claim = await keeping.begin()
    server.kill()
    finishing = ensureDeferred(keeping.finish(claim))
    store_of(keeping).stop_wait = 0.0
    await world.close()
    with pytest.raises(StoreAway):
        await finishing


async def test_a_redis_that_is_away_at_the_start_is_found_later(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    world = RedisWorld(server)
    store = await world.make_store("a")
    server.kill()
    with capturedLogs() as logged:
        await store.start()
        keeping = Keeping(world, store)
        with pytest.raises(StoreAway):
            await keeping.submit()
        server.start()
        await back(keeping)
    assert accepted(await keeping.submit())
    await store.stop()
    server.kill()
    said = [formatEvent(event) for event in logged]
    assert [line for line in said if "is away" in line] == [
        f"Redis ({server.path}) is away, jobs wait: {reason}; tried again until it is back"
        for reason in said[0].partition("jobs wait: ")[2].partition(";")[:1]
    ]
    assert f"Redis ({server.path}) is back" in said


def test_the_reactor_that_runs_is_ours() -> None:
    program = (
        "from twistedgate.tap import install_reactor\n"
        "name = install_reactor()\n"
        "from twistedgate.stores.redis.store import RedisStore\n"
        "from twisted.internet import reactor\n"
        "print(name, type(reactor).__name__, RedisStore.__name__)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.stdout.split() == ["LeanEPollReactor", "LeanEPollReactor", "RedisStore"], ended.stderr


def test_nothing_that_a_start_loads_without_it_brings_the_library() -> None:
    program = (
        "import sys\n"
        "import twistedgate.tap, twistedgate.service, twistedgate.cli, twistedgate.published\n"
        "print('txredisapi' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.stdout.strip() == "False", ended.stderr
