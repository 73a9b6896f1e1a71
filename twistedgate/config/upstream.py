"""The options of an upstream: targets, balancing, health, limits, connections.

The dataclass is the schema (see ``config.schema``); nothing here acts on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from twistedgate.config import fields, notation, values
from twistedgate.config.notation import TargetConfig
from twistedgate.config.schema import REQUIRED, Bounds, Problem, option
from twistedgate.config.values import choice, count, duration, list_of, optional, percentage, size

_POSITIVE = Bounds(low="1ms")
_AT_LEAST_ONE = Bounds(low="1")
_PORTION = Bounds(low="0%", high="100%")


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """A named set of targets, with their balancer, pools and health."""

    name: str
    targets: tuple[TargetConfig, ...] = option(
        notation.targets,
        REQUIRED,
        "http:// or https:// (which verifies the certificate), HOST:PORT; weight=0 drains.",
    )
    balance: str = option(
        choice("round-robin", "least-connections", "random-two", "consistent-hash"),
        "round-robin",
        "How a target is picked.",
    )
    hash_key: str = option(
        notation.hash_key,
        "ip",
        "For consistent-hash: ip | path | header:NAME | cookie:NAME | query:NAME.",
    )
    health_path: str = option(
        values.empty_or(fields.origin), "", "A GET of it is the active check; empty = no active check."
    )
    health_interval: float = option(
        duration, "5s", "Between two checks of a target, with 10% jitter.", Bounds(low="100ms")
    )
    health_timeout: float = option(duration, "2s", "How long a check may take.", _POSITIVE)
    health_rise: int = option(
        count, "2", "This many good answers in a row bring a target back.", _AT_LEAST_ONE
    )
    health_fall: int = option(
        count,
        "3",
        "This many bad ones take it out; a new target starts up, its first probe decides at once.",
        _AT_LEAST_ONE,
    )
    health_status: tuple[tuple[int, int], ...] = option(
        list_of(notation.statuses), "200-399", "Statuses that are good answers."
    )
    health_host: str = option(
        values.empty_or(notation.authority), "", "Host header of the check; empty = the target's own."
    )
    eject_after: int = option(
        count, "5", "Consecutive connect errors, resets, timeouts or 502/503/504; 0 = off."
    )
    eject_for: float = option(
        duration,
        "30s",
        "Times the number of ejections in a row, at most 300s; then one trial request.",
        Bounds(low="1ms", high="300s"),
    )
    max_ejected: float = option(
        percentage, "50%", "Of the targets that may be ejected at once; never the last one.", _PORTION
    )
    slow_start: float = option(
        duration, "0s", "A returning target grows from a tenth of its weight to all of it."
    )
    when_all_down: str = option(
        choice("fail", "try"), "fail", "fail (503, Retry-After) | try (ignore health)."
    )
    connect_timeout: float = option(duration, "2s", "How long connecting, TLS included, may take.", _POSITIVE)
    response_timeout: float = option(
        duration,
        "60s",
        "From the end of the request to the response head; 504, never retried.",
        _POSITIVE,
    )
    read_timeout: float = option(
        duration, "5m", "Between two pieces of a response body; the exchange is cut.", _POSITIVE
    )
    max_head: int = option(
        size, "32k", "Of a response, 200 fields at most; 502.", Bounds(low="1k", high="16m")
    )
    retries: int = option(
        count, "1", "How often a request may be sent again, to another target.", Bounds(high="10")
    )
    retry_budget: float = option(
        percentage,
        "20%",
        "Of the upstream's requests in the last 10s, each worker, at least 3.",
        _PORTION,
    )
    max_requests: int | None = option(
        optional(count), "", "In flight to this upstream, all workers; past it 503.", _AT_LEAST_ONE
    )
    keepalive: int = option(
        count,
        "256",
        "Idle connections kept, each worker, all targets together; the last one used is taken first.",
    )
    keepalive_timeout: float = option(
        duration,
        "60s",
        "How long one is kept; or what the upstream's Keep-Alive says, if shorter.",
        _POSITIVE,
    )
    host_header: str = option(
        notation.host_header, "preserve", "The Host that a target sees: preserve | target | a literal."
    )
    tls_ca: str | None = option(
        optional(values.path), "", "PEM of the authorities to trust; empty = the system's."
    )
    tls_verify: bool = option(values.boolean, "yes", "Whether a target's certificate is verified.")

    stand_ins: ClassVar[Mapping[str, str]] = {"targets": ""}

    def check(self) -> Iterator[Problem]:
        """Return what is wrong between the options of the upstream."""
        if not self.targets:
            yield ("targets",), "is empty; an upstream has one target at least"
        seen = set()
        for target in self.targets:
            if target.url in seen:
                yield ("targets",), f"{target.url} stands twice; use weight=N"
            seen.add(target.url)
        if not self.health_status:
            yield ("health_status",), "is empty; name the statuses that are good, such as 200-399"
        yield from self._check_tls()

    def _check_tls(self) -> Iterator[Problem]:
        if self.tls_ca is not None and not any(target.scheme == "https" for target in self.targets):
            yield ("tls_ca", "targets"), "no target is https://, so nothing is verified by it"
        if self.tls_ca is not None and not self.tls_verify:
            yield ("tls_ca", "tls_verify"), "is not used, as tls_verify is off; remove one of them"
