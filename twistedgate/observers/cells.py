"""Where each count has its cell: blocks of whole numbers, and the label values that their places stand for.

A block belongs to a route, to its jobs, to an upstream, a target, or the process; its first cell is wherever
there was room.  Cells only grow, so that those of several processes are summed, cell by cell.  What a label
may say is written here and in the configuration, never in a request: whatever else there is shares ``other``.
This module does not know who counts.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from twistedgate.config.model import Configuration
from twistedgate.errors import TITLES
from twistedgate.http.status import PHRASES
from twistedgate.jobs import observer, redelivery
from twistedgate.routing.routes import JOBS

OTHER: Final = "other"

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER)

STATUSES: Final = ("0", *map(str, sorted(PHRASES)), *(f"{first}xx" for first in range(1, 6)), OTHER)
"""0 is that of the access log: the client left before there was one."""

REASONS: Final = (*TITLES, OTHER)
"""Why an exchange was refused, or failed; other distributions' policies may have words of their own."""

LIMITS: Final = (
    *("too-many", "body-too-large", "head-too-large", "uri-too-long", "request-timeout", "timeout"),
    *("max_connections", "max_connections_per_ip"),
)
"""Reasons that are bounds of the configuration; those that no exchange reaches go by the option's name."""

RESULTS: Final = ("applied", "refused")
OUTCOMES: Final = ("passed", "failed")

ENDS: Final = (*observer.OUTCOMES, OTHER)
"""How jobs end."""

TOLD: Final = tuple(outcome.value for outcome in redelivery.Outcome)
"""What became of tries to tell an end."""

MICROSECOND: Final = 1e-6


def status_label(status: int) -> str:
    """Return the label value of a status: itself if it is known, else its class."""
    text = str(status)
    if text in STATUSES:
        return text
    folded = f"{status // 100}xx"
    return folded if folded in STATUSES else OTHER


@dataclass(frozen=True, slots=True)
class Scale:
    """Upper bounds of the buckets of a histogram, in the whole numbers that are counted."""

    bounds: tuple[int, ...]
    unit: float
    """What one of them is, in seconds or bytes."""

    @property
    def buckets(self) -> int:
        """How many there are, that without a bound included."""
        return len(self.bounds) + 1

    @property
    def length(self) -> int:
        """Cells of a histogram: its buckets, then the sum."""
        return self.buckets + 1

    def measure(self, total: int) -> float:
        """Return a sum of what was counted, in seconds or bytes."""
        return total / 1_000_000 if self.unit == MICROSECOND else total

    def upper_bounds(self) -> tuple[float, ...]:
        """Return the upper bound of each bucket, in seconds or bytes."""
        return *map(self.measure, self.bounds), math.inf


SECONDS: Final = Scale(
    (
        *(1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
        *(1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000),
    ),
    MICROSECOND,
)
"""From 1 ms, which is a fast target nearby, to 60 s, which is the default ``response_timeout``."""

BYTES: Final = Scale(tuple(4**power for power in range(4, 14)), 1)
"""From 256 bytes to 64 MiB, each four times the one before."""

JOB_SECONDS: Final = Scale(
    (
        *(10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000),
        *(10_000_000, 30_000_000, 60_000_000, 120_000_000, 300_000_000, 600_000_000),
        *(1_800_000_000, 3_600_000_000),
    ),
    MICROSECOND,
)
"""From 10 ms, when nothing waits, to 1 h, which is the default ``async_queue_timeout``."""

# the block of a route
REQUESTS: Final = 0
"""First of the requests: a row of statuses for each method."""
BOTH_DURATIONS: Final = REQUESTS + len(METHODS) * len(STATUSES)
"""Of exchanges whose answer came in one piece: its head and its end are one moment, counted once."""
DURATION: Final = BOTH_DURATIONS + SECONDS.length
"""Of the other exchanges."""
UPSTREAM_DURATION: Final = DURATION + SECONDS.length
"""Of the other exchanges that a target answered."""
REQUEST_SIZE: Final = UPSTREAM_DURATION + SECONDS.length
RESPONSE_SIZE: Final = REQUEST_SIZE + BYTES.length
FAILURES: Final = RESPONSE_SIZE + BYTES.length
ROUTE_CELLS: Final = FAILURES + len(REASONS)

# the block of a route's jobs
SUBMITTED: Final = 0
RUN_AGAIN: Final = 1
"""Runs but the first."""
ENDED: Final = 2
"""First of the ends."""
WAITED: Final = ENDED + len(ENDS)
RAN: Final = WAITED + JOB_SECONDS.length
JOBS_CELLS: Final = RAN + JOB_SECONDS.length

# the block of an upstream
RETRIES: Final = 0
UPSTREAM_CELLS: Final = 1

# the block of a target
TARGET_REQUESTS: Final = 0
TARGET_FAILURES: Final = 1
EJECTIONS: Final = 2
PROBES: Final = 3
TARGET_CELLS: Final = PROBES + len(OUTCOMES)

# the block of the process
ACCEPTED: Final = 0
DROPPED: Final = 1
LIMITS_HIT: Final = 2
RELOADS: Final = LIMITS_HIT + len(LIMITS)
ANSWERED: Final = RELOADS + len(RESULTS)
"""Exchanges that ended."""
TELLINGS: Final = ANSWERED + 1
"""First of the tries to tell a job's end."""
PROCESS_CELLS: Final = TELLINGS + len(TOLD)

PROCESS: Final = "process"


def route_block(route: str) -> str:
    """Return the name of a route's block; that of no route is that of the empty name."""
    return f"route:{route}"


def jobs_block(route: str) -> str:
    """Return the name of the block of a route's jobs."""
    return f"jobs:{route}"


def upstream_block(upstream: str) -> str:
    """Return the name of an upstream's block."""
    return f"upstream:{upstream}"


def target_block(upstream: str, target: str) -> str:
    """Return the name of a target's block."""
    return f"target:{upstream}/{target}"


LAYOUT: Final = zlib.crc32(
    repr((METHODS, STATUSES, REASONS, LIMITS, ENDS, TOLD, SECONDS, BYTES, JOB_SECONDS)).encode()
    + repr((ROUTE_CELLS, JOBS_CELLS, UPSTREAM_CELLS, TARGET_CELLS, PROCESS_CELLS)).encode()
)
"""Changes with what the cells of a block stand for: counts of another layout cannot be gone on with."""

FIXED: Final = {
    PROCESS: PROCESS_CELLS,
    route_block(""): ROUTE_CELLS,
    route_block(OTHER): ROUTE_CELLS,
    jobs_block(OTHER): JOBS_CELLS,
    upstream_block(OTHER): UPSTREAM_CELLS,
    target_block(OTHER, OTHER): TARGET_CELLS,
}
"""Blocks that are always there, with their lengths; those called other take what has none of its own."""


def blocks_of(configuration: Configuration) -> dict[str, int]:
    """Return the blocks that a configuration wants, with their lengths; those of targets come as they do."""
    wanted = dict(FIXED)
    wanted.update((route_block(name), ROUTE_CELLS) for name in configuration.routes)
    with_jobs = [name for name, route in configuration.routes.items() if route.has_jobs]
    wanted.update((jobs_block(name), JOBS_CELLS) for name in with_jobs)
    if configuration.has_jobs:
        wanted[route_block(JOBS)] = ROUTE_CELLS
    wanted.update((upstream_block(name), UPSTREAM_CELLS) for name in configuration.upstreams)
    return wanted


def names(starts: Iterable[str], kind: str) -> list[str]:
    """Return what the blocks of a kind belong to, in order; that of a target is ``UPSTREAM/TARGET``."""
    split = (block.partition(":") for block in starts)
    return [name for found, colon, name in split if colon and found == kind]
