"""The access log: one line for each exchange, and nothing that happens to the file stops the line.

A line is formatted at once (an ``Exchange`` that waited for its batch would keep its bodies), held, and
handed to a writing thread 50 ms later or when 64 KiB are held.  When the thread is 8 MiB behind, lines are
dropped and counted.  Trouble is told when it begins and when it ends, drops while they go on, and neither
more often than once a minute.  This module does not know what a line looks like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel

from twistedgate.exchange import Exchange
from twistedgate.observers.lines import lines
from twistedgate.observers.writer import Writer

OFF = "off"
"""The path of a log that is not written."""

HELD_SECONDS = 0.05
"""The longest that a line waits for others: an operator who looks on sees no delay."""

HELD_BYTES = 64 * 1024
"""The most that waits: what a pipe takes in one write."""

OUTSTANDING_BYTES = 8 * 1024 * 1024
"""The most that the writing thread may be behind: about 20,000 lines, two seconds under full load."""

TELLING_SECONDS = 60.0
"""The shortest time between two complaints."""

STOP_SECONDS = 2.0
"""How long a stop waits for a file that takes nothing."""


class Scheduler(Protocol):
    """What the log needs of a reactor."""

    def callLater(self, delay: float, call: Callable[..., object], /, *args: object) -> IDelayedCall:
        """Call after ``delay`` seconds."""

    def callFromThread(self, call: Callable[..., object], /, *args: object) -> None:
        """Call in the reactor's thread, from another."""


class AccessLog:
    """Writes exchanges down to ``path``: ``-`` is standard output, ``off`` nowhere."""

    log = Logger()

    def __init__(self, path: str, style: str, redact_query: tuple[str, ...], reactor: Scheduler) -> None:
        self._line = lines(style, redact_query)
        self._reactor = reactor
        self._writer = Writer(path, self._trouble_changed)
        self._is_on = path != OFF
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._handing: IDelayedCall | None = None
        self._telling: IDelayedCall | None = None
        self._overflowed = 0
        self._told = ("", 0, 0)

    @property
    def dropped(self) -> int:
        """Lines that were not written: the disk took none, or the thread was too far behind."""
        return self._overflowed + self._writer.lost

    def write(self, exchange: Exchange) -> None:
        """Write a finished exchange down; never waits and never fails."""
        if not self._is_on:
            return
        line = self._line(exchange)
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes >= HELD_BYTES:
            self._hand()
        elif self._handing is None:
            self._handing = self._reactor.callLater(HELD_SECONDS, self._hand)

    def reopen(self) -> None:
        """Go on in a new file of the same name; opens (and makes) the file if none is open yet."""
        if self._is_on:
            self._hand()
            self._writer.reopen()

    def stop(self) -> Deferred[None]:
        """Write what is held and close; fires when that is done, or after two seconds without it."""
        if not self._is_on:
            return succeed(None)
        self._hand()
        self._is_on = False
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        stopped: Deferred[None] = Deferred()
        giving_up = self._reactor.callLater(STOP_SECONDS, self._give_up, stopped)
        self._writer.stop(lambda: self._reactor.callFromThread(self._finish, stopped, giving_up))
        return stopped

    def _finish(self, stopped: Deferred[None], giving_up: IDelayedCall) -> None:
        if giving_up.active():
            giving_up.cancel()
            self._tell()
            stopped.callback(None)

    def _give_up(self, stopped: Deferred[None]) -> None:
        self._say(LogLevel.warn, "takes nothing; {unwritten} bytes of it are given up.")
        stopped.callback(None)

    def _hand(self) -> None:
        if self._handing is not None:
            if self._handing.active():
                self._handing.cancel()
            self._handing = None
        if not self._held:
            return
        if self._writer.outstanding + self._held_bytes > OUTSTANDING_BYTES:
            self._overflowed += len(self._held)
            self._tell()
        else:
            self._writer.hand(b"".join(self._held))
        self._held.clear()
        self._held_bytes = 0

    def _trouble_changed(self) -> None:
        self._reactor.callFromThread(self._tell)

    def _tell(self) -> None:
        trouble = self._writer.trouble
        # While the file is in trouble its losses are no news; afterwards they are.
        state = (trouble, self._overflowed, 0 if trouble else self._writer.lost)
        if state == self._told or self._telling is not None:
            return
        was_in_trouble, self._told = bool(self._told[0]), state
        if self._is_on:
            self._telling = self._reactor.callLater(TELLING_SECONDS, self._tell_again)
        if trouble:
            self._say(LogLevel.error, "cannot be opened or written ({trouble}); lines are counted and lost.")
        elif was_in_trouble:
            self._say(LogLevel.info, "is written again; {dropped} lines were lost.")
        else:
            self._say(LogLevel.warn, "is written too slowly; {dropped} lines were dropped so far.")

    def _say(self, level: Any, sentence: str) -> None:
        self.log.emit(
            level,
            f"The access log {{path}} {sentence}",
            path=self._writer.path,
            trouble=self._writer.trouble,
            dropped=self.dropped,
            unwritten=self._writer.outstanding,
        )

    def _tell_again(self) -> None:
        self._telling = None
        self._tell()
