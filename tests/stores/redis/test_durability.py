"""A Redis that would lose jobs is doubted, in one line for each reason; one that keeps them is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.stores.redis.server import RedisServer
from tests.stores.redis.world import RedisWorld
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.durability import doubts

EVICTS = "it throws jobs away when its memory is full (maxmemory-policy is {}, not noeviction)"
FORGETS = "it keeps nothing on disk (no appendonly and no save): jobs are gone when it is restarted"


async def doubted(reactor: Any, server: RedisServer) -> list[str]:
    """Return what is doubted of a server."""
    line = await Dial(reactor, server.address, "")()
    found = await doubts(line)
    await line.close()
    return found


async def test_each_reason_is_a_sentence(reactor: Any, own_server: RedisServer) -> None:
    assert await doubted(reactor, own_server) == []
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert await doubted(reactor, own_server) == [EVICTS.format("allkeys-lru")]
    own_server.ask("CONFIG", "SET", "appendonly", "no")
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    assert await doubted(reactor, own_server) == [EVICTS.format("volatile-ttl"), FORGETS]
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    own_server.ask("CONFIG", "SET", "save", "60 1")
    assert await doubted(reactor, own_server) == []


async def test_what_may_not_be_read_is_not_doubted(reactor: Any, tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--rename-command", "CONFIG", "")
    assert await doubted(reactor, server) == []
    server.kill()
    server.start()
    server.ask("ACL", "SETUSER", "default", "-config")
    assert await doubted(reactor, server) == []
    server.kill()


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lfu"])
async def test_a_store_says_it_when_it_starts_and_not_again(policy: str, own_server: RedisServer) -> None:
    own_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    world = RedisWorld(own_server)
    store = await world.make_store("a")
    with capturedLogs() as logged:
        await store.start()
        before = store._session.epoch  # type: ignore[attr-defined]
        own_server.restart()
        own_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
        await world.eventually(lambda: store._session.epoch > before)  # type: ignore[attr-defined]
    await store.stop()
    said = [formatEvent(event) for event in logged if "fit to keep jobs" in (formatEvent(event) or "")]
    expected = f"Redis ({own_server.path}) is not fit to keep jobs: {EVICTS.format(policy)}"
    assert said == ([] if policy == "noeviction" else [expected])
