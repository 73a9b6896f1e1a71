"""The Redis that most tests of its store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.redis.server import RedisServer
from tests.stores.redis.world import RedisWorld
from tests.stores.world import Keeping


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that nobody stops; each test has a prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of one test's own, which may be stopped and killed; what it is told is on disk at once."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
def keeping(own_server: RedisServer) -> Iterator[Keeping]:
    """A store that is at work in it."""
    world = RedisWorld(own_server)
    yield Keeping(world, world.run(world.open()))
    world.run(world.close())
