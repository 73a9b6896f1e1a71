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

    __slots__ = ("_heap", "_things", "_tickets", "_turn")

    def __init__(self) -> None:
        # the things are not in the heap itself: tuples of numbers are nothing to Python's collector
        self._heap: list[tuple[Any, int]] = []
        self._things: dict[int, T] = {}
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
        self.strike(thing)
        self._turn += 1
        self._tickets[thing] = self._turn
        self._things[self._turn] = thing
        heapq.heappush(self._heap, (key, self._turn))

    def strike(self, thing: T) -> None:
        """Take a thing out, if it is there."""
        ticket = self._tickets.pop(thing, None)
        if ticket is not None:
            del self._things[ticket]
            if len(self._heap) > 2 * len(self._things) + _SLACK:
                self._heap = [entry for entry in self._heap if entry[1] in self._things]
                heapq.heapify(self._heap)

    def first(self) -> T | None:
        """Return the thing of the least key."""
        heap, things = self._heap, self._things
        while heap:
            thing = things.get(heap[0][1])
            if thing is not None:
                return thing
            heapq.heappop(heap)
        return None

    def pop_until(self, key: K) -> T | None:
        """Take the first thing out and return it, if its key is ``key`` or less."""
        thing = self.first()
        if thing is None or self._heap[0][0] > key:
            return None
        heapq.heappop(self._heap)
        del self._things[self._tickets.pop(thing)]
        return thing
