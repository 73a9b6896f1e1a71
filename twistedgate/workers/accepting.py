"""What one of several processes that accept on the same addresses may accept, so that each has its share.

Rules
- A process pauses while it has more than a tenth and two connections above the mean of those that accept.
  The one that has fewest never does, so somebody always accepts.
- Those that are full, drain, or show no sign of life for two seconds are not in the mean, and who is alone
  takes everything.
- A pause is looked at again every few milliseconds.  Where a connection has waited through many of these
  looks, and nobody else has taken one or lost one, nobody will soon: one is taken at each further look.

The kernel wakes every process for a new connection, and whoever comes first has it; without this rule a
process that is busy has little, and one that is idle has more and more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twistedgate.workers.scoreboard import ACCEPTING, CONNECTIONS, FIRST_WORKER, HEARTBEAT, Row

AGAIN: Final = 0.005
"""Seconds until a pause is looked at again: connections end elsewhere, and nobody says so."""

STUCK: Final = 10
"""Looks without a change after which the others are taken to be busy with something that takes long."""

FRESH: Final = 2.0
"""Seconds that a sign of life counts."""

EVERYTHING: Final = 2**31


def fair_room(mine: int, others: Sequence[int]) -> int:
    """Return how many connections may be accepted until they are more than a fair share.

    ``others`` are the connections of those who accept, too.  The share is passed when what one has is more
    than 1.1 times the mean plus 2.
    """
    count = len(others) + 1
    if count == 1:
        return EVERYTHING
    total = mine + sum(others)
    # in whole numbers, ten times as many for each process: what is left of the share, and how much of it the
    # next connection takes, which lifts the mean a little, too
    left = 11 * total + 20 * count - 10 * count * mine
    return max(left // (10 * count - 11) + 1, 0)


class Share:
    """The connections that other processes leave to this one: see ``downstream.capacity.Others``."""

    def __init__(self, row: Row, reactor: Any) -> None:
        """``row`` is this process's; the heartbeats of all rows are by the reactor's clock."""
        self._row = row
        self._reactor = reactor
        self._mine = 0
        self._looking: Any = None
        self._seen: list[int] = []
        self._unchanged = 0
        self._takes_one = False

    def tell(self, open_count: int, accepts: bool) -> None:
        """Show the others how many connections there are here, and whether more would be accepted."""
        self._takes_one = self._takes_one and open_count <= self._mine
        self._mine = open_count
        self._row.set(CONNECTIONS, open_count)
        self._row.set(ACCEPTING, int(accepts))
        if not accepts and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def room(self) -> int:
        """Return how many connections may be accepted now."""
        return max(fair_room(self._mine, self._others()), int(self._takes_one))

    def _others(self) -> list[int]:
        """Return the connections of the other processes that accept."""
        row, board = self._row, self._row.board
        rows = slice(FIRST_WORKER, board.reach)
        oldest = (self._reactor.seconds() - FRESH) * 1e9
        accepts, beats = board.cells(ACCEPTING)[rows], board.cells(HEARTBEAT)[rows]
        found = zip(board.cells(CONNECTIONS)[rows], accepts, beats, strict=True)
        return [
            connections
            for number, (connections, is_accepting, beat) in enumerate(found, FIRST_WORKER)
            if is_accepting and beat >= oldest and number != row.number
        ]

    def look_again(self, has_waiting: Callable[[], bool], check: Callable[[], None]) -> None:
        """Call ``check`` in a moment."""
        if self._looking is None:
            self._looking = self._reactor.callLater(AGAIN, self._look, has_waiting, check)

    def _look(self, has_waiting: Callable[[], bool], check: Callable[[], None]) -> None:
        self._looking = None
        others = self._others()
        is_stuck = others == self._seen and has_waiting()
        self._unchanged = self._unchanged + 1 if is_stuck else 0
        self._seen = others
        self._takes_one = self._unchanged >= STUCK
        check()
        if self._takes_one:
            # it may be another's before this process comes to it
            self.look_again(has_waiting, check)
