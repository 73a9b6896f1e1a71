"""The figures as a reader wants them: one table, and what was to be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.memory import CONNECTION_GOAL, IDLE_GOAL, MemoryRow
from benchmarks.rounds import Row

HEAD = ("", "us/request", "gateway to it", "requests/s", "p50 ms", "p99 ms", "errors")


def lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows in columns, the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  " + "  ".join(cells)

    return [line(row) for row in [head, *rows]]


def verdict(ratio: float, goal: float, name: str) -> str:
    """Say whether a ratio keeps to its goal."""
    return f"{ratio:.2f} x {name}, to reach {goal:g}: {'reached' if ratio <= goal else 'MISSED'}"


def case_table(title: str, rows: Sequence[Row], goals: Mapping[str, float]) -> list[str]:
    """Return the table of a case that was played in turns."""
    cells = [
        (
            row.name,
            f"{row.microseconds:.1f}",
            "-" if row.ratio is None else f"{row.ratio:.2f}",
            f"{row.rate:,.0f}",
            f"{row.p50 * 1000:.2f}",
            f"{row.p99 * 1000:.2f}",
            str(row.errors),
        )
        for row in rows
    ]
    ratios = {row.name: row.ratio for row in rows if row.ratio is not None}
    said = [verdict(ratios[name], goal, name) for name, goal in goals.items() if name in ratios]
    return [title, *lines(HEAD, cells), *(f"  {one}" for one in said), ""]


def memory_table(title: str, rows: Sequence[MemoryRow], first: str) -> list[str]:
    """Return the table of what each contender holds in memory."""
    cells = [
        (row.name, f"{row.idle / 2**20:.1f}", f"{row.held / 2**20:.1f}", f"{row.each / 1024:.1f}")
        for row in rows
    ]
    said = []
    for row in rows:
        if row.name == first:
            idle = "reached" if row.idle <= IDLE_GOAL else "MISSED"
            each = "reached" if row.each <= CONNECTION_GOAL else "MISSED"
            said = [f"  idle, at most 60 MiB: {idle}; a connection, at most 12 KiB: {each}"]
    return [title, *lines(("", "MiB idle", "MiB held", "KiB each"), cells), *said, ""]
