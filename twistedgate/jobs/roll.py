"""Jobs in the order in which they came, read from the newest backwards, a page at a time.

A page begins below the number of the last job of the page before, so that it does not move when jobs come
and go.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_SLACK = 64
"""Numbers of those who left that are never worth sweeping out."""


class Roll(Generic[T]):
    """What is entered under numbers that only grow."""

    __slots__ = ("_numbers", "_present")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._present: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._present)

    def enter(self, number: int, thing: T) -> None:
        """Enter a thing under a number that is greater than all before."""
        self._numbers.append(number)
        self._present[number] = thing

    def leave(self, number: int) -> None:
        """Take out what is under a number, if anything is."""
        present = self._present
        if present.pop(number, None) is not None and len(self._numbers) > 2 * len(present) + _SLACK:
            self._numbers = [kept for kept in self._numbers if kept in present]

    def page(self, below: int | None, limit: int, wanted: Callable[[T], bool]) -> tuple[list[T], int | None]:
        """Return what is wanted, newest first, and below which number the next page begins, if any does."""
        numbers, present = self._numbers, self._present
        place = len(numbers) if below is None else bisect_left(numbers, below)
        found: list[T] = []
        last: int | None = None
        for position in range(place - 1, -1, -1):
            thing = present.get(numbers[position])
            if thing is None or not wanted(thing):
                continue
            if len(found) == limit:
                return found, last
            found.append(thing)
            last = numbers[position]
        return found, None
