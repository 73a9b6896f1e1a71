"""The world of a store in a file: several stores of this process on one file, each a runner of its own."""

from __future__ import annotations

import os
from pathlib import Path

from tests.stores.world import World
from twistedgate.jobs.store import JobStore
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.store import SqliteStore


class SqliteWorld(World):
    """Stores on one file in a directory."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.path = place / "jobs.sqlite"

    async def make_store(self, runner: str) -> SqliteStore:
        """Return one more store on the file."""
        from twisted.internet import reactor

        return SqliteStore(self.path, reactor, runner)  # type: ignore[arg-type]

    async def abandon(self, store: JobStore) -> None:
        """Let its runner die: the file of its life stays where it is, and nobody holds it."""
        assert isinstance(store, SqliteStore)
        life = store._thread.life

        def die(_: Ledger) -> None:
            assert life._descriptor is not None
            os.close(life._descriptor)
            life._descriptor = None

        await store._thread.perform(die)
        await store.stop()
