"""Where everybody counts: the supervisor gives places out by name, workers are told and say what they left.

There are columns for what only grows, and gauges for what is under way.  A place that is given back is given
out again when no worker counts there any more: of columns a worker says so at once, of gauges when what it
had under way there has ended.  A name without a gauge is counted by each worker for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from twistedgate.config.model import Configuration
from twistedgate.observers.cells import route_block, target_block, upstream_block
from twistedgate.observers.measures import Measures
from twistedgate.workers.columns import Columns, NoRoom, Record, Span
from twistedgate.workers.scoreboard import COLUMNS, FIRST_GAUGE, GAUGES, Row, Scoreboard

_SHOWN = ("listener:", "pool:", "idle:")
"""Gauges that a worker sets; all others it counts up and down."""

Said = dict[str, Any]
"""Fields of a message."""


class Places:
    """The supervisor's side."""

    def __init__(self, board: Scoreboard, row: Row, left: Mapping[str, object] | None = None) -> None:
        """``left`` is the ``record`` of an earlier program that gave places out."""
        self._columns = _restored(left, "columns", COLUMNS, board.clear)
        self._gauges = _restored(
            left,
            "gauges",
            GAUGES - FIRST_GAUGE,
            lambda start, length: board.clear_gauges(start + FIRST_GAUGE, length),
        )
        self._version = 0
        self._told: dict[int, int] = {}
        self.measures = Measures(row.counters, self._columns, self._changed)

    def __repr__(self) -> str:
        return f"<Places version {self._version}>"

    def _changed(self) -> None:
        self._version += 1

    # names

    def prepare(self, configuration: Configuration) -> None:
        """Have gauges for a configuration; those of the present one stay."""
        for name in _names(configuration):
            self._take(name)

    def commit(self, configuration: Configuration) -> None:
        """Have places for this configuration only; those of its upstreams' targets stay."""
        wanted = set(_names(configuration))
        for name in list(self._gauges.starts):
            kind, _, rest = name.partition(":")
            if name not in wanted and (
                kind != "target" or rest.partition("/")[0] not in configuration.upstreams
            ):
                self._gauges.release(name)
        self.measures.configure(configuration)

    def find_targets(self, upstream: str, targets: Iterable[str]) -> None:
        """Have gauges for all targets of an upstream, and neither gauges nor columns for others of it."""
        present = list(targets)
        self.measures.keep_targets(upstream, present)
        wanted = {target_block(upstream, target) for target in present}
        for name in wanted:
            self._take(name)
        for name in list(self._gauges.starts):
            if name.startswith(target_block(upstream, "")) and name not in wanted:
                self._gauges.release(name)
                self._changed()

    def _take(self, name: str) -> None:
        if name not in self._gauges.starts:
            try:
                self._gauges.take(name, 1)
            except NoRoom:
                return
            self._changed()

    def gauge(self, name: str) -> int | None:
        """Return the gauge of a name, if it has one."""
        start = self._gauges.starts.get(name)
        return None if start is None else start + FIRST_GAUGE

    # workers

    def join(self, row: int) -> None:
        """A worker is going to count."""
        self._columns.join(row)
        self._gauges.join(row)
        self._told[row] = -1

    def leave(self, row: int) -> None:
        """A worker is gone."""
        self._columns.leave(row)
        self._gauges.leave(row)
        self._told.pop(row, None)

    def told(self, row: int) -> Said:
        """Return what a worker has to know now that it was not told yet."""
        if self._told.get(row) == self._version:
            return {}
        self._told[row] = self._version
        gauges = {name: start + FIRST_GAUGE for name, start in self._gauges.starts.items()}
        stamps = [self._columns.stamp, self._gauges.stamp]
        return {"places": {"columns": self.measures.starts, "gauges": gauges, "stamps": stamps}}

    def acknowledge(self, row: int, columns: int, gauges: int) -> None:
        """A worker counts no more into what was given back up to these stamps."""
        self._columns.acknowledge(row, columns)
        self._gauges.acknowledge(row, gauges)

    def record(self) -> dict[str, dict[str, object]]:
        """Return what the next program of this process goes on with."""
        return {"columns": asdict(self._columns.record()), "gauges": asdict(self._gauges.record())}


class Placed:
    """A worker's side: where things are, and what it has left."""

    def __init__(self, row: Row, acknowledge: Callable[[int, int], object]) -> None:
        """``acknowledge`` is told the stamps of columns and gauges that this worker has left."""
        self.columns: dict[str, int] = {}
        self.gauges: dict[str, int] = {}
        self._row = row
        self._acknowledge = acknowledge
        self._leaving: list[tuple[int, int, set[int]]] = []

    def take(self, told: Mapping[str, Any] | None) -> bool:
        """Hear of places; returns whether there was anything new."""
        if told is None:
            return False
        gone = {name: gauge for name, gauge in self.gauges.items() if name not in told["gauges"]}
        left = set(self.gauges.values()) - set(told["gauges"].values())
        for name, gauge in gone.items():
            if name.startswith(_SHOWN) and gauge in left:
                # it is shown from time to time, not counted: nobody would ever take it down
                self._row.set(gauge, 0)
        for known, now in ((self.columns, told["columns"]), (self.gauges, told["gauges"])):
            known.clear()
            known.update(now)
        for *_, others in self._leaving:
            # what has come back is in use: it may never be without anything under way
            others.difference_update(told["gauges"].values())
        self._leaving.append((*told["stamps"], left))
        return True

    def sweep(self) -> None:
        """Say what nothing of this worker is under way in any more."""
        while self._leaving:
            columns, gauges, left = self._leaving[0]
            if any(self._row.get(gauge) for gauge in left):
                return
            del self._leaving[0]
            self._acknowledge(columns, gauges)


def listener_gauge(listener: str) -> str:
    """Return the name of the gauge of a listener's connections."""
    return f"listener:{listener}"


def pool_gauge(upstream: str) -> str:
    """Return the name of the gauge of an upstream's connections."""
    return f"pool:{upstream}"


def idle_gauge(upstream: str) -> str:
    """Return the name of the gauge of those that are idle."""
    return f"idle:{upstream}"


def _names(configuration: Configuration) -> list[str]:
    found = [route_block(name) for name in configuration.routes]
    found += [listener_gauge(name) for name in configuration.listeners]
    for name in configuration.upstreams:
        found += [upstream_block(name), pool_gauge(name), idle_gauge(name)]
    return found


def _restored(
    left: Mapping[str, Any] | None, kind: str, capacity: int, clear: Callable[[int, int], None]
) -> Columns:
    if left is None or left[kind]["capacity"] != capacity:
        return Columns(capacity, clear)
    told = left[kind]
    return Columns.of(
        Record(
            told["capacity"],
            told["stamp"],
            tuple(Span(**span) for span in told["spans"]),
            tuple((stamp, Span(**span)) for stamp, span in told["leaving"]),
            tuple((holder, stamp) for holder, stamp in told["holders"]),
        ),
        clear,
    )
