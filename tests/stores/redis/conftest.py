"""The Redis that most tests of its store share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stores.redis.server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that nobody stops; each test has a prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()
