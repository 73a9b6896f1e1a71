"""The figures of jobs as a reader wants them, and what was to be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.jobs.contenders import STORES
from benchmarks.jobs.turns import Row, Turn
from benchmarks.jobs.waiting import CLIENTS, Held
from benchmarks.table import lines

SYNCED = 3000
"""Durable accepts a second on ``sqlite:``, where the disk allows."""
UNKEPT = 8000
"""Accepts a second on ``memory:``."""
TIMES_CELERY = 5.0
HELD_SHARE = 0.05
"""Of a core, for a thousand clients that wait."""


def said(what: str, is_reached: bool) -> str:
    """Say whether a goal was reached."""
    return f"  {what}: {'reached' if is_reached else 'MISSED'}"


def rate(turn: Turn) -> float:
    """Jobs a second of a turn."""
    return turn.rate


def each(turn: Turn) -> float:
    """Microseconds for each job of a turn, Redis' own left out."""
    return turn.each


def title(row: Row) -> str:
    """Return how a contender is called in a table."""
    return f"gateway, {row.name}:" if row.name in STORES else row.name


def accept_table(rows: Sequence[Row], syncs: float) -> list[str]:
    """Return who accepts how much."""
    head = ("accepting, 64 clients", "jobs/s", "us/job", "redis us/job", "p50 ms", "p99 ms", "errors")
    cells = [
        (
            title(row),
            f"{row.median(rate):,.0f}",
            f"{row.median(each):.0f}",
            f"{row.median(lambda turn: turn.redis_each):.0f}",
            f"{row.median(lambda turn: turn.p50) * 1000:.1f}",
            f"{row.median(lambda turn: turn.p99) * 1000:.1f}",
            str(sum(turn.faults for turn in row.turns)),
        )
        for row in rows
    ]
    return [*lines(head, cells), *_accept_goals({row.name: row for row in rows}, syncs), ""]


def _accept_goals(rows: Mapping[str, Row], syncs: float) -> list[str]:
    goals = [f"  the disk syncs {syncs:,.0f} times a second, one after the other"]
    for name, goal in (("sqlite", SYNCED), ("memory", UNKEPT)):
        if name in rows:
            reached = rows[name].median(rate)
            goals.append(
                said(f"{name}: {reached:,.0f} accepted a second, to reach {goal:,}", reached >= goal)
            )
    if {"redis", "celery"} <= rows.keys():
        times = rows["redis"].ratio(rows["celery"], rate)
        what = f"redis: {times:.1f} x Celery's rate, to reach {TIMES_CELERY:g}"
        goals.append(said(what, times >= TIMES_CELERY))
    return goals


def whole_table(rows: Sequence[Row]) -> list[str]:
    """Return what a job costs from its submission to its fetched result."""
    head = ("from submission to result", "us/job", "to celery", "redis us/job", "jobs/s", "polls/job", "lost")
    celery = next((row for row in rows if row.name == "celery"), None)
    cells = [
        (
            title(row),
            f"{row.median(each):,.0f}",
            "-" if celery is None else f"{row.ratio(celery, each):.2f}",
            f"{row.median(lambda turn: turn.redis_each):,.0f}",
            f"{row.median(rate):,.0f}",
            f"{row.median(lambda turn: turn.polls):.2f}",
            str(sum(turn.faults for turn in row.turns)),
        )
        for row in rows
    ]
    return [*lines(head, cells), ""]


def wait_table(held: Mapping[str, Held]) -> list[str]:
    """Return what it costs to hold a thousand clients."""
    head = (f"{CLIENTS:,} clients held by Prefer: wait", "% of a core", "redis %", "answers")
    cells = [
        (
            f"gateway, {name}:",
            f"{one.share:.1%}".rstrip("%"),
            f"{one.redis:.1%}".rstrip("%"),
            " ".join(f"{count}x{status}" for status, count in sorted(one.statuses.items())),
        )
        for name, one in held.items()
    ]
    worst = max((one.share for one in held.values()), default=0.0)
    what = f"{worst:.1%} of a core at most, to stay below {HELD_SHARE:.0%}"
    return [*lines(head, cells), said(what, worst < HELD_SHARE), ""]
