"""A process that enters a shared gate again and again, and checks how many are inside: see test_sharing.

A pipe holds as many bytes as may be inside.  Whoever is inside takes one and puts it back before it leaves,
so that an empty pipe means that more were let in.  The kernel counts here, not the scoreboard.
"""

from __future__ import annotations

import os
import sys

from twistedgate.workers.scoreboard import FIRST_GAUGE, Scoreboard
from twistedgate.workers.sharing import SharedGate

TRIES = 100_000
"""Enough that the processes run side by side for a while, and not one after the other."""


def main(number: int, fd: int, pipe: tuple[int, int], limit: int) -> None:
    """Say that it is ready, wait for the others, try, and tell what came of it."""
    taking, putting = pipe
    gate = SharedGate(limit, Scoreboard.attach(fd).row(number), FIRST_GAUGE)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    tried = entered = too_many = 0
    # Where all try all the time nearly every try is refused: a process that was interrupted between its try
    # and the verdict keeps the others out for so long.  Whoever is left in the end comes in.
    while tried < TRIES or not entered:
        tried += 1
        if not gate.enter():
            continue
        entered += 1
        try:
            place = os.read(taking, 1)
        except BlockingIOError:
            too_many += 1
        else:
            os.write(putting, place)
        gate.leave()
    sys.stdout.write(f"{entered} {too_many} {gate.under_way}\n")


if __name__ == "__main__":
    own, shared, reading, writing, most = map(int, sys.argv[1:])
    main(own, shared, (reading, writing), most)
