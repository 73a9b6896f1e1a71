"""A runner's life is a lock on a file: the kernel frees it when its process is dead, however that came.

Rules: an id lives once; the lock is taken before a job is.  No clock is asked, so a process that is stopped
for an hour is alive, and one that was killed is dead at once.  A file that is not there, or that nobody
holds, is a death.  flock(2) belongs to the open file: children do not inherit it through exec, and two
runners of one process exclude one another.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

SUFFIX: Final = ".runners"
"""Of the directory beside the file of jobs."""


class Life:
    """The life of one runner; all methods are called by one thread."""

    def __init__(self, directory: Path, runner: str) -> None:
        self._path = directory / runner
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Take the lock; raises ``OSError``."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(self._path, descriptor):
                self._replace(descriptor)
                return
            # somebody took it for a dead one's between the two lines above, and removed it
            os.close(descriptor)

    def renew(self) -> None:
        """Take the lock anew if its file was removed: the others would think that this runner is dead."""
        if self._descriptor is not None and not _is_at(self._path, self._descriptor):
            self.begin()

    def end(self) -> None:
        """Be dead."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            self._replace(None)

    def _replace(self, descriptor: int | None) -> None:
        old, self._descriptor = self._descriptor, descriptor
        if old is not None:
            os.close(old)


def is_dead(directory: Path, runner: str) -> bool:
    """Whether nobody holds a runner's lock; the file of a dead one is removed."""
    path = directory / runner
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        if _is_at(path, descriptor):
            path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def remove_dead(directory: Path) -> None:
    """Remove what dead runners left behind in the directory."""
    for path in list(directory.iterdir()):
        is_dead(directory, path.name)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to an open file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))
