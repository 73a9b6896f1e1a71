"""The state of a configuration says which store it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from twistedgate.config.model import GatewayConfig
from twistedgate.config.redis_address import parse_address
from twistedgate.config.state import StateConfig
from twistedgate.stores.choosing import make_store
from twistedgate.stores.memory import MemoryStore
from twistedgate.stores.redis.store import RedisStore
from twistedgate.stores.sqlite.store import SqliteStore


def gateway(state: StateConfig, **options: Any) -> GatewayConfig:
    """Return a configuration of that state."""
    return GatewayConfig("", state=state, **options)


def test_memory_is_the_process_itself(reactor: Any) -> None:
    store = make_store(gateway(StateConfig("memory:"), state_max=1 << 20), reactor)
    assert isinstance(store, MemoryStore)
    assert store.runner.endswith(f"-{os.getpid()}")


async def test_sqlite_is_its_file(reactor: Any, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = make_store(gateway(StateConfig(f"sqlite:{path}", path=str(path))), reactor)
    assert isinstance(store, SqliteStore)
    await store.start()
    await store.stop()
    assert path.exists()


@pytest.mark.parametrize("password", ["", "secret"])
def test_redis_is_its_address(reactor: Any, password: str) -> None:
    text = "redis://127.0.0.1:6379/2"
    state = StateConfig(text, redis=parse_address(text))
    store = make_store(gateway(state, state_password=password), reactor)
    assert isinstance(store, RedisStore)
    assert not store.is_up
