"""Tells systemd how the daemon is (sd_notify(3)), without a library and without ever waiting.

One datagram for each message, to the socket that ``NOTIFY_SOCKET`` names; without it nothing is sent.  The
variable stays in the environment, so that a program executed in place of this one goes on telling; children
get an environment without it.  What cannot be sent is logged, once until something can be sent again, and
raises nothing.  This module does not know when which state is reached.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from twisted.logger import Logger

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd gives to the process that it watches, and to no other."""

LONGEST_STATUS = 500
"""Characters of a status line; ``systemctl status`` shows one line of a terminal."""

_log = Logger()


class Notifier:
    """Tells states; each method returns whether the datagram was taken."""

    def __init__(self, address: bytes = b"", watchdog_interval: float | None = None) -> None:
        self._address = address
        self._is_told = False
        self.watchdog_interval = watchdog_interval
        """Seconds between two ``watchdog()``, ``None`` if nobody waits for them."""
        self.is_behind = False
        """Whether the last message found no room: it may be told again when systemd has read some."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notifier:
        """Return the one that an environment asks for; one that tells nobody if it asks for none."""
        path = os.fsencode(environ.get("NOTIFY_SOCKET", ""))
        if path.startswith(b"@"):
            path = b"\0" + path[1:]
        elif path and not path.startswith(b"/"):
            _log.warn(
                "NOTIFY_SOCKET={path} is neither a path nor abstract: systemd is told nothing", path=path
            )
            path = b""
        return cls(path, _watchdog_interval(environ))

    def ready(self, status: str = "") -> bool:
        """The start, or the reload, is done."""
        return self._tell("READY=1", *_status(status))

    def reloading(self) -> bool:
        """A reload begins; ``ready`` ends it (the time is what systemd 253 wants with Type=notify-reload)."""
        return self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        """The end has begun."""
        return self._tell("STOPPING=1", *_status(status))

    def more_time(self, seconds: float) -> bool:
        """Ask for so much time from now on to come to the end (EXTEND_TIMEOUT_USEC of sd_notify(3))."""
        return self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, text: str) -> bool:
        """Say in one line what is going on."""
        return self._tell(*(_status(text) or ["STATUS="]))

    def watchdog(self) -> bool:
        """Still alive."""
        return self._tell("WATCHDOG=1")

    def _tell(self, *assignments: str) -> bool:
        if not self._address:
            return False
        self.is_behind = False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
                telling.setblocking(False)
                telling.sendto("\n".join(assignments).encode("utf-8", "replace"), self._address)
        except OSError as error:
            self.is_behind = isinstance(error, BlockingIOError)
            if not self._is_told:
                self._is_told = True
                _log.warn("systemd cannot be told {what}: {error}", what=assignments[0], error=error)
            return False
        self._is_told = False
        return True


def unnotified(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a child, which has nothing to tell systemd."""
    return {name: text for name, text in environ.items() if name not in VARIABLES}


def _status(text: str) -> list[str]:
    # a line end would begin another assignment
    return [f"STATUS={' '.join(text.split())[:LONGEST_STATUS]}"] if text else []


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Return half of what systemd waits (sd_watchdog_enabled(3)), if it waits for this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        wait = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return wait / 2e6 if wait > 0 else None
