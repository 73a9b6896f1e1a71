"""What is known of workers, as it stands on the scoreboard: the sum over all of them, or each by itself."""

from __future__ import annotations

from twistedgate.facts import ProcessFacts, TargetFacts, UpstreamFacts
from twistedgate.observers.cells import (
    ANSWERED,
    DROPPED,
    PROCESS,
    TARGET_FAILURES,
    TARGET_REQUESTS,
    names,
    route_block,
    target_block,
    upstream_block,
)
from twistedgate.workers.crew import Crew
from twistedgate.workers.member import Member
from twistedgate.workers.places import Places, idle_gauge, listener_gauge, pool_gauge
from twistedgate.workers.roster import Stage
from twistedgate.workers.scoreboard import ACCEPTING, CONNECTIONS, Scoreboard

_STATES = {
    Stage.STARTING: "starting",
    Stage.READY: "serving",
    Stage.DRAINING: "draining",
    Stage.KILLED: "ending",
    Stage.DEAD: "ending",
}


class Muster:
    """Reads the scoreboard, and changes nothing."""

    def __init__(self, board: Scoreboard, places: Places, crew: Crew) -> None:
        self._board = board
        self._places = places
        self._crew = crew

    @property
    def processes(self) -> list[ProcessFacts]:
        """The workers, by their numbers; those that drain last."""
        found = sorted(self._crew.present, key=lambda member: (member.is_draining, member.slot, member.row))
        return [self._process(member) for member in found]

    def _process(self, member: Member) -> ProcessFacts:
        answered = self._board.counters(member.row)[self._places.measures.starts[PROCESS] + ANSWERED]
        connections = self._board.cells(CONNECTIONS)[member.row]
        return ProcessFacts(member.pid, _STATES[self._crew.stage(member)], connections, answered)

    @property
    def requests(self) -> int:
        """Requests that have ended, of workers that are gone, too."""
        return self._process_total(ANSWERED)

    @property
    def dropped(self) -> int:
        """Lines of the access log that could not be written."""
        return self._process_total(DROPPED)

    def _process_total(self, cell: int) -> int:
        return self._board.total(self._places.measures.starts[PROCESS] + cell, 1)[0]

    @property
    def connections(self) -> int:
        """Connections of clients."""
        return self._board.gauge_total(CONNECTIONS)

    @property
    def is_paused(self) -> bool:
        """Whether there are workers that serve, and none that accepts connections."""
        accepting = self._board.cells(ACCEPTING)
        rows = [member.row for member in self._crew.serving]
        return bool(rows) and not any(accepting[row] for row in rows)

    def connections_of(self, listener: str) -> int:
        """Return the connections of one listener."""
        return self._gauge(listener_gauge(listener))

    def in_flight(self, route: str) -> int:
        """Return how many exchanges of a route are under way."""
        return self._gauge(route_block(route))

    def upstream(self, name: str) -> UpstreamFacts:
        """Return what is known of an upstream."""
        starts = self._places.measures.starts
        targets = [target for target in names(starts, "target") if target.rpartition("/")[0] == name]
        requests = sum(self._counts(name, target.rpartition("/")[2])[0] for target in targets)
        in_flight = self._gauge(upstream_block(name))
        return UpstreamFacts(
            requests, in_flight, self._gauge(pool_gauge(name)), self._gauge(idle_gauge(name))
        )

    def target(self, upstream: str, name: str) -> TargetFacts:
        """Return what is known of a target."""
        return TargetFacts(self._gauge(target_block(upstream, name)), *self._counts(upstream, name))

    def _counts(self, upstream: str, target: str) -> tuple[int, int]:
        start = self._places.measures.starts.get(target_block(upstream, target))
        if start is None:
            return 0, 0
        return (
            self._board.total(start + TARGET_REQUESTS, 1)[0],
            self._board.total(start + TARGET_FAILURES, 1)[0],
        )

    def _gauge(self, name: str) -> int:
        gauge = self._places.gauge(name)
        return 0 if gauge is None else self._board.gauge_total(gauge)
