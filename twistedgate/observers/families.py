"""What is shown of a gateway: its counts and its state, as families with names, units and meanings.

Names follow Prometheus' conventions: base units, ``_total`` for what only grows.  Counts are read by block,
summed over whoever counts; what is 0 everywhere is not shown where a label could have many values.
This module does not know how many processes there are, nor how families are written.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twistedgate.observers import cells
from twistedgate.observers.cells import METHODS, OUTCOMES, REASONS, RESULTS, STATUSES, names
from twistedgate.observers.exposition import Family, HistogramFamily, Labels
from twistedgate.observers.figures import ProcessFigures
from twistedgate.observers.job_families import JobsReading, Total, job_families

Label = TypeVar("Label")


@dataclass(frozen=True, slots=True)
class UpstreamReading:
    """An upstream as it stands."""

    name: str
    in_flight: int
    available: int
    """How many of its targets may be picked."""


@dataclass(frozen=True, slots=True)
class TargetReading:
    """A target as it stands."""

    upstream: str
    name: str
    in_flight: int
    is_up: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that is shown, at one moment."""

    starts: Mapping[str, int]
    """Where the block of each route, upstream and target begins."""
    total: Total
    upstreams: Sequence[UpstreamReading]
    targets: Sequence[TargetReading]
    connections: int
    is_draining: bool
    is_reload_good: bool
    """Whether the last reload was applied; so it is before the first."""
    reload_time: float
    """When that was, in seconds since 1970."""
    workers: Mapping[str, int]
    """How many processes serve, by their state."""
    wanted_workers: int
    process: ProcessFigures
    versions: Mapping[str, str]
    jobs: JobsReading | None = None
    """``None`` where no route has jobs."""


AnyFamily = Family | HistogramFamily


def families(reading: Reading) -> Iterator[AnyFamily]:
    """Give all families, in the order in which they are shown; most counts are read as they are written."""
    yield from _routes(reading)
    yield from job_families(reading.starts, reading.total, reading.jobs)
    yield from _upstreams(reading)
    yield from _targets(reading)
    yield from _gateway(reading)
    yield from _process(reading.process)


# routes

_REQUEST_LABELS = tuple((("method", method), ("status", status)) for method in METHODS for status in STATUSES)
"""What the cells from ``REQUESTS`` on stand for."""


def _routes(reading: Reading) -> Iterator[AnyFamily]:
    yield Family(
        "twistedgate_requests",
        "counter",
        "Exchanges that ended, by route, method and status. Route is empty where none matched; status 0 is a "
        "client that left before it was answered.",
        _requests(reading),
    )
    yield from (_histograms(reading, *histogram) for histogram in _HISTOGRAMS)
    yield Family(
        "twistedgate_failures",
        "counter",
        "Exchanges that were refused, that failed, or whose client left, by the reason in the access log.",
        _failures(reading),
    )


_HISTOGRAMS = (
    (
        "twistedgate_request_duration_seconds",
        "From the end of a request's head to the end of its answer; tunnels are not counted.",
        (cells.DURATION, cells.BOTH_DURATIONS),
    ),
    (
        "twistedgate_upstream_duration_seconds",
        "From the end of a request's head to the head of the target's answer, retries included.",
        (cells.UPSTREAM_DURATION, cells.BOTH_DURATIONS),
    ),
    (
        "twistedgate_request_size_bytes",
        "Bodies of requests, and what came through tunnels; requests without a body are not counted.",
        (cells.REQUEST_SIZE,),
    ),
    (
        "twistedgate_response_size_bytes",
        "Bodies of answers, and what went through tunnels; answers without a body are not counted.",
        (cells.RESPONSE_SIZE,),
    ),
)


def _requests(reading: Reading) -> Iterator[tuple[Labels, float]]:
    for label, row in _rows(reading, (cells.REQUESTS,), len(_REQUEST_LABELS)):
        for (method, status), count in _nonzero(_REQUEST_LABELS, row):
            yield (label, method, status), count


def _failures(reading: Reading) -> Iterator[tuple[Labels, float]]:
    for label, row in _rows(reading, (cells.FAILURES,), len(REASONS)):
        for reason, count in _nonzero(REASONS, row):
            yield (label, ("reason", reason)), count


def _histograms(reading: Reading, name: str, meaning: str, starts: tuple[int, ...]) -> HistogramFamily:
    unit = name.rpartition("_")[2]
    scale = cells.SECONDS if unit == "seconds" else cells.BYTES
    samples = (
        ((label,), row[:-1], scale.measure(row[-1]))
        for label, row in _rows(reading, starts, scale.length)
        if any(row)
    )
    return HistogramFamily(name, meaning, scale.upper_bounds(), samples, unit)


def _rows(
    reading: Reading, starts: tuple[int, ...], length: int
) -> Iterator[tuple[tuple[str, str], Sequence[int]]]:
    """Give the sum of some parts of each route's block, with the route's label."""
    for name in names(reading.starts, "route"):
        # routes may come and go between two pieces
        if (block := reading.starts.get(cells.route_block(name))) is not None:
            rows = [reading.total(block + start, length) for start in starts]
            yield ("route", name), rows[0] if len(rows) == 1 else list(map(sum, zip(*rows, strict=True)))


def _nonzero(labels: Sequence[Label], row: Sequence[int]) -> Iterator[tuple[Label, int]]:
    """Give the counts that are not 0, and what they are counts of."""
    return zip(itertools.compress(labels, row), filter(None, row), strict=True)


# upstreams and targets


def _upstreams(reading: Reading) -> Iterator[AnyFamily]:
    yield Family(
        "twistedgate_retries",
        "counter",
        "Requests that were sent to one more target.",
        _retries(reading),
    )
    yield Family(
        "twistedgate_upstream_in_flight",
        "gauge",
        "Requests under way to an upstream.",
        [((("upstream", one.name),), one.in_flight) for one in reading.upstreams],
    )
    yield Family(
        "twistedgate_upstream_available_targets",
        "gauge",
        "Targets of an upstream that may be picked.",
        [((("upstream", one.name),), one.available) for one in reading.upstreams],
    )


def _retries(reading: Reading) -> Iterator[tuple[Labels, float]]:
    for name, counts in _counts(reading, "upstream", cells.UPSTREAM_CELLS):
        yield (("upstream", name),), counts[cells.RETRIES]


def _counts(reading: Reading, kind: str, length: int) -> Iterator[tuple[str, Sequence[int]]]:
    """Give the blocks of upstreams or targets; that of others only where it was needed."""
    for name in names(reading.starts, kind):
        block = f"{kind}:{name}"
        if block in reading.starts:
            counts = reading.total(reading.starts[block], length)
            if any(counts) or block not in cells.FIXED:
                yield name, counts


def _targets(reading: Reading) -> Iterator[AnyFamily]:
    standing = [((("upstream", one.upstream), ("target", one.name)), one) for one in reading.targets]
    yield Family(
        "twistedgate_target_in_flight",
        "gauge",
        "Requests under way to a target.",
        [(labels, one.in_flight) for labels, one in standing],
    )
    yield Family(
        "twistedgate_target_up",
        "gauge",
        "1 while a target is up; 0 while it is down, ejected, on trial, or drained.",
        [(labels, int(one.is_up)) for labels, one in standing],
    )
    counted = [
        ((("upstream", upstream), ("target", target)), counts)
        for name, counts in _counts(reading, "target", cells.TARGET_CELLS)
        for upstream, _, target in [name.rpartition("/")]
    ]
    for at, name, meaning in _TARGET_COUNTERS:
        yield Family(name, "counter", meaning, [(labels, counts[at]) for labels, counts in counted])
    yield Family(
        "twistedgate_target_probes",
        "counter",
        "Checks of a target's health, by whether it passed them.",
        [
            ((*labels, ("outcome", outcome)), counts[cells.PROBES + place])
            for labels, counts in counted
            if any(counts[cells.PROBES :])
            for place, outcome in enumerate(OUTCOMES)
        ],
    )


_TARGET_COUNTERS = (
    (cells.TARGET_REQUESTS, "twistedgate_target_requests", "Requests for which a target was picked."),
    (
        cells.TARGET_FAILURES,
        "twistedgate_target_failures",
        "Requests that a target did not answer well: no usable answer, or 502, 503, 504.",
    ),
    (cells.EJECTIONS, "twistedgate_target_ejections", "Times that a target was ejected."),
)


# the gateway


def _gateway(reading: Reading) -> Iterator[AnyFamily]:
    counts = reading.total(reading.starts[cells.PROCESS], cells.PROCESS_CELLS)
    yield _one("twistedgate_connections", "gauge", "Clients' connections that are open.", reading.connections)
    yield _one(
        "twistedgate_connections_accepted",
        "counter",
        "Clients' connections that were accepted.",
        counts[cells.ACCEPTED],
    )
    yield Family(
        "twistedgate_limits_hit",
        "counter",
        "Refusals and interruptions for a limit, by their reason, or by the option that made connections "
        "wait or refused them.",
        [((("limit", limit),), counts[cells.LIMITS_HIT + place]) for place, limit in enumerate(cells.LIMITS)],
    )
    yield _one(
        "twistedgate_access_log_dropped",
        "counter",
        "Lines of the access log that were not written.",
        counts[cells.DROPPED],
    )
    yield Family(
        "twistedgate_reloads",
        "counter",
        "Reloads of the configuration, by their result.",
        [((("result", result),), counts[cells.RELOADS + place]) for place, result in enumerate(RESULTS)],
    )
    yield from _state(reading)


def _state(reading: Reading) -> Iterator[AnyFamily]:
    yield _one(
        "twistedgate_last_reload_successful",
        "gauge",
        "1 if the last reload was applied, 0 if it was refused.",
        int(reading.is_reload_good),
    )
    yield _one(
        "twistedgate_last_reload_timestamp_seconds",
        "gauge",
        "When the last reload was applied or refused, or else the start.",
        reading.reload_time,
        "seconds",
    )
    yield _one(
        "twistedgate_draining", "gauge", "1 while the gateway is shutting down.", int(reading.is_draining)
    )
    yield Family(
        "twistedgate_workers",
        "gauge",
        "Processes that serve, by their state.",
        [((("state", state),), count) for state, count in reading.workers.items()],
    )
    yield _one(
        "twistedgate_workers_wanted",
        "gauge",
        "Processes that are to serve by the configuration.",
        reading.wanted_workers,
    )
    yield Family(
        "twistedgate_build",
        "info",
        "Versions of the gateway and of what it runs on.",
        [(tuple(reading.versions.items()), 1)],
    )


def _process(figures: ProcessFigures) -> Iterator[AnyFamily]:
    yield _one(
        "process_cpu_seconds", "counter", "Processor time of all processes.", figures.cpu_seconds, "seconds"
    )
    yield _one(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory of all processes, what they share counted for each.",
        figures.resident_bytes,
        "bytes",
    )
    yield _one(
        "process_virtual_memory_bytes",
        "gauge",
        "Virtual memory of all processes.",
        figures.virtual_bytes,
        "bytes",
    )
    yield _one(
        "process_open_fds",
        "gauge",
        "File descriptors that are open, in the process nearest to its limit.",
        figures.open_descriptors,
    )
    yield _one(
        "process_max_fds", "gauge", "File descriptors that may be open there.", figures.max_descriptors
    )
    yield _one(
        "process_start_time_seconds",
        "gauge",
        "When the first process started, in seconds since 1970.",
        figures.started,
        "seconds",
    )


def _one(name: str, kind: str, meaning: str, value: float, unit: str = "") -> Family:
    return Family(name, kind, meaning, [((), value)], unit)
