"""One connection to a Redis: txredisapi's protocol over hiredis, with a queue of answers of its own.

txredisapi finds a connection for each command, and waits for one without a bound; its queue and its way to
write a command cost four times what the rest does (its own measure: 30 us for each, 7 us here).  So this
takes its protocol and gives it a queue: a command is written at once or refused, and where nothing comes for
most of a second while something is owed, the connection is given up and everybody on it told.  Bytes go in
and come out: nothing is taken for a number or a text.

txredisapi imports the global reactor: whoever imports this has installed the one that is to run.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
import txredisapi
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure

from twistedgate.jobs.store import StoreAway, StoreFull

SILENCE = 0.8
"""Seconds without a byte, while an answer is owed, after which nobody is there: a client is told in one."""

_LATE = 0.1
"""How much later than it should a timer may come: by then it was this process that stood still."""

_AWAY = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|MISCONF|NOREPLICAS|BUSY|TRYAGAIN|CLUSTERDOWN|STALE|NOAUTH|NOPERM"
    r"|WRONGPASS|max number of clients)\b"
)
"""Errors of a server that cannot be used as it is now, also where a script met them."""

_MOVED = re.compile(r"\b(READONLY|STALE)\b")
"""The master is another one, or this connection was given up: a new one finds what there is now."""

Hear = Callable[[bytes, bytes], object]
"""Told of the channel and of the message."""


class NotConnected(StoreAway):
    """Nothing was sent."""


class Lost(StoreAway):
    """The connection was lost before the answer came: nobody knows whether it was done."""


class Refused(Exception):
    """Redis knows no such command, or a script is wrong: a fault of ours."""


def translate(error: Exception) -> Exception:
    """Return what an error of Redis means."""
    text = str(error)
    if _AWAY.search(text):
        return StoreAway(text)
    if "OOM " in text:
        return StoreFull(text)
    return Refused(text)


class Line(txredisapi.RedisProtocol):  # type: ignore[misc]
    """A connection, from its first byte to its last; ``heard`` is told what is published."""

    def __init__(self, clock: Any, heard: Hear | None = None) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._clock = clock
        self._heard = heard
        self._lost: list[Deferred[None]] = []
        self._owed: deque[Deferred[Any]] = deque()
        self._since = 0.0
        self._watching: Any = None
        self._is_silent = False

    def connectionMade(self) -> None:
        """Be ready; what a server wants first is asked by whoever made the connection."""
        self.connected = 1
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)

    def ask(self, *command: bytes | str | int) -> Deferred[Any]:
        """Send a command; its answer, or ``StoreAway``, ``StoreFull``, ``Refused``."""
        answer: Deferred[Any] = Deferred()
        if not self.connected:
            answer.errback(NotConnected("the connection is lost"))
            return answer
        if not self._owed:
            self._since = self._clock.seconds()
            if self._watching is None:
                self._watch(SILENCE)
        self._owed.append(answer)
        self.transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # one of any length is meant
        return answer

    async def lost(self) -> None:
        """Wait until the connection is lost."""
        if self.connected:
            waits: Deferred[None] = Deferred(self._lost.remove)
            self._lost.append(waits)
            await waits

    def abort(self) -> None:
        """Give the connection up, now."""
        if self.connected:
            self.transport.abortConnection()

    async def close(self) -> None:
        """Give the connection up, and wait until it is gone."""
        self.abort()
        await self.lost()

    def tryConvertData(self, data: Any) -> Any:
        """Take bytes as they are."""
        return data

    def replyReceived(self, reply: Any) -> None:
        """Give an answer to whoever asked first."""
        self._since = self._clock.seconds()
        if self._heard is not None and type(reply) is list and reply and reply[0] == b"message":
            self._heard(reply[1], reply[2])
        elif self._owed:
            answer = self._owed.popleft()
            if isinstance(reply, Exception):
                answer.errback(translate(reply))
                if _MOVED.search(str(reply)):
                    self.abort()
            else:
                answer.callback(reply)

    def connectionLost(self, why: Failure) -> None:
        """Tell everybody who waits."""
        super().connectionLost(why)
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        reason = "it does not answer" if self._is_silent else why.getErrorMessage()
        while self._owed:
            self._owed.popleft().errback(Lost(reason))
        lost, self._lost = self._lost, []
        for waits in lost:
            waits.callback(None)

    def _watch(self, delay: float) -> None:
        expected = self._clock.seconds() + delay
        self._watching = self._clock.callLater(delay, self._look, expected)

    def _look(self, expected: float) -> None:
        """Give up if nothing came for too long; not if it was this process that did not look."""
        self._watching = None
        if not self._owed:
            return
        now = self._clock.seconds()
        left = self._since + SILENCE - now
        if left <= 0 and now - expected < _LATE:
            self._is_silent = True
            self.abort()
        else:
            self._watch(max(left, _LATE))
