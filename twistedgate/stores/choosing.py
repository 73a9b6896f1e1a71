"""The store that a configuration names.

What a store needs is imported when it is chosen: SQLite's file and Redis' client are of no use to others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twistedgate.config.model import GatewayConfig
from twistedgate.jobs.store import JobStore
from twistedgate.stores.memory import MemoryStore


def make_store(gateway: GatewayConfig, reactor: Any) -> JobStore:
    """Return the store of ``state``, which is not open yet, for this process to run jobs from."""
    name = f"{os.uname().nodename}-{os.getpid()}"
    state = gateway.state
    if state.path:
        from twistedgate.stores.sqlite.store import SqliteStore

        return SqliteStore(Path(state.path), reactor, name)
    if state.redis is not None:
        from twistedgate.stores.redis.store import RedisStore

        return RedisStore(reactor, state.redis, gateway.state_password, name)
    return MemoryStore(name, gateway.state_max)
