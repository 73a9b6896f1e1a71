"""What could not be said is said again until it is heard, within bounds."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.stores.redis.spool import Spool, SpoolFull


class Ends:
    """A store that fails as it is told to, and chances that are given by hand."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.chances: list[Deferred[None]] = []
        self.spool = Spool(self.chance, limit=10)
        self.sent = 0

    async def chance(self) -> None:
        """Wait to be told."""
        waits: Deferred[None] = Deferred()
        self.chances.append(waits)
        await waits

    async def send(self) -> str:
        """Fail, as often as there are errors."""
        self.sent += 1
        if self.errors:
            raise self.errors.pop(0)
        return "heard"

    def deliver(self, size: int = 1) -> Deferred[str]:
        """Begin to say something of a size."""
        return ensureDeferred(self.spool.deliver(self.send, size))


async def test_what_is_heard_at_once_waits_for_nothing() -> None:
    ends = Ends()
    assert await ends.deliver(size=1000) == "heard"
    assert (ends.sent, ends.chances, ends.spool.waiting) == (1, [], 0)


async def test_what_is_not_heard_is_said_at_every_chance() -> None:
    ends = Ends(StoreAway(), StoreAway(), StoreFull())
    said = ends.deliver()
    for sent in (1, 2, 3):
        assert (ends.sent, said.called, ends.spool.waiting) == (sent, False, 1)
        ends.chances.pop().callback(None)
    assert await said == "heard"
    assert ends.spool.waiting == 0


async def test_what_finds_no_room_is_not_kept() -> None:
    ends = Ends(StoreAway(), StoreAway())
    first = ends.deliver(size=7)
    with pytest.raises(SpoolFull):
        await ends.deliver(size=4)
    ends.chances.pop().callback(None)
    assert await first == "heard"
    # and there is room again
    ends.errors = [StoreAway()]
    again = ends.deliver(size=10)
    ends.chances.pop().callback(None)
    assert await again == "heard"


async def test_when_all_is_over_it_is_told() -> None:
    ends = Ends(StoreAway())
    said = ends.deliver()
    ends.chances.pop().errback(StoreAway("closed"))
    with pytest.raises(StoreAway, match="closed"):
        await said
    assert ends.spool.waiting == 0


async def test_a_fault_is_not_said_again() -> None:
    ends = Ends(KeyError("ours"))
    with pytest.raises(KeyError):
        await ends.deliver()
    assert ends.chances == []
