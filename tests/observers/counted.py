"""Counts in memory, read back by their names."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from twistedgate.actions.respond import Respond
from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.config.notation import Respond as Answer
from twistedgate.exchange import Exchange
from twistedgate.jobs.job import Counts
from twistedgate.jobs.redelivery import Outcome
from twistedgate.limiting.gate import Gate
from twistedgate.observers.exposition import Family, HistogramFamily
from twistedgate.observers.families import Reading, TargetReading, UpstreamReading, families
from twistedgate.observers.figures import ProcessFigures
from twistedgate.observers.job_families import JobsReading
from twistedgate.observers.measures import Measures
from twistedgate.pipeline import Pipeline
from twistedgate.testing import exchange, runtime
from twistedgate.workers.columns import Columns

Values = dict[tuple[str, ...], float]

STARTED = 1763912345.5


def pipeline(name: str) -> Pipeline:
    """Return a route that answers by itself."""
    route = RouteConfig(name, path="/x", respond=Answer(200, ""))
    return Pipeline(route, [], Respond(route, runtime()), Gate(None))


def over(method: str = "GET", route: str = "orders", **known: Any) -> Exchange:
    """Return an exchange that is over, half a second after it began."""
    asked = exchange(method)
    asked.pipeline = pipeline(route) if route else None
    asked.started, asked.finished, asked.status = 1000.0, 1000.5, 200
    for name, value in known.items():
        setattr(asked, name, value)
    return asked


class Counted:
    """The metrics of one process with room for a few routes."""

    def __init__(self, columns: int = 20_000) -> None:
        self.cells = array("q", bytes(8 * columns))
        self.columns = Columns(columns, self._clear)
        self.changes = 0
        self.measures = Measures(self.cells, self.columns, self._changed)
        self.metrics = self.measures.metrics
        self.upstreams: list[UpstreamReading] = []
        self.targets: list[TargetReading] = []
        self.jobs: JobsReading | None = None

    def _clear(self, start: int, length: int) -> None:
        self.cells[start : start + length] = array("q", bytes(8 * length))

    def _changed(self) -> None:
        self.changes += 1

    def total(self, start: int, length: int) -> Sequence[int]:
        """Return cells as they are: there is one process."""
        return self.cells[start : start + length].tolist()

    def configure(self, *routes: str, upstreams: tuple[str, ...] = (), jobs: tuple[str, ...] = ()) -> None:
        """Have routes and upstreams of these names, and routes with jobs."""
        plain = {name: RouteConfig(name, path="*") for name in routes}
        plain |= {name: RouteConfig(name, path="*", async_="optional") for name in jobs}
        self.measures.configure(Configuration(routes=plain, upstreams=dict.fromkeys(upstreams)))  # type: ignore[arg-type]

    def reading(self, **changed: object) -> Reading:
        """Return what can be shown now, for which so much is different."""
        known: dict[str, object] = {
            "starts": self.measures.starts,
            "total": self.total,
            "upstreams": self.upstreams,
            "targets": self.targets,
            "connections": 3,
            "is_draining": False,
            "is_reload_good": True,
            "reload_time": STARTED,
            "workers": {"serving": 1, "starting": 0, "draining": 0},
            "wanted_workers": 1,
            "process": ProcessFigures(1.25, 4096, 8192, 12, 1024, STARTED),
            "jobs": self.jobs,
            "versions": {"version": "1.2.3", "python": "3.11.2", "twisted": "26.10.0"},
        }
        return Reading(**{**known, **changed})  # type: ignore[arg-type]

    def values(self, name: str) -> Values:
        """Return the samples of a family that is no histogram, by their label values."""
        for family in families(self.reading()):
            if isinstance(family, Family) and family.name == name:
                return {tuple(value for _, value in labels): count for labels, count in family.samples}
        raise LookupError(name)

    def histogram(self, name: str, route: str) -> tuple[list[tuple[float, int]], float] | None:
        """Return the buckets of a histogram that are not empty, each with its bound, and the sum."""
        for family in families(self.reading()):
            if isinstance(family, HistogramFamily) and family.name == name:
                for labels, buckets, total in family.samples:
                    if labels == (("route", route),):
                        pairs = zip(family.bounds, buckets, strict=True)
                        return [(bound, count) for bound, count in pairs if count], total
        return None


def busy() -> Counted:
    """Return counts of which no family is empty."""
    made = Counted()
    made.configure("orders", upstreams=("orders",), jobs=("reports",))
    made.measures.found("orders", "192.0.2.1:80")
    made.measures.probed("orders", "192.0.2.1:80", is_good=True)
    made.metrics.count(over("POST", first_byte=1000.25, bytes_in=10, bytes_out=20, reason="reset"))
    made.upstreams = [UpstreamReading("orders", 2, 1)]
    made.targets = [
        TargetReading("orders", "192.0.2.1:80", 2, True),
        TargetReading("orders", "192.0.2.2:80", 0, False),
    ]
    jobs = made.metrics.jobs
    jobs.submitted("reports")
    jobs.began("reports", 2.0)
    jobs.ran("reports", 3.0)
    jobs.began("reports", None)
    jobs.finished("reports", "succeeded")
    jobs.told(Outcome.DELIVERED)
    made.jobs = JobsReading(True, STARTED, {"reports": Counts(2, 1, STARTED - 60.0)})
    return made
