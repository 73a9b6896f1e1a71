"""One transaction, as those see it who change jobs in it.

What was changed is noted beside the change, and told to others only once it is kept.  A step that is given a
ledger changes nothing else: whatever goes wrong, the transaction is rolled back and the step runs again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
"""Rows that one statement takes."""


class Ledger:
    """A transaction under way, for one runner."""

    __slots__ = ("changed", "execute", "runner", "unreadable", "working")

    def __init__(self, connection: sqlite3.Connection, runner: str) -> None:
        self.execute = connection.execute
        self.runner = runner
        self.changed: list[str] = []
        """The ids of the jobs that somebody may watch."""
        self.working: list[str] = []
        """Routes of which there may be something to claim."""
        self.unreadable: list[str] = []
        """The ids of jobs that were come upon and cannot be read: somebody must be told of them."""

    def one(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row, ``None`` if there is none."""
        rows = self.execute(statement, values).fetchall()
        return rows[0] if rows else None

    def all(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows."""
        return self.execute(statement, values).fetchall()

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Put rows into a statement's ``{rows}``, by as few statements as can be, which are prepared once."""
        found: list[Any] = []
        begin = 0
        for size in SIZES:
            while len(rows) - begin >= size:
                row = f"({', '.join('?' * len(rows[begin]))})"
                values = tuple(value for one in rows[begin : begin + size] for value in one)
                found += self.all(statement.format(rows=", ".join([row] * size)), values)
                begin += size
        return found

    def free_slots(self, routes: Iterable[str]) -> None:
        """Note that runs of these routes have ended: others may begin, where some wait."""
        for route in routes:
            if self.one("SELECT 1 FROM loads WHERE route = ? AND queued > 0", (route,)) is not None:
                self.working.append(route)
