"""The store in memory does what every store does; it is bounded, and never takes long."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tests.stores.suite import StoreSuite
from tests.stores.world import World
from twistedgate.jobs.store import JobStore
from twistedgate.stores.memory import Memory, MemoryStore

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
