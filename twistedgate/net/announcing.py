"""How the daemon is, as systemd is told over its life: starting, ready, reloading, stopping, alive.

READY comes once the first connection can be accepted, and again when every reload that began has ended,
whatever became of it.  What systemd has no room for, because it is behind, is said again in the same order: a
start whose READY was lost would be ended as a failure.  A stop asks for more time as long as it goes on. The
watchdog is told as long as the reactor turns and ``is_well`` says so.  This module knows neither how a reload
is made nor what wellness is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.net.notify import Notifier

AGAIN = 0.2
"""Seconds until what systemd had no room for is said again."""

MORE_TIME = 30.0
ASKED_EVERY = 10.0
"""Seconds that are asked for to end in, and how often: calls of jobs take as long as they take."""

_log = Logger()


class Announcing:
    """Says it by a ``Notifier``."""

    def __init__(self, notifier: Notifier, reactor: Any, is_well: Callable[[], bool] = lambda: True) -> None:
        self._notifier = notifier
        self._is_well = is_well
        self._is_ready = False
        self._reloads = 0
        self._reactor = reactor
        self._unsaid: deque[Callable[[], object]] = deque()
        self._again: IDelayedCall | None = None
        self._pinging = LoopingCall(self._ping)
        self._pinging.clock = reactor
        self._asking = LoopingCall(notifier.more_time, MORE_TIME)
        self._asking.clock = reactor

    def start(self, status: str) -> None:
        """Say what is waited for, and begin to feed the watchdog."""
        self._say(lambda: self._notifier.status(status))
        interval = self._notifier.watchdog_interval
        if interval is not None and not self._pinging.running:
            self._pinging.start(interval).addErrback(self._fail)

    def _ping(self) -> None:
        if self._is_well():
            self._notifier.watchdog()

    def _fail(self, failure: Failure) -> None:
        """Systemd will notice: whoever cannot tell whether all is well is not."""
        _log.failure("the watchdog is not fed any more", failure)

    def ready(self, status: str) -> None:
        """Connections are accepted."""
        self._is_ready = True
        if self._reloads:
            self._say(lambda: self._notifier.status(status))
        else:
            self._say(lambda: self._notifier.ready(status))

    def reload_begins(self) -> None:
        """A reload was asked for."""
        self._reloads += 1
        if self._is_ready:
            self._say(self._notifier.reloading)

    def reload_ended(self, status: str) -> None:
        """It was done, refused or given up."""
        self._reloads -= 1
        if self._is_ready and not self._reloads:
            self._say(lambda: self._notifier.ready(status))

    def stopping(self, status: str) -> None:
        """The end begins."""
        self._is_ready = False
        self._say(lambda: self._notifier.stopping(status))
        if not self._asking.running:
            self._asking.start(ASKED_EVERY, now=False).addErrback(self._fail)

    def _say(self, tell: Callable[[], object]) -> None:
        """Say something, after everything that is still to be said."""
        self._unsaid.append(tell)
        if self._again is None:
            self._say_all()

    def _say_all(self) -> None:
        self._again = None
        while self._unsaid:
            self._unsaid[0]()
            if self._notifier.is_behind:
                self._again = self._reactor.callLater(AGAIN, self._say_all)
                return
            self._unsaid.popleft()

    def stop(self) -> None:
        """Say nothing any more."""
        self._unsaid.clear()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for loop in (self._pinging, self._asking):
            if loop.running:
                loop.stop()
