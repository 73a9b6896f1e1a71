"""How a call's end waits while Redis is away.

What is to be said is tried until it is heard or the store is closed: it is for the fence to decide whether it
still counts.  What waits is bounded in bytes; a result that finds no room is given up, by whoever holds it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twistedgate.jobs.store import StoreAway, StoreFull

SPOOL_BYTES = 64 * 1024 * 1024
"""Of results that wait in one process; a result that is not in pieces has at most 256 KiB."""

T = TypeVar("T")


class SpoolFull(Exception):
    """Redis is away, and there is no room for what was to be said."""


class Spool:
    """Says things again until they are heard; ``chance`` waits until trying may help, or raises."""

    def __init__(self, chance: Callable[[], Awaitable[None]], limit: int = SPOOL_BYTES) -> None:
        self._chance = chance
        self._limit = limit
        self._size = 0
        self.waiting = 0

    async def deliver(self, send: Callable[[], Awaitable[T]], size: int) -> T:
        """Call ``send`` until it is not in vain; raises ``SpoolFull``, and ``StoreAway`` when all is over."""
        try:
            return await send()
        except (StoreAway, StoreFull):
            if self._size + size > self._limit:
                raise SpoolFull from None
        self._size += size
        self.waiting += 1
        try:
            while True:
                await self._chance()
                try:
                    return await send()
                except (StoreAway, StoreFull):
                    continue
        finally:
            self._size -= size
            self.waiting -= 1
