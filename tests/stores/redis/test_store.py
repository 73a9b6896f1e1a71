"""The store in a real Redis does what every store does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores.redis.server import RedisServer
from tests.stores.redis.world import RedisWorld
from tests.stores.suite import StoreSuite
from tests.stores.world import World


class TestRedisStore(StoreSuite):
    """What is asked of every store."""

    server: RedisServer

    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def make_world(self, place: Path) -> World:
        return RedisWorld(self.server)
