"""Who has which columns of the scoreboard: spans are given out by name, and again when nobody uses them.

Rules: no two names share a column; the same name and length is the same span, also after it was given back
and until it is another's; what was given back is given out again only after every holder (a process that
counts into columns) has said that it counts there no more, or is gone, and after it was emptied.  A holder
says so by a stamp: every return has the next number, and whoever acknowledges a stamp acknowledges all before
it.  This module knows neither memory nor processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


class NoRoom(OverflowError):
    """There is no span of that length left."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive columns that belong to a name."""

    name: str
    start: int
    length: int

    @property
    def end(self) -> int:
        """The first column behind it."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is known of columns, in plain values: what takes over goes on with it."""

    capacity: int
    stamp: int
    spans: tuple[Span, ...]
    leaving: tuple[tuple[int, Span], ...]
    """Spans that were given back and may still be counted into, each with its stamp."""
    holders: tuple[tuple[int, int], ...]
    """Processes that count, each with the stamp that it has acknowledged."""


class Columns:
    """Spans of one row, the same for all rows."""

    def __init__(self, capacity: int, clear: Callable[[int, int], None]) -> None:
        """``clear`` empties a span, given as start and length, in every row."""
        self.stamp = 0
        """The number of the last return."""
        self._capacity = capacity
        self._clear = clear
        self._spans: dict[str, Span] = {}
        self._leaving: list[tuple[int, Span]] = []
        self._holders: dict[int, int] = {}
        self._gaps: list[tuple[int, int]] | None = None

    @classmethod
    def of(cls, record: Record, clear: Callable[[int, int], None]) -> Columns:
        """Go on where ``record`` was made."""
        columns = cls(record.capacity, clear)
        columns.stamp = record.stamp
        columns._spans = {span.name: span for span in record.spans}
        columns._leaving = list(record.leaving)
        columns._holders = dict(record.holders)
        return columns

    def record(self) -> Record:
        """Return what ``of`` wants."""
        return Record(
            self._capacity,
            self.stamp,
            tuple(self._spans.values()),
            tuple(self._leaving),
            tuple(self._holders.items()),
        )

    @property
    def starts(self) -> dict[str, int]:
        """Where the span of each name begins."""
        return {name: span.start for name, span in self._spans.items()}

    def take(self, name: str, length: int) -> int:
        """Return where the span of ``name`` begins; raises ``NoRoom``, an ``OverflowError``.

        A name that comes with another length gives its old span back.
        """
        span = self._spans.get(name)
        if span is not None and span.length == length:
            return span.start
        taken = self._taken_back(name, length) or Span(name, self._fit(length), length)
        self._spans[name] = taken
        if span is not None:
            self._give_back(span)
        return taken.start

    def _taken_back(self, name: str, length: int) -> Span | None:
        """Return the span that the name has left and nobody else has yet."""
        for place, (_, span) in enumerate(self._leaving):
            if (span.name, span.length) == (name, length):
                del self._leaving[place]
                return span
        return None

    def _fit(self, length: int) -> int:
        """Cut a span out of the first gap that is long enough."""
        if length < 1:
            raise ValueError("a span has at least one column")
        if self._gaps is None:
            spans = [*self._spans.values(), *(span for _, span in self._leaving)]
            self._gaps = _between(spans, self._capacity)
        for place, (start, room) in enumerate(self._gaps):
            if room >= length:
                self._gaps[place : place + 1] = [(start + length, room - length)] if room > length else []
                return start
        raise NoRoom(f"no room for {length} columns")

    def release(self, name: str) -> None:
        """Give the span of ``name`` back; raises ``KeyError`` if it has none."""
        self._give_back(self._spans.pop(name))

    def _give_back(self, span: Span) -> None:
        self.stamp += 1
        self._leaving.append((self.stamp, span))
        self._settle()

    # those who count

    def join(self, holder: int) -> None:
        """From now on ``holder`` may count into every span that has a name."""
        self._holders[holder] = self.stamp

    def acknowledge(self, holder: int, stamp: int) -> None:
        """``holder`` counts no more into what was given back up to ``stamp``."""
        if holder in self._holders:
            self._holders[holder] = max(self._holders[holder], stamp)
            self._settle()

    def leave(self, holder: int) -> None:
        """``holder`` is gone."""
        self._holders.pop(holder, None)
        self._settle()

    def _settle(self) -> None:
        """Empty, and make free, what no holder counts into."""
        certain = min(self._holders.values(), default=self.stamp)
        done = [span for stamp, span in self._leaving if stamp <= certain]
        if not done:
            return
        self._leaving = [(stamp, span) for stamp, span in self._leaving if stamp > certain]
        for span in done:
            self._clear(span.start, span.length)
        self._gaps = None


def _between(spans: Iterable[Span], capacity: int) -> list[tuple[int, int]]:
    """Return the gaps between spans, as start and length."""
    gaps = []
    free = 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.start > free:
            gaps.append((free, span.start - free))
        free = span.end
    if free < capacity:
        gaps.append((free, capacity - free))
    return gaps
