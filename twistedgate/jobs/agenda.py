"""Things in the order of their keys, the least first, any of which may be struck out.

A heap whose struck entries are passed over when they come up, and swept out when they are the greater part:
each step costs the logarithm of what is there, on the average.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")

_SLACK = 64
"""Struck entries that are never worth sweeping out."""


class Agenda(Generic[K, T]):
    """What comes when; a thing stands in it once at most, and equal keys keep their order."""

    __slots__ = ("_heap", "_tickets", "_turn")

    def __init__(self) -> None:
        self._heap: list[tuple[Any, int, T]] = []
        self._tickets: dict[T, int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __iter__(self) -> Iterator[T]:
        return iter(self._tickets)

    def __contains__(self, thing: T) -> bool:
        return thing in self._tickets

    def put(self, key: K, thing: T) -> None:
        """Put a thing in, or move it to another key."""
        self._turn += 1
        moves = thing in self._tickets
        self._tickets[thing] = self._turn
        heapq.heappush(self._heap, (key, self._turn, thing))
        if moves:
            self._tidy()

    def strike(self, thing: T) -> None:
        """Take a thing out, if it is there."""
        if self._tickets.pop(thing, None) is not None:
            self._tidy()

    def first(self) -> T | None:
        """Return the thing of the least key."""
        heap, tickets = self._heap, self._tickets
        while heap:
            _, ticket, thing = heap[0]
            if tickets.get(thing) == ticket:
                return thing
            heapq.heappop(heap)
        return None

    def pop_until(self, key: K) -> T | None:
        """Take the first thing out and return it, if its key is ``key`` or less."""
        thing = self.first()
        if thing is None or self._heap[0][0] > key:
            return None
        heapq.heappop(self._heap)
        del self._tickets[thing]
        return thing

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._tickets) + _SLACK:
            tickets = self._tickets
            self._heap = [entry for entry in self._heap if tickets.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)
