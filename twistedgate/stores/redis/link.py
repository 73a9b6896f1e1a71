"""A connection to a Redis that is made again whenever it is lost.

It is up, or whoever asks is told at once that the store is away: nothing waits for a connection unless it
says so.  The first attempt after a loss follows within a tenth of a second, and there is one each second.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.jobs.store import StoreAway
from twistedgate.stores.redis.dial import UNREACHABLE, Dial
from twistedgate.stores.redis.line import Hear, Line, NotConnected

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between attempts; they double in between."""

PATIENCE = 0.5
"""Seconds until something is tried again on a connection that is up, and whose server cannot do it now."""

Welcome = Callable[[Line], Awaitable[object]]
"""What is said on a new connection before others use it."""

_log = Logger()


class Link:
    """Keeps one connection for ``purpose``, which is named in the log, empty for none."""

    def __init__(self, dial: Dial, welcome: Welcome, purpose: str = "", heard: Hear | None = None) -> None:
        self._dial = dial
        self._welcome = welcome
        self._purpose = purpose
        self._heard = heard
        self._line: Line | None = None
        self._is_kept = False
        self._keeping: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._is_known_away = False

    @property
    def is_up(self) -> bool:
        """Whether somebody who asks now is heard."""
        return self._line is not None and bool(self._line.connected)

    def start(self) -> None:
        """Begin to keep a connection."""
        self._is_kept = True
        self._keeping = Deferred.fromCoroutine(self._keep())
        self._keeping.addErrback(self._ended)

    async def stop(self) -> None:
        """Close it; who waits for it is told."""
        self._is_kept = False
        keeping, self._keeping = self._keeping, None
        waiting, self._waiting = self._waiting, []
        for waits in waiting:
            waits.errback(StoreAway("the store is closed"))
        if keeping is not None:
            keeping.cancel()
            await keeping

    def ask(self, *command: bytes | str | int) -> Deferred[Any]:
        """Send a command at once, or fail at once."""
        line = self._line
        if line is None:
            refused: Deferred[Any] = Deferred()
            refused.errback(NotConnected("there is no connection to Redis"))
            return refused
        return line.ask(*command)

    async def chance(self) -> None:
        """Wait until trying again may help; raises ``StoreAway`` when it never will."""
        if not self._is_kept:
            raise StoreAway("the store is closed")
        if self.is_up:
            await deferLater(self._dial.clock, PATIENCE)
            return
        waits: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waits)
        await waits

    async def _keep(self) -> None:
        failed = 0
        while self._is_kept:
            line: Line | None = None
            try:
                line = await self._dial(self._heard)
                await self._welcome(line)
                failed = 0
                self._up(line)
                await line.lost()
                self._say_away("the connection was lost")
            except UNREACHABLE as error:
                self._say_away(str(error) or type(error).__name__)
            finally:
                self._line = None
                if line is not None:
                    await line.close()
            pause = min(FIRST_PAUSE * 2**failed, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
            failed = min(failed + 1, 10)
            await deferLater(self._dial.clock, pause)

    def _up(self, line: Line) -> None:
        if not line.connected:
            return
        self._line = line
        if self._is_known_away and self._purpose:
            _log.info("Redis ({address}) is back", address=self._dial.address)
        self._is_known_away = False
        waiting, self._waiting = self._waiting, []
        for waits in waiting:
            waits.callback(None)

    def _say_away(self, reason: str) -> None:
        """Say it once, and not again with each attempt."""
        if not self._is_known_away and self._purpose:
            _log.warn(
                "Redis ({address}) is away, {purpose}: {reason}; tried again until it is back",
                address=self._dial.address,
                purpose=self._purpose,
                reason=reason,
            )
        self._is_known_away = True

    def _ended(self, failure: Failure) -> None:
        # what an attempt fails with that is given up half-way is of no interest
        if self._is_kept:
            _log.failure("the connection to Redis is not kept any more", failure)
