"""What is heard from Redis: that a job changed, and that there is work, whoever on whichever machine did it.

Messages come on a connection of their own, which subscribes anew after a loss; what may have been missed is
made up for by calling everybody.  Beneath it is a slow look at everything, since a message is never
delivered twice and time itself sends none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from twistedgate.jobs.store import StoreAway
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.line import Line
from twistedgate.stores.redis.link import Link

TICK = 2.0
"""Seconds between looks for work; watchers too, while nothing can be heard."""

TICKS_TO_PING = 5
TICKS_TO_LOOK = 15

Wake = Callable[[], object]

_log = Logger()


class Ear:
    """Hears what is published under a prefix, and calls who wants to know."""

    def __init__(self, dial: Dial, prefix: str) -> None:
        self._link = Link(dial, self._subscribe_all, heard=self._hear)
        self._work_channel = f"{prefix}work".encode()
        self._prefix = f"{prefix}changed:".encode()
        self._watchers: dict[bytes, list[Wake]] = {}
        self._heard: set[bytes] = set()
        self._works: list[Wake] = []
        self._ticks = 0
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = dial.clock

    @property
    def is_up(self) -> bool:
        """Whether something can be heard."""
        return self._link.is_up

    def start(self) -> None:
        """Begin to listen."""
        self._link.start()
        self._ticking.start(TICK, now=False).addErrback(
            lambda failure: _log.failure("nobody looks for work any more", failure)
        )

    async def stop(self) -> None:
        """End."""
        if self._ticking.running:
            self._ticking.stop()
        await self._link.stop()

    def on_work(self, work: Wake) -> None:
        """Call ``work`` when there may be something to claim."""
        self._works.append(work)

    def watch(self, job: str, changed: Wake) -> Callable[[], None]:
        """Call ``changed`` when a job may have changed; returns how to stop.

        It is called once more when the subscription stands: what came before it could not be heard.
        """
        channel = self._prefix + job.encode()
        watchers = self._watchers.get(channel)
        if watchers is None:
            watchers = self._watchers[channel] = []
            self._subscribe(channel)
        watchers.append(changed)
        is_watching = True

        def stop() -> None:
            nonlocal is_watching
            if is_watching:
                is_watching = False
                self._unwatch(channel, changed)

        return stop

    def tell(self, job: str) -> None:
        """A job changed by what this process did: say so where its message will not be heard."""
        channel = self._prefix + job.encode()
        if channel in self._watchers and channel not in self._heard:
            self._call(channel)

    def tell_work(self) -> None:
        """There may be work by what this process did: say so where its message will not be heard."""
        if not self._link.is_up:
            self._call_works()

    def _unwatch(self, channel: bytes, changed: Wake) -> None:
        watchers = self._watchers[channel]
        watchers.remove(changed)
        if not watchers:
            del self._watchers[channel]
            self._heard.discard(channel)
            if self._link.is_up:
                self._link.ask("UNSUBSCRIBE", channel).addErrback(_ignore)

    def _subscribe(self, channel: bytes) -> None:
        if self._link.is_up:
            self._link.ask("SUBSCRIBE", channel).addCallbacks(self._subscribed, _ignore, (channel,))

    def _subscribed(self, _: object, channel: bytes) -> None:
        if channel in self._watchers:
            self._heard.add(channel)
            self._call(channel)

    async def _subscribe_all(self, line: Line) -> None:
        """Hear what is wanted on a new connection, and make up for what was not heard."""
        self._heard.clear()
        channels = list(self._watchers)
        answers: list[Deferred[Any]] = [line.ask("SUBSCRIBE", channel) for channel in channels]
        for answer in answers:
            answer.addErrback(_ignore)
        await line.ask("SUBSCRIBE", self._work_channel)
        self._heard.update(channel for channel in channels if channel in self._watchers)
        # Those who began to watch in the meantime found no connection.
        late = [channel for channel in self._watchers if channel not in self._heard]
        for channel in late:
            line.ask("SUBSCRIBE", channel).addCallbacks(self._subscribed, _ignore, (channel,))
        self._call_all()

    def _hear(self, channel: bytes, _: bytes) -> None:
        if channel == self._work_channel:
            self._call_works()
        else:
            self._call(channel)

    def _tick(self) -> None:
        self._ticks += 1
        if self._link.is_up and self._ticks % TICKS_TO_PING == 0:
            self._link.ask("PING").addErrback(_ignore)
        if not self._link.is_up or self._ticks % TICKS_TO_LOOK == 0:
            self._call_all()
        else:
            self._call_works()

    def _call_all(self) -> None:
        for channel in list(self._watchers):
            self._call(channel)
        self._call_works()

    def _call(self, channel: bytes) -> None:
        for changed in list(self._watchers.get(channel, ())):
            changed()

    def _call_works(self) -> None:
        for work in list(self._works):
            work()


def _ignore(failure: Any) -> None:
    """The connection was lost; what it was to do is done on the next one."""
    failure.trap(StoreAway)
