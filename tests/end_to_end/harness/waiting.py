"""Waiting for something to become true, without a guess at how long it takes.

``PATIENCE`` only ends a hang: no test may pass or fail because of how fast the machine is.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 30.0
"""Seconds after which a wait is a hang, on the slowest machine this suite should see."""

Found = TypeVar("Found")


def until(look: Callable[[], Found], what: str) -> Found:
    """Ask ``look`` again and again until its answer is true, and return that answer."""
    pause = threading.Event()
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain until {what}")
        pause.wait(0.005)
    return found


def is_readable(end: socket.socket, seconds: float | None = 0) -> bool:
    """Whether something waits in a socket, now or within ``seconds`` (``None``: for ever)."""
    return _is_ready(end, select.POLLIN, seconds)


def is_writable(end: socket.socket, seconds: float | None = 0) -> bool:
    """Whether a socket takes bytes, now or within ``seconds`` (``None``: for ever)."""
    return _is_ready(end, select.POLLOUT, seconds)


def _is_ready(end: socket.socket, wanted: int, seconds: float | None) -> bool:
    asked = select.poll()  # select() knows no descriptor past 1023
    asked.register(end, wanted)
    return bool(asked.poll(None if seconds is None else seconds * 1000))


def happens(event: threading.Event, what: str) -> None:
    """Wait for an event that another thread sets."""
    if not event.wait(PATIENCE):
        raise TimeoutError(f"waited in vain until {what}")
