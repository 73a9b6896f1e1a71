"""Large bodies go in and out in pieces, some at a time, and stay apart from run to run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from tests.stores.redis.server import RedisServer
from twistedgate.jobs.store import REQUEST, RESULT, StoreAway
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.lua import Scripts
from twistedgate.stores.redis.pieces import AT_ONCE, Pieces


class Holding:
    """Pieces, and the fences that are held."""

    def __init__(self, reactor: Any, server: RedisServer) -> None:
        self.reactor = reactor
        self.server = server
        self.fences: dict[str, int] = {}
        self.pieces = Pieces(Dial(reactor, server.address, ""), Scripts("p"), self.fences.get)

    async def connected(self) -> None:
        """Wait until pieces are taken."""
        for _ in range(1000):
            if self.pieces.link.is_up:
                return
            await deferLater(self.reactor, 0.01)
        raise AssertionError("it never held")


@pytest.fixture
def holding(reactor: Any, own_server: RedisServer) -> Iterator[Holding]:
    """A connection for pieces."""
    holding = Holding(reactor, own_server)
    holding.pieces.link.start()
    pytest_twisted.blockon(ensureDeferred(holding.connected()))
    yield holding
    pytest_twisted.blockon(ensureDeferred(holding.pieces.link.stop()))


async def test_pieces_come_back_and_expire(holding: Holding) -> None:
    await holding.pieces.put("a", REQUEST, 0, b"\x00\xff")
    await holding.pieces.put("a", REQUEST, 1, b"more")
    got = [await holding.pieces.get("a", REQUEST, number) for number in range(3)]
    assert got == [b"\x00\xff", b"more", None]
    assert 0 < holding.server.ask("PTTL", "{p}:body:a:request") <= 3_600_000
    await holding.pieces.drop("a", REQUEST)
    assert await holding.pieces.get("a", REQUEST, 0) is None


async def test_a_body_that_is_written_anew_keeps_nothing_of_the_old_one(holding: Holding) -> None:
    for number in range(3):
        await holding.pieces.put("a", REQUEST, number, b"old")
    await holding.pieces.put("a", REQUEST, 0, b"new")
    assert [await holding.pieces.get("a", REQUEST, number) for number in range(2)] == [b"new", None]


async def test_each_run_has_its_own_pieces(holding: Holding) -> None:
    holding.fences["a"] = 1
    await holding.pieces.put("a", RESULT, 0, b"first")
    holding.fences["a"] = 2
    assert await holding.pieces.get("a", RESULT, 0) is None
    await holding.pieces.put("a", RESULT, 0, b"second")
    await holding.pieces.drop("a", RESULT)
    holding.fences["a"] = 1
    assert await holding.pieces.get("a", RESULT, 0) == b"first"


async def test_only_some_are_on_their_way_at_a_time(holding: Holding) -> None:
    asked: list[Any] = []
    ask = holding.pieces.link.ask

    def count(*command: Any) -> Any:
        asked.append(command)
        return ask(*command)

    holding.pieces.link.ask = count  # type: ignore[method-assign]
    putting = [ensureDeferred(holding.pieces.put("a", REQUEST, number, b"x")) for number in range(20)]
    assert len(asked) == AT_ONCE
    for put in putting:
        await put
    assert [await holding.pieces.get("a", REQUEST, number) for number in range(20)] == [b"x"] * 20


async def test_a_request_fails_at_once_and_a_result_waits_while_redis_is_away(holding: Holding) -> None:
    holding.server.kill()
    with pytest.raises(StoreAway):
        await holding.pieces.put("a", REQUEST, 0, b"x")
    with pytest.raises(StoreAway):
        await holding.pieces.get("a", RESULT, 0)
    holding.fences["a"] = 1
    waiting = ensureDeferred(holding.pieces.put("a", RESULT, 0, b"x"))
    holding.server.start()
    await waiting
    assert await holding.pieces.get("a", RESULT, 0) == b"x"
