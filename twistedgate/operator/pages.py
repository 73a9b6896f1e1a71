"""What a person reads of a running gateway: tables of text, made of what ``/status`` says.

Whatever came from elsewhere, an error of a target above all, is shown without characters that move a cursor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from twistedgate.operator.rates import RATE, Status

LONGEST_ERROR = 60
"""Characters of a target's last error in a table; ``--json`` has all of it."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Give the lines of a table; numbers stand to the right."""
    written = [[printable(cell) for cell in row] for row in rows]
    kinds = [{type(cell) for cell in column} for column in zip(*rows, strict=True)] if written else []
    widths = [max(map(len, column)) for column in zip(head, *written, strict=True)]
    right = [kind <= {int, float, type(None)} for kind in kinds] or [False] * len(head)
    for line in (head, *written):
        cells = zip(line, widths, right, strict=True)
        yield "  ".join(cell.rjust(w) if is_right else cell.ljust(w) for cell, w, is_right in cells).rstrip()


def status_page(status: Status, now: dt.datetime) -> str:
    """Return everything that an operator wants to see at a glance."""
    return "\n".join([*_summary(status, now), "", *_workers(status), *_upstreams(status, now)])


def targets_page(status: Status, now: dt.datetime) -> str:
    """Return the targets of every upstream."""
    rows = [
        [name, *_target(target, now)]
        for name, upstream in status["upstreams"].items()
        for target in upstream["targets"]
    ]
    return "\n".join(table(["UPSTREAM", *TARGET_HEAD], rows)) if rows else "there are no targets"


def ago(moment: str, now: dt.datetime) -> str:
    """Return how long ago a moment of ISO 8601 was, in two units at most."""
    return span((now - dt.datetime.fromisoformat(moment)).total_seconds())


def span(duration: float) -> str:
    """Return a time in two units at most."""
    seconds = max(0, int(duration))
    parts = []
    for size, unit in _UNITS:
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"


def _summary(status: Status, now: dt.datetime) -> Iterator[str]:
    said = [f"twistedgate {printable(status['version'])}", f"up {ago(status['started'], now)}"]
    said.append(f"{status['connections']} connections")
    if status[RATE] is not None:
        said.append(f"{printable(status[RATE])} requests/s")
    yield ", ".join(said)
    if status["draining"]:
        yield "It is shutting down."
    if status["accepting_paused"]:
        yield "A limit of connections is reached: new ones wait."
    if dropped := status["access_log_dropped"]:
        yield f"{dropped} lines of the access log were lost."
    yield from (f"Not ready: {printable(reason)}" for reason in status["unready"])


def _workers(status: Status) -> Iterator[str]:
    head = ["PROCESS", "STATE", "CONNECTIONS", "REQUESTS", "PER SECOND"]
    yield from table(
        head,
        [
            [worker["pid"], worker["state"], worker["connections"], worker["requests"], worker[RATE]]
            for worker in status["workers"]
        ],
    )


TARGET_HEAD = ("TARGET", "STATE", "SINCE", "WEIGHT", "IN FLIGHT", "REQUESTS", "FAILED", "LAST ERROR")


def _upstreams(status: Status, now: dt.datetime) -> Iterator[str]:
    for name, upstream in status["upstreams"].items():
        targets = upstream["targets"]
        said = [
            f"UPSTREAM {name}: {upstream['balance']}",
            f"{upstream['available']} of {len(targets)} targets may be picked",
            f"{upstream['in_flight']} in flight",
        ]
        yield ""
        yield ", ".join(said)
        if targets:
            rows = []
            for target in targets:
                *counts, error = _target(target, now)
                rows.append([*counts, target[RATE], error])
            yield from table([*TARGET_HEAD[:-1], "PER SECOND", TARGET_HEAD[-1]], rows)


def _target(target: Mapping[str, Any], now: dt.datetime) -> list[object]:
    error = printable(target["last_error"] or "-")
    return [
        target["name"],
        target["state"],
        ago(target["since"], now),
        target["weight"],
        target["in_flight"],
        target["requests"],
        target["failed"],
        error if len(error) <= LONGEST_ERROR else f"{error[: LONGEST_ERROR - 3]}...",
    ]


def printable(cell: object) -> str:
    """Return what can be shown of anything, without characters that move a cursor."""
    if cell is None:
        return "-"
    text = f"{cell:.3f}".rstrip("0").rstrip(".") if isinstance(cell, float) else str(cell)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
