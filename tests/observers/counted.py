"""Counts in memory, read back by their names."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from twistedgate.config.model import Configuration
from twistedgate.observers.exposition import Family, HistogramFamily
from twistedgate.observers.families import Reading, TargetReading, UpstreamReading, families
from twistedgate.observers.figures import ProcessFigures
from twistedgate.observers.measures import Measures
from twistedgate.workers.columns import Columns

Values = dict[tuple[str, ...], float]

STARTED = 1763912345.5


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

    def _clear(self, start: int, length: int) -> None:
        self.cells[start : start + length] = array("q", bytes(8 * length))

    def _changed(self) -> None:
        self.changes += 1

    def total(self, start: int, length: int) -> Sequence[int]:
        """Return cells as they are: there is one process."""
        return self.cells[start : start + length].tolist()

    def configure(self, *routes: str, upstreams: tuple[str, ...] = ()) -> None:
        """Have routes and upstreams of these names."""
        nothing: dict[str, object] = dict.fromkeys(routes)
        self.measures.configure(Configuration(routes=nothing, upstreams=dict.fromkeys(upstreams)))  # type: ignore[arg-type]

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
            "versions": {"version": "1.2.3"},
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
