"""The store in memory does what every store does; it is bounded, and never takes long."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.stores.suite import StoreSuite
from tests.stores.world import DONE, LOST, QUEUE_TIMEOUT, QUEUES, TTL, Keeping, World, new_job
from twistedgate.jobs.job import INLINE, End, Head, State
from twistedgate.jobs.store import REQUEST, RESULT, JobStore, StoreFull
from twistedgate.stores.memory import AT_ONCE, Memory, MemoryStore

T = TypeVar("T")

MIB = 1024 * 1024


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("it waits for something")


class MemoryWorld(World):
    """Several stores on one memory, which outlives them here as it does not outside."""

    is_durable = True

    def __init__(self, state_max: int = 256 * MIB) -> None:
        super().__init__()
        self.memory = Memory(state_max)

    async def make_store(self, runner: str) -> MemoryStore:
        """Return one more store on the memory."""
        return MemoryStore(runner, 0, self.memory)

    async def abandon(self, store: JobStore) -> None:
        """Let its runner die."""
        self.memory.living.discard(store.runner)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine: nothing here waits."""
        return run(coroutine)


class TestMemory(StoreSuite):
    """All that is asked of a store."""

    examples = 100
    steps = 60

    def make_world(self, place: Path) -> World:
        """Return a world in memory."""
        return MemoryWorld()


def _keeping(state_max: int) -> Keeping:
    """Return a store with little room."""
    world = MemoryWorld(state_max)
    return Keeping(world, run(world.open()))


def test_new_jobs_are_refused_when_there_is_no_room_and_nothing_is_kept_of_them() -> None:
    keeping = _keeping(MIB)
    body = bytes(100_000)
    accepted = 8
    for number in range(accepted):
        run(keeping.submit(QUEUES, body=body, key=f"k{number}", fingerprint="f"))
    new = new_job(body=bytes(200_000), key="k", fingerprint="f")
    with pytest.raises(StoreFull):
        run(keeping.store.submit(new, QUEUES, keeping.world.now))
    assert not run(keeping.is_known(new.id))
    assert run(keeping.counts()).queued == accepted
    run(keeping.pass_time(QUEUE_TIMEOUT))
    run(keeping.pass_time(TTL))
    assert run(keeping.submit(QUEUES, body=body)).job is not None


def test_pieces_are_refused_when_there_is_no_room() -> None:
    keeping = _keeping(MIB)
    for number in range(3):
        run(keeping.store.put_piece("id", REQUEST, number, bytes(INLINE)))
    with pytest.raises(StoreFull):
        run(keeping.store.put_piece("id", REQUEST, 3, bytes(INLINE)))
    run(keeping.store.drop_pieces("id", REQUEST))
    run(keeping.store.put_piece("id", REQUEST, 0, bytes(INLINE)))


def test_an_answer_takes_the_place_of_its_request() -> None:
    keeping = _keeping(MIB)
    claim = run(keeping.begin(body=bytes(800_000)))
    answer = End(State.SUCCEEDED, Head(200, (), 900_000), bytes(900_000))
    assert run(keeping.finish(claim, answer)) is True
    assert run(keeping.result(claim.job.id)) == bytes(900_000)


def test_an_answer_without_room_changes_nothing_and_its_job_can_still_fail() -> None:
    keeping = _keeping(MIB)
    claim = run(keeping.begin())
    with pytest.raises(StoreFull):
        run(keeping.finish(claim, End(State.SUCCEEDED, Head(200, (), 2 * MIB), bytes(2 * MIB))))
    for number in range(3):
        run(keeping.store.put_piece(claim.job.id, RESULT, number, bytes(INLINE)))
    with pytest.raises(StoreFull):
        run(keeping.store.put_piece(claim.job.id, RESULT, 3, bytes(INLINE)))
    assert run(keeping.find(claim.job.id)) == claim.job
    assert run(keeping.finish(claim, End(State.FAILED, reason="result-too-large"))) is True
    assert run(keeping.begin(body=bytes(800_000)))


def test_pieces_of_an_answer_that_nobody_waits_for_are_let_fall() -> None:
    keeping = _keeping(MIB)
    claim = run(keeping.begin())
    run(keeping.store.cancel(claim.job.id, keeping.world.now))
    run(keeping.store.put_piece(claim.job.id, RESULT, 0, b"late"))
    assert run(keeping.result(claim.job.id)) is None


def test_everything_is_given_back_in_the_end() -> None:
    world = MemoryWorld()
    keeping = Keeping(world, run(world.open()))
    for number in range(200):
        claim = run(keeping.begin(key=f"k{number}", callback="https://client.example/" if number % 2 else ""))
        if number % 5:
            run(keeping.finish(claim, DONE if number % 3 else LOST))
        else:
            run(keeping.store.put_back(claim, world.now + 5, world.now))
    stop = keeping.store.watch("id", lambda: None)
    stop()
    for _ in range(5):
        run(keeping.pass_time(TTL))
        for callback in run(keeping.store.due_callbacks(1000, world.now)):
            run(keeping.store.callback_ended(callback, None, world.now))
    memory, ledger = world.memory, world.memory.ledger
    assert (ledger.used, ledger.records, len(ledger.ends), len(memory.timeouts)) == (0, {}, 0, 0)
    assert (memory.tellings, len(memory.callbacks), memory.watches) == ({}, 0, {})
    assert memory.running == {"a": {}}


def test_thousands_that_expire_leave_with_those_that_come() -> None:
    world = MemoryWorld()
    keeping = Keeping(world, run(world.open()))
    for _ in range(300):
        run(keeping.finish(run(keeping.begin())))
    run(world.advance(3 * TTL))
    for come in range(1, 101):
        run(keeping.begin())
        # each leaves in two steps: first its content goes, then its name
        steps = AT_ONCE * come
        left = 300 - max(0, steps - 300)
        assert len(world.memory.ledger.records) == max(0, left) + come


def test_one_that_shares_nothing_stands_alone() -> None:
    alone = MemoryStore("a", MIB)
    assert alone.memory is not MemoryStore("a", MIB).memory
