"""The world of a store in a real Redis: the clock moves in its scripts and on keys that expire."""

from __future__ import annotations

import itertools

from tests.stores.redis.server import RedisServer
from tests.stores.world import World
from twistedgate.jobs.store import JobStore
from twistedgate.stores.redis.store import RedisStore

_SHIFT = """
local time = redis.call('TIME')
redis.call('HSET', KEYS[1] .. 'clock', 'beat', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
for _, key in ipairs(redis.call('KEYS', ARGV[3])) do
  local left = redis.call('PTTL', key)
  if left > 0 then redis.call('PEXPIRE', key, math.max(0, left - ARGV[2])) end
end
"""

_numbers = itertools.count()


class RedisWorld(World):
    """Stores under a prefix of their own in ``server``."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.server = server
        self.name = f"test{next(_numbers)}"
        self.prefix = f"{{{self.name}}}:"
        seconds, micros = (int(part) for part in server.ask("TIME"))
        self.offset = round(self.now * 1000) - seconds * 1000 - micros // 1000
        self.made: list[RedisStore] = []

    async def make_store(self, runner: str) -> JobStore:
        from twisted.internet import reactor

        store = RedisStore(reactor, self.server.address, name=runner, prefix=self.name)
        store.scripts.offset = self.offset
        self.made.append(store)
        return store

    async def abandon(self, store: JobStore) -> None:
        """End its connections, and its lease at once."""
        assert isinstance(store, RedisStore)
        await store.abandon()
        self.server.ask("ZADD", f"{self.prefix}runners", 1, store.runner)

    async def shift(self, seconds: float) -> None:
        """Move Redis' clock as the scripts see it, as if somebody had said all the time that he lives."""
        await super().shift(seconds)
        self.offset += round(seconds * 1000)
        for store in self.made:
            store.scripts.offset = self.offset
        shift = self.prefix, self.offset, round(seconds * 1000)
        self.server.ask("EVAL", _SHIFT, 1, *shift, f"\\{{{self.name}\\}}:body:*")
