"""The store in a file does what every store does, survives what kills a process, and never blocks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater

from tests.stores.sqlite.world import SqliteWorld
from tests.stores.suite import StoreSuite
from tests.stores.world import MANY, REQUEST_BODY, ROUTE, Keeping, World, ids, new_job
from twistedgate.jobs.job import Claim, Delivery, State
from twistedgate.jobs.store import REQUEST, RESULT, StoreAway, StoreFull
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.store import JOB, WORK, SqliteStore

CHILD = """
import json, os, signal, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from tests.stores.world import MANY, QUEUES, new_job, room
from twistedgate.jobs.job import Delivery
from twistedgate.stores.sqlite.store import SqliteStore

def say(*words):
    os.write(1, json.dumps(words).encode() + b"\\n")

async def live(path, now):
    store = SqliteStore(Path(path), reactor, "child")
    await store.start()
    await {life}
    # as nobody can end in order
    os.kill(os.getpid(), signal.SIGKILL)

async def accept(store, now):
    for delivery in (Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE):
        say("running", (await store.submit(new_job(delivery=delivery), MANY, now)).job.id)
    for _ in range(20):
        say("queued", (await store.submit(new_job(), QUEUES, now)).job.id)

async def compete(store, now):
    sys.stdin.readline()
    while claims := await store.claim([room(3)], now):
        for claim in claims:
            say("claimed", claim.job.id)

def failed(failure):
    failure.printTraceback()
    reactor.stop()

reactor.callWhenRunning(lambda: ensureDeferred(live(sys.argv[1], float(sys.argv[2]))).addErrback(failed))
reactor.run()
"""


class TestSqliteStore(StoreSuite):
    """What is asked of every store."""

    examples = 15

    def make_world(self, place: Path) -> World:
        return SqliteWorld(place)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SqliteWorld]:
    """A directory with stores on one file."""
    made = SqliteWorld(tmp_path)
    yield made
    made.run(made.close())


@pytest.fixture
def keeping(world: SqliteWorld) -> Keeping:
    """A store at work."""
    return Keeping(world, world.run(world.open()))


def child(world: SqliteWorld, life: str) -> subprocess.Popen[str]:
    """Start a process that lives so on the file, and kills itself."""
    command = [sys.executable, "-c", CHILD.replace("{life}", life), str(world.path), str(world.now)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], go: str = "") -> dict[str, list[str]]:
    """Return what a process said before it died."""
    words: dict[str, list[str]] = {}
    with process:
        output, _ = process.communicate(go, timeout=50)
    for line in output.splitlines():
        word, job = json.loads(line)
        words.setdefault(word, []).append(job)
    assert process.returncode == -9
    return words


# processes


async def test_what_was_accepted_survives_its_process_and_runs_are_judged_at_once(world: SqliteWorld) -> None:
    words = said(child(world, "accept(store, now)"))
    assert (len(words["running"]), len(words["queued"])) == (2, 20)
    keeping = Keeping(world, await world.open())
    once, again = words["running"]
    swept = await keeping.store.sweep({ROUTE}, world.now)
    assert (swept.interrupted, swept.put_back, swept.ids) == (1, 1, (once,))
    claims = await keeping.claim()
    assert ids(claims) == [again, *words["queued"]]
    assert all(claim.body == REQUEST_BODY for claim in claims)
    job = await keeping.find(once)
    assert (job.state, job.reason, job.terms.delivery) == (State.FAILED, "interrupted", Delivery.AT_MOST_ONCE)


async def test_processes_that_compete_for_jobs_share_them(keeping: Keeping, world: SqliteWorld) -> None:
    queued = [await keeping.queue() for _ in range(60)]
    processes = [child(world, "compete(store, now)") for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [said(process).get("claimed", []) for process in processes]
    assert sorted(taken[0] + taken[1]) == sorted(queued)


# what one store does for whoever left


class Stay:
    """An errand that the thread stays with until it is let go."""

    def __init__(self, store: SqliteStore) -> None:
        self.may_go = threading.Event()
        self.begun: Deferred[None] = Deferred()
        self._reactor = store._reactor
        store._thread.perform(self._wait).addErrback(lambda away: away.trap(StoreAway))

    def _wait(self, _: Ledger) -> None:
        self._reactor.callFromThread(self.begun.callback, None)
        assert self.may_go.wait(10.0)


async def test_a_claim_that_nobody_waited_for_is_put_back(keeping: Keeping) -> None:
    job = await keeping.queue()
    leaving: Deferred[list[Claim]] = ensureDeferred(keeping.claim())
    leaving.cancel()
    with pytest.raises(CancelledError):
        await leaving
    again: list[str] = []
    while not again:
        again = ids(await keeping.claim())
    assert again == [job]


async def test_a_job_whose_submitter_left_is_run_by_another(keeping: Keeping) -> None:
    new = new_job()
    leaving = ensureDeferred(keeping.store.submit(new, MANY, keeping.world.now))
    leaving.cancel()
    with pytest.raises(CancelledError):
        await leaving
    again: list[str] = []
    while not again:
        again = ids(await keeping.claim())
    assert again == [new.id]


@pytest.mark.parametrize("key", ["", "k-1"])
@pytest.mark.parametrize("concurrency", [0, 1])
async def test_a_job_that_was_kept_too_late_to_be_accepted_is_known_by_its_key_or_not_at_all(
    keeping: Keeping, key: str, concurrency: int
) -> None:
    store = keeping.store
    assert isinstance(store, SqliteStore)
    first = Stay(store)
    await first.begun
    limits = replace(MANY, concurrency=concurrency)
    new = new_job(key=key, callback="https://client.example/")
    submitting = ensureDeferred(store.submit(new, limits, keeping.world.now))
    third = Stay(store)
    first.may_go.set()
    # by now the submission is in the batch of the third
    await third.begun
    for errand in store._thread._outstanding:
        errand.since -= 60.0
    store._thread.expire()
    with pytest.raises(StoreAway):
        await submitting
    third.may_go.set()
    while store._thread._is_stuck or store._thread._outstanding:
        await deferLater(store._reactor, 0.01)  # type: ignore[arg-type]
    found = await store.find(new.id, keeping.world.now)
    assert (found.state if found else None) == (State.QUEUED if key else None)
    counted = await store.counts(keeping.world.now)
    assert [count.queued + count.running for count in counted.values()] == ([1] if key else [])


# many at once


async def test_many_that_are_handed_in_at_once_are_kept_by_few_commits(keeping: Keeping) -> None:
    store = keeping.store
    assert isinstance(store, SqliteStore)
    frames = await _written(store)
    await gatherResults([ensureDeferred(keeping.submit()) for _ in range(200)])
    assert (await keeping.counts()).running == 200
    # each commit alone would write its pages anew: more than five for each job
    assert await _written(store) - frames < 3 * 200


async def _written(store: SqliteStore) -> int:
    """Return how many pages the log has had written to it."""

    def count(ledger: Ledger) -> int:
        return int(ledger.one("PRAGMA wal_checkpoint(PASSIVE)")[1])

    return int(await store._thread.perform(count, is_write=False))


# what others change


async def test_changes_are_announced_and_heard(world: SqliteWorld) -> None:
    first, second = await world.open("a"), await world.open("b")
    assert isinstance(first, SqliteStore)
    assert isinstance(second, SqliteStore)
    announced: list[tuple[str, str]] = []
    first.announce = lambda kind, name: announced.append((kind, name))
    keeping = Keeping(world, first)
    job = await keeping.queue()
    (claim,) = await keeping.claim()
    await keeping.finish(claim)
    await keeping.counts()
    assert announced == [(WORK, ROUTE), (JOB, job), (JOB, job)]
    heard: list[str] = []
    second.watch(job, lambda: heard.append("changed"))
    second.on_work(lambda: heard.append("work"))
    second.hear(JOB, "another")
    second.hear(JOB, job)
    second.hear(WORK, ROUTE)
    assert heard == ["changed", "work"]


async def test_what_others_change_is_found_without_being_announced(world: SqliteWorld) -> None:
    keeping, other = Keeping(world, await world.open("a")), await world.open("b")
    claim = await keeping.begin()
    told: list[str] = []
    stop = other.watch(claim.job.id, lambda: told.append("told"))
    assert await other.find(claim.job.id, world.now) == claim.job
    await keeping.finish(claim)
    await world.eventually(lambda: told)
    stop()


# trouble


async def test_where_there_is_no_room_nothing_is_kept_by_half(
    keeping: Keeping,
) -> None:
    claim = await keeping.begin()
    store = keeping.store
    assert isinstance(store, SqliteStore)

    async def limit(pages: int) -> None:
        await store._thread.perform(
            lambda ledger: ledger.all(f"PRAGMA max_page_count = {pages}"), is_write=False
        )

    await limit(1)
    large = b"x" * 200_000
    with pytest.raises(StoreFull):
        await keeping.submit(body=large, length=len(large))
    with pytest.raises(StoreFull):
        await store.put_piece("upload", REQUEST, 0, large)
    with pytest.raises(StoreFull):
        await store.put_piece(claim.job.id, RESULT, 0, large)
    assert (await keeping.counts()).running == 1
    await limit(1_000_000)
    assert await store.get_piece("upload", REQUEST, 0) is None
    await store.put_piece(claim.job.id, RESULT, 0, large)
    assert await keeping.finish(claim) is True


async def test_a_store_that_is_not_open_is_away(world: SqliteWorld) -> None:
    store = await world.make_store("a")
    with pytest.raises(StoreAway):
        await store.find("job", world.now)
    await store.stop()
    await store.stop()


async def test_a_file_that_cannot_be_used_is_said_to_be_at_start(world: SqliteWorld) -> None:
    world.path.write_bytes(b"this is no database, but a text that is long enough to be taken for one" * 20)
    store = await world.make_store("a")
    with pytest.raises(StoreAway, match="name a file of twistedgate's own"):
        await store.start()
    await store.stop()
