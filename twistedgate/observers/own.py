"""The cells of a process that counts for itself alone: whole numbers of its own.

A cell of memory that is shared costs twice as much as one of a list, and an answer is counted in six.  This
module does not know what is counted, nor where; whoever gives the cells out extends them.
"""

from __future__ import annotations


class OwnCells:
    """What a ``Scoreboard`` is to several processes, as far as counters go."""

    def __init__(self) -> None:
        self.cells: list[int] = []

    def total(self, start: int, length: int) -> list[int]:
        """Return so many cells from ``start`` on."""
        return self.cells[start : start + length]

    def clear(self, start: int, length: int) -> None:
        """Empty so many cells from ``start`` on."""
        self.cells[start : start + length] = [0] * length
