"""Senders that find out how much is taken from them while nobody reads at the other end."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from tests.end_to_end.harness.waiting import is_writable

QUIET = 0.5
"""Seconds without room in a socket after which its other end counts as stalled.

Guessed wrong on a slow machine, a test measures too little and still passes: it can never fail by time.
"""

HELD = 512 * 1024
"""What the gateway may hold for one direction of an exchange."""


class Stall:
    """Sends ``total`` bytes through a socket and notes how far it got when it was first held up."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.sent = 0
        self.sent_before_stall = 0
        self.has_stalled = threading.Event()
        self.gives_up = threading.Event()

    def send(self, through: socket.socket) -> None:
        """Send everything unless it ``gives_up``; raises ``OSError`` if the other side leaves."""
        block = bytes(range(256)) * 256
        through.setblocking(False)
        while self.sent < self.total and not self.gives_up.is_set():
            if not is_writable(through, QUIET):
                self._note()
                continue
            start = self.sent % len(block)
            try:
                self.sent += through.send(block[start : start + self.total - self.sent])
            except BlockingIOError:
                continue
        self._note()
        through.setblocking(True)

    def _note(self) -> None:
        if not self.has_stalled.is_set():
            self.sent_before_stall = self.sent
            self.has_stalled.set()


def pattern(count: int) -> bytes:
    """Return the first ``count`` bytes of what every ``Stall`` sends."""
    return (bytes(range(256)) * (count // 256 + 1))[:count]


def kernel_buffers() -> int:
    """Return what two loopback connections may hold by themselves, outside of the gateway."""
    largest = 0
    for name in ("tcp_rmem", "tcp_wmem"):
        largest += int(Path("/proc/sys/net/ipv4", name).read_text().split()[2])
    return 2 * largest
