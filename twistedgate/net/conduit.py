"""Bytes from one socket to another that never come into this process: splice(2), by way of a pipe.

What is copied in and out again costs twice, and pushes everything else out of the processor's caches.  One
pipe serves all connections of a process: it is emptied, one way or the other, before it is used again.

Where the system has no such call, or does not let us, nothing is passed this way, and nobody need know.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

PASSED_SIZE = 512 * 1024
"""Bytes that are passed on at a time."""

_ROOM = 1024 * 1024
"""Bytes the pipe is asked to have room for: what counts is its slots, and the pages of a socket fill few."""

_FLAGS = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)

_REFUSED = frozenset((errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL))


class Conduit:
    """A pipe between sockets; opened when it is needed first."""

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None
        self._is_usable = hasattr(os, "splice")

    def pull(self, source: int, size: int) -> int:
        """Take up to ``size`` bytes from a socket; return how many, 0 where an ordinary read tells more."""
        if not self._is_usable:
            return 0
        try:
            ends = self._ends or self._open()
            return os.splice(source, ends[1], min(size, PASSED_SIZE), flags=_FLAGS)
        except OSError as error:
            if error.errno in _REFUSED:
                self.close()
                self._is_usable = False
            return 0

    def push(self, target: int, size: int) -> int:
        """Give ``size`` bytes that were pulled to a socket and return how many it took: none if it is ill."""
        assert self._ends is not None
        try:
            return os.splice(self._ends[0], target, size, flags=_FLAGS)
        except OSError:
            return 0

    def drain(self, size: int) -> bytes:
        """Return ``size`` bytes that were pulled and that no socket took."""
        assert self._ends is not None
        pieces = []
        while size:
            piece = os.read(self._ends[0], size)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the pipe; it is opened again when it is needed."""
        ends, self._ends = self._ends, None
        for end in ends or ():
            os.close(end)

    def _open(self) -> tuple[int, int]:
        ends = self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):
            # where it is more than this user may have (pipe(7)), smaller pieces are passed
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _ROOM)
        return ends
