"""Processes that write to one file take turns.

SQLite's own lock is polled with growing pauses, and whoever writes without a rest keeps the others out for
hundreds of milliseconds.  Two locks of the kernel make a queue of it: whoever wants to write stands at the
gate until the one before him is at work, and passes it only once the work is his.  So nobody gets a second
turn while somebody waits for his first.  A process that dies gives both back.  SQLite's lock is taken all the
same, for the sake of others who may open the file.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Turns:
    """The turns of one process; ``with`` is one of them.  May wait, and so belongs into a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._gate = -1
        self._work = -1

    def open(self) -> None:
        """Open the locks; raises ``OSError``."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._gate = _open(self._directory / ".gate")
        self._work = _open(self._directory / ".work")

    def close(self) -> None:
        """Close them."""
        for descriptor in (self._gate, self._work):
            if descriptor >= 0:
                os.close(descriptor)
        self._gate = self._work = -1

    def __enter__(self) -> None:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._work, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._work, fcntl.LOCK_UN)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
