"""What several processes count together: the gates, and what is in flight to each target.

Rules: each process writes its own cell and nobody else's, and reads the sum.  Never more are inside a gate
than its limit; where several processes enter at the same moment, one may be refused though there was room.
A process that dies takes nothing along: its cells are emptied.  This module does not know how many processes
there are, nor who gives gauges out.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from twisted.logger import Logger

from twistedgate.config.model import TargetConfig
from twistedgate.limiting.gate import Gate
from twistedgate.upstream.counting import OwnCounts
from twistedgate.upstream.target import Target
from twistedgate.workers.scoreboard import Row

_log = Logger()


class SharedGate(Gate):
    """A gate whose limit holds for all processes together; ``under_way`` is what entered here.

    Only the reactor's thread may enter and leave.
    """

    __slots__ = ("_acquire", "_cells", "_gauge", "_own", "_release", "_total")

    def __init__(self, limit: int | None, row: Row, gauge: int) -> None:
        # not the inherited one: others of this process may be inside, by a gate of the same name before
        self.limit = limit
        self._gauge = gauge
        self._cells = row.board.cells(gauge)
        self._own = row.number
        self._total = row.board.gauge_total
        fence = Lock()
        fence.acquire()
        self._release = fence.release
        self._acquire = fence.acquire

    @property
    def under_way(self) -> int:
        """What entered here and has not left; the line counts up by itself where nothing is bounded."""
        return self._cells[self._own]

    @under_way.setter
    def under_way(self, count: int) -> None:
        self._cells[self._own] = count

    @property
    def total(self) -> int:
        """What is under way in all processes."""
        return self._total(self._gauge)

    def enter(self) -> bool:
        """Count one more; ``False``, and nothing is counted, if that would pass the limit of all together."""
        cells, own = self._cells, self._own
        cells[own] += 1
        if self.limit is None:
            return True
        # A processor may read the others' cells before its own store is seen by them, and two that do would
        # both enter the last place.  A lock that is free costs no system call, and to release and take it
        # are two atomic instructions with a full fence between what is before and what is behind (x86:
        # either of them; ARM: a release followed by an acquire, so in this order).  Nobody else has it.
        # So of all that are inside at a time, the last one to count itself has seen all the others, whose
        # cells went no lower before they left: its sum was not above the limit, and neither are they.
        self._release()
        self._acquire()
        if self._total(self._gauge) > self.limit:
            cells[own] -= 1
            return False
        return True

    def leave(self) -> None:
        """Count one less; only for what entered here."""
        if not self._cells[self._own]:
            raise RuntimeError("more left than entered")
        self._cells[self._own] -= 1

    def __repr__(self) -> str:
        limit = "any" if self.limit is None else self.limit
        return f"<SharedGate {self.under_way} here, {self.total} of {limit}>"


class SharedTarget(Target):
    """A target whose requests in flight are those of all processes, for every balancer."""

    __slots__ = ("_cells", "_gauge", "_own", "_total")

    def __init__(self, config: TargetConfig, address: str, row: Row, gauge: int) -> None:
        self._gauge = gauge
        self._cells = row.board.cells(gauge)
        self._own = row.number
        self._total = row.board.gauge_total
        super().__init__(config, address)

    @property
    def in_flight(self) -> int:
        """Requests under way from all processes."""
        return self._total(self._gauge)

    @in_flight.setter
    def in_flight(self, count: int) -> None:
        raise AttributeError("what all processes have in flight is nobody's to set: take and give_back")

    def _count_anew(self) -> None:
        """Keep what is in flight: it may belong to an object of the same name before."""

    def take(self) -> None:
        """Count a request that goes there."""
        self._cells[self._own] += 1
        self.requests += 1

    def give_back(self) -> None:
        """Count a request of this process less in flight."""
        self._cells[self._own] -= 1


class SharedCounts:
    """Makes gates and targets that count in a row of the scoreboard.

    What has no gauge, as there was no room, is counted by this process alone.
    """

    def __init__(self, row: Row, gauges: Mapping[str, int]) -> None:
        """``gauges`` by ``route:NAME``, ``upstream:NAME`` and ``target:UPSTREAM/HOST:PORT``; it may grow."""
        self._row = row
        self._gauges = gauges
        self._own = OwnCounts()

    def gate(self, name: str, limit: int | None) -> Gate:
        """Return the gate of that name."""
        gauge = self._gauges.get(name)
        if gauge is None:
            _log.warn("{name} is counted by each worker for itself: there is no gauge for it", name=name)
            return self._own.gate(name, limit)
        return SharedGate(limit, self._row, gauge)

    def target(self, upstream: str, config: TargetConfig, address: str) -> Target:
        """Return a target of an upstream."""
        own = self._own.target(upstream, config, address)
        gauge = self._gauges.get(f"target:{upstream}/{own.name}")
        return own if gauge is None else SharedTarget(config, address, self._row, gauge)
