"""A terminal that is drawn on again and again, until its user has seen enough.

What was on it before comes back at the end, whatever ends it.  This module does not know what is drawn.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any, TextIO

_BEGIN = "\x1b[?1049h\x1b[?25l"
_END = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """Draws pages on ``output`` and reads keys from ``keys``, both terminals."""

    def __init__(self, output: TextIO = sys.stdout, keys: TextIO = sys.stdin) -> None:
        self._output = output
        self._keys = keys
        self._before: list[Any] | None = None

    def __enter__(self) -> Screen:
        if self._keys.isatty():
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        self._write(_BEGIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(_END)
        if self._before is not None:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def draw(self, page: str) -> None:
        """Show as much of a page as there is room for."""
        width, height = shutil.get_terminal_size()
        lines = [line[:width] + _REST_OF_LINE for line in page.splitlines()[: height - 1]]
        self._write(_HOME + "\n".join(lines) + _REST)

    def wait(self, seconds: float) -> bool:
        """Wait, and tell whether the user wants to go: by ``q``, or because the terminal is gone."""
        end = time.monotonic() + seconds
        if self._before is None:
            time.sleep(seconds)
            return False
        while (left := end - time.monotonic()) > 0:
            if select.select([self._keys], [], [], left)[0]:
                key = os.read(self._keys.fileno(), 1)
                if key in (b"q", b"Q", b""):
                    return True
        return False

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()
