"""A connection is kept: made again by itself, and never waited for by who did not ask to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from tests.stores.redis.server import RedisServer
from twistedgate.jobs.store import StoreAway
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.line import Line, NotConnected
from twistedgate.stores.redis.link import Link


async def settle(reactor: Any) -> None:
    """Let Twisted end what it began for an attempt that was given up."""
    for _ in range(3):
        await deferLater(reactor, 0.0)


class Kept:
    """A link to a server, and what is said on its connections first."""

    def __init__(self, reactor: Any, server: RedisServer, purpose: str = "tests wait") -> None:
        self.reactor = reactor
        self.server = server
        self.welcomed: list[Line] = []
        self.refusals: list[Exception] = []
        self.link = Link(Dial(reactor, server.address, ""), self.welcome, purpose)

    async def welcome(self, line: Line) -> None:
        """Be told of a new connection, and refuse it as often as there is a reason."""
        self.welcomed.append(line)
        await line.ask("PING")
        if self.refusals:
            raise self.refusals.pop(0)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait, within bounds."""
        for _ in range(1000):
            if holds():
                return
            await deferLater(self.reactor, 0.01)
        raise AssertionError("it never held")


@pytest.fixture
def kept(reactor: Any, own_server: RedisServer) -> Iterator[Kept]:
    """A link that is at work."""
    kept = Kept(reactor, own_server)
    kept.link.start()
    pytest_twisted.blockon(ensureDeferred(kept.until(lambda: kept.link.is_up)))
    yield kept
    pytest_twisted.blockon(ensureDeferred(kept.link.stop()))


async def test_who_asks_is_answered(kept: Kept) -> None:
    assert await kept.link.ask("ECHO", b"x") == b"x"
    assert len(kept.welcomed) == 1


async def test_who_asks_before_there_is_a_connection_is_told(reactor: Any, own_server: RedisServer) -> None:
    kept = Kept(reactor, own_server)
    with pytest.raises(NotConnected):
        await kept.link.ask("PING")
    kept.link.start()
    with pytest.raises(NotConnected):
        await kept.link.ask("PING")
    await kept.link.stop()
    assert not kept.link.is_up
    await settle(reactor)


async def test_a_connection_that_is_lost_is_made_again(kept: Kept) -> None:
    for number in (2, 3):
        kept.welcomed[-1].abort()
        await kept.until(lambda number=number: len(kept.welcomed) == number and kept.link.is_up)  # type: ignore[misc]
        assert await kept.link.ask("PING") == b"PONG"


async def test_a_connection_that_is_not_welcome_is_not_used(kept: Kept) -> None:
    kept.refusals = [StoreAway("not yet"), StoreAway("not yet")]
    kept.welcomed[-1].abort()
    await kept.until(lambda: len(kept.welcomed) == 4 and kept.link.is_up)
    assert [line.connected for line in kept.welcomed] == [0, 0, 0, 1]


async def test_a_chance_comes_with_a_connection(kept: Kept) -> None:
    kept.server.kill()
    await kept.until(lambda: not kept.link.is_up)
    waiting = ensureDeferred(kept.link.chance())
    given_up = ensureDeferred(kept.link.chance())
    given_up.cancel()
    with pytest.raises(CancelledError):
        await given_up
    assert not waiting.called
    kept.server.start()
    await waiting
    assert kept.link.is_up
    # where there is a connection, and it was in vain, it comes after a while
    await kept.link.chance()


async def test_there_is_no_chance_after_the_end(reactor: Any, own_server: RedisServer) -> None:
    own_server.kill()
    kept = Kept(reactor, own_server)
    kept.link.start()
    waiting = ensureDeferred(kept.link.chance())
    await kept.link.stop()
    with pytest.raises(StoreAway, match="closed"):
        await waiting
    with pytest.raises(StoreAway, match="closed"):
        await kept.link.chance()
    await kept.link.stop()
    await settle(reactor)


async def test_a_loss_is_said_once_and_so_is_its_end(kept: Kept) -> None:
    with capturedLogs() as logged:
        kept.server.kill()
        await kept.until(lambda: not kept.link.is_up)
        kept.server.start()
        await kept.until(lambda: kept.link.is_up)
    said = [formatEvent(event) for event in logged]
    where = f"Redis ({kept.server.path})"
    assert said == [
        f"{where} is away, tests wait: the connection was lost; tried again until it is back",
        f"{where} is back",
    ]


async def test_a_link_without_a_purpose_says_nothing(reactor: Any, own_server: RedisServer) -> None:
    own_server.kill()
    kept = Kept(reactor, own_server, purpose="")
    with capturedLogs() as logged:
        kept.link.start()
        own_server.start()
        await kept.until(lambda: kept.link.is_up)
        await kept.link.stop()
    assert logged == []


@pytest.mark.parametrize("is_frozen", [True, False])
async def test_an_end_in_the_middle_of_an_attempt_leaves_nothing(
    is_frozen: bool, reactor: Any, own_server: RedisServer
) -> None:
    if is_frozen:
        own_server.freeze()
    kept = Kept(reactor, own_server)
    kept.link.start()
    if is_frozen:
        # it is connected by now, and waits for its first answer
        await deferLater(reactor, 0.0)
    await kept.link.stop()
    assert not kept.link.is_up
    await settle(reactor)


async def test_a_fault_of_ours_ends_it_and_is_logged(kept: Kept, logged_failures: Any) -> None:
    kept.refusals = [KeyError("ours")]
    kept.welcomed[-1].abort()
    await kept.until(lambda: len(kept.welcomed) == 2 and not kept.link.is_up)
    await kept.until(lambda: not kept.welcomed[-1].connected)
    assert len(logged_failures.flush(KeyError)) == 1
