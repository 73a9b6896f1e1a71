"""Standard input, output and error, when whoever started the program has closed some of them.

The next file that such a program opens gets the number, and whatever is written to standard output or error
goes there: into a client's connection, or what wakes the reactor.  So the numbers are taken by ``/dev/null``
before anything is opened.  The interpreter has looked before: ``sys.__stdout__`` stays ``None``.
"""

from __future__ import annotations

import os
import sys

NUMBERS = (0, 1, 2)


def take_closed_streams() -> None:
    """Have ``/dev/null`` where a standard stream is closed; to be called before any file is opened."""
    for number in NUMBERS:
        try:
            os.fstat(number)
        except OSError:
            # the lowest number that is free: those below are open by now
            os.open(os.devnull, os.O_RDWR)


def is_heard(number: int) -> bool:
    """Tell whether what is written to a stream gets anywhere: that of a daemon in the background does not."""
    try:
        return os.fstat(number).st_rdev != os.stat(os.devnull).st_rdev  # noqa: PTH116 -- beside fstat
    except OSError:
        return False


def inherited_streams() -> dict[int, int]:
    """Return what a child is given of them: one that was closed is closed for it, too."""
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return {number: number for number, stream in zip(NUMBERS, streams, strict=True) if stream is not None}
