"""A thread that appends batches of lines to a file, so that nobody else ever waits for a disk or a pipe.

Batches are written in order and whole; a line that was cut in two by a full disk is ended before the next
one begins.  Into a pipe or a socket, which several processes may share, lines go in pieces that no other
process' lines get into, and long lines while writers like this one wait.  What cannot be written is lost and
counted, and the next batch tries again.  The thread is a daemon: a pipe that nobody reads does not keep the
process alive.  This module does not know what a line says, nor the reactor.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

STANDARD_OUTPUT = "-"
"""The path that stands for the process's standard output."""

_REOPEN = b"reopen"
_STOP = b"stop"


class Writer:
    """Appends to ``path``; each attribute is written by one thread only, so none needs a lock.

    ``trouble_changed`` is called in the writing thread when writing begins to fail and when it is well again.
    """

    def __init__(self, path: str, trouble_changed: Callable[[], None]) -> None:
        self.path = path
        self.trouble = ""
        """Why the last batch could not be written, empty when it could."""
        self.lost = 0
        """Lines that could not be written."""
        self._handed = 0
        self._done = 0
        self._trouble_changed = trouble_changed
        self._batches: SimpleQueue[bytes] = SimpleQueue()
        self._descriptor: int | None = None
        self._is_stale = True
        self._is_shared = False
        self._cut = False
        self._stopped: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def outstanding(self) -> int:
        """Bytes that were handed over and are not done with."""
        return self._handed - self._done

    def hand(self, batch: bytes) -> None:
        """Take whole lines to be written; never waits."""
        self._handed += len(batch)
        self._put(batch)

    def reopen(self) -> None:
        """Open the path anew after what was handed over so far; the old file serves until that succeeds."""
        self._put(_REOPEN)

    def stop(self, stopped: Callable[[], None]) -> None:
        """Write what was handed over, close the file, call ``stopped`` in the writing thread."""
        self._stopped = stopped
        self._put(_STOP)

    def _put(self, batch: bytes) -> None:
        # Started here, not before: a daemon forks after it read its configuration; threads do not follow.
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            self._thread.start()
        self._batches.put(batch)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not _STOP:
            if batch is _REOPEN:
                self._is_stale = True
                self._note(self._attempt(self._open_if_stale))
            else:
                self._append(batch)
                self._done += len(batch)
        self._close()
        if self._stopped is not None:
            self._stopped()

    def _append(self, batch: bytes) -> None:
        written = 0

        def write() -> None:
            nonlocal written
            self._open_if_stale()
            if self._cut:
                self._write(memoryview(b"\n"))
                self._cut = False
            with memoryview(batch) as view, self._alone():
                while written < len(batch):
                    end = _piece(batch, written) if self._is_shared else len(batch)
                    written += self._write(view[written:end])

        trouble = self._attempt(write)
        if written < len(batch):
            self.lost += batch.count(b"\n", written)
            self._cut = self._cut or (written > 0 and batch[written - 1 : written] != b"\n")
            # A pipe's reader may come back, a directory may be made again: the next batch opens anew.
            self._close()
            self._is_stale = True
        self._note(trouble)

    def _attempt(self, action: Callable[[], None]) -> str:
        """Return what went wrong; while an old file serves because the new one cannot be opened, that is."""
        try:
            action()
        except OSError as failure:
            return failure.strerror or str(failure)
        return self.trouble if self._is_stale else ""

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._trouble_changed()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have writers of other processes wait: a long line could be cut in two by one of theirs."""
        if not self._is_shared:
            yield
            return
        assert self._descriptor is not None
        # a process that ends gives its lock back; where there are none, lines are as whole as can be
        with suppress(OSError):
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write(self, piece: memoryview) -> int:
        """Write some of ``piece``; waits for a pipe that takes nothing, whether it blocks or not."""
        assert self._descriptor is not None
        while True:
            try:
                return os.write(self._descriptor, piece)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()

    def _open_if_stale(self) -> None:
        if not self._is_stale:
            return
        try:
            opened = self._standard_output() if self.path == STANDARD_OUTPUT else _open_file(self.path)
        except OSError as failure:
            if self._descriptor is None:
                raise
            self._note(failure.strerror or str(failure))
        else:
            self._close()
            self._descriptor = opened
            self._is_shared = not stat.S_ISREG(os.fstat(opened).st_mode)
            self._is_stale = False

    def _standard_output(self) -> int:
        # If it was closed when the interpreter started, its number belongs to somebody else's file by now.
        if sys.__stdout__ is None:
            raise OSError("standard output is closed")
        return os.dup(1)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            # Some file systems tell only now that the disk is full; there is nobody left to tell.
            try:
                os.close(descriptor)
            except OSError:
                return


def _piece(batch: bytes, begin: int) -> int:
    """Return the end of the lines that can be written at once: whole ones, at most ``PIPE_BUF`` bytes.

    So much is written without anybody else's bytes in between (write(3), pipe(7)); a longer line goes alone.
    """
    if len(batch) - begin <= select.PIPE_BUF:
        return len(batch)
    end = batch.rfind(b"\n", begin, begin + select.PIPE_BUF) + 1
    return end or batch.find(b"\n", begin) + 1 or len(batch)


def _open_file(path: str) -> int:
    # O_APPEND: lines of several processes do not overwrite one another.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
