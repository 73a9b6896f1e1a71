"""What is published is heard by who wants to know, and what could not be heard is made up for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from tests.stores.redis.server import RedisServer
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.ear import TICKS_TO_LOOK, TICKS_TO_PING, Ear


class Listening:
    """An ear, and what it said."""

    def __init__(self, reactor: Any, server: RedisServer) -> None:
        self.reactor = reactor
        self.server = server
        self.ear = Ear(Dial(reactor, server.address, ""), "{t}:")
        self.changes: list[str] = []
        self.works = 0
        self.ear.on_work(self._work)

    def _work(self) -> None:
        self.works += 1

    def watch(self, job: str) -> Callable[[], None]:
        """Watch a job."""
        return self.ear.watch(job, lambda: self.changes.append(job))

    def publish(self, channel: str) -> int:
        """Publish something, and return how many heard it."""
        heard: int = self.server.ask("PUBLISH", f"{{t}}:{channel}", "x")
        return heard

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait, within bounds."""
        for _ in range(1000):
            if holds():
                return
            await deferLater(self.reactor, 0.01)
        raise AssertionError("it never held")


@pytest.fixture
def listening(reactor: Any, own_server: RedisServer) -> Iterator[Listening]:
    """An ear that listens."""
    listening = Listening(reactor, own_server)
    listening.ear.start()
    pytest_twisted.blockon(ensureDeferred(listening.until(lambda: listening.ear.is_up)))
    yield listening
    pytest_twisted.blockon(ensureDeferred(listening.ear.stop()))


async def test_a_watcher_is_called_when_he_can_hear_and_for_every_change(listening: Listening) -> None:
    stop = listening.watch("a")
    assert listening.changes == []
    await listening.until(lambda: listening.changes == ["a"])
    assert listening.publish("changed:a") == 1
    await listening.until(lambda: listening.changes == ["a", "a"])
    stop()
    stop()
    await listening.until(lambda: listening.publish("changed:a") == 0)
    assert listening.changes == ["a", "a"]


async def test_one_subscription_is_for_all_who_watch_a_job(listening: Listening) -> None:
    first, second = listening.watch("a"), listening.watch("a")
    await listening.until(lambda: listening.changes == ["a", "a"])
    first()
    assert listening.publish("changed:a") == 1
    await listening.until(lambda: listening.changes == ["a"] * 3)
    second()


async def test_work_is_heard(listening: Listening) -> None:
    before = listening.works
    assert listening.publish("work") == 1
    await listening.until(lambda: listening.works == before + 1)


async def test_what_this_process_did_is_not_told_twice(listening: Listening) -> None:
    stop = listening.watch("a")
    # the subscription is under way: nobody would hear it
    listening.ear.tell("a")
    assert listening.changes == ["a"]
    await listening.until(lambda: listening.changes == ["a", "a"])
    listening.ear.tell("a")
    listening.ear.tell("b")
    assert listening.changes == ["a", "a"]
    before = listening.works
    listening.ear.tell_work()
    assert listening.works == before
    stop()


async def test_who_cannot_hear_looks(listening: Listening) -> None:
    listening.server.kill()
    await listening.until(lambda: not listening.ear.is_up)
    stop = listening.watch("a")
    before = listening.works
    listening.ear.tell_work()
    listening.ear._tick()
    assert (listening.changes, listening.works) == (["a"], before + 2)
    # and when it can be heard again, everybody has missed something
    listening.server.start()
    await listening.until(lambda: listening.ear.is_up)
    assert (listening.changes, listening.works) == (["a", "a"], before + 3)
    assert listening.publish("changed:a") == 1
    await listening.until(lambda: len(listening.changes) == 3)
    stop()


async def test_watching_goes_on_when_the_connection_is_lost(listening: Listening) -> None:
    stop = listening.watch("a")
    await listening.until(lambda: listening.changes == ["a"])
    listening.server.restart()
    await listening.until(lambda: listening.changes == ["a", "a"])
    assert listening.publish("changed:a") == 1
    await listening.until(lambda: listening.changes == ["a"] * 3)
    stop()


async def test_there_is_a_slow_look_beneath(listening: Listening) -> None:
    stop = listening.watch("a")
    await listening.until(lambda: listening.changes == ["a"])
    before = listening.works
    for _ in range(TICKS_TO_LOOK):
        listening.ear._tick()
    assert (len(listening.changes), listening.works) == (2, before + TICKS_TO_LOOK)
    stop()


async def test_a_redis_that_stands_still_is_noticed(listening: Listening) -> None:
    listening.server.freeze()
    for _ in range(TICKS_TO_PING):
        listening.ear._tick()
    await listening.until(lambda: not listening.ear.is_up)
    listening.server.thaw()
    await listening.until(lambda: listening.ear.is_up)


async def test_who_stops_watching_at_once_and_begins_again_hears(listening: Listening) -> None:
    listening.watch("a")()
    stop = listening.watch("a")
    await listening.until(lambda: listening.changes)
    await listening.until(lambda: listening.publish("changed:a") == 1)
    stop()
