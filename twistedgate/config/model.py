"""The configuration as values: a frozen dataclass for each kind of section of the core.

Each field is declared by ``option`` and so *is* the schema.  Durations are seconds, sizes bytes,
percentages ratios, lists tuples; text in the file's own notation never gets past here.  A ``check``
method returns what is wrong between the options of one section; what is wrong between sections is
found by ``config.check``.  Routes and upstreams, the longest, have modules of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from twistedgate.config import fields, notation, values
from twistedgate.config.notation import Endpoint, Network, Redirect, Respond, TargetConfig
from twistedgate.config.route import RouteConfig
from twistedgate.config.schema import REQUIRED, Bounds, Problem, option, options_of
from twistedgate.config.state import StateConfig, state_address
from twistedgate.config.upstream import UpstreamConfig
from twistedgate.config.values import Secret, choice, count, duration, list_of, optional, size

__all__ = [
    "KINDS",
    "Configuration",
    "ConsumerConfig",
    "Endpoint",
    "GatewayConfig",
    "ListenerConfig",
    "Redirect",
    "Respond",
    "RouteConfig",
    "Secret",
    "StateConfig",
    "TargetConfig",
    "UpstreamConfig",
]

_POSITIVE = Bounds(low="1ms")
_AT_LEAST_ONE = Bounds(low="1")


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What concerns the gateway as a whole; stands once."""

    name: str = ""
    include: tuple[str, ...] = option(
        list_of(values.line), "", "More files, as patterns relative to this one; read in sorted order."
    )
    workers: int = option(
        count,
        "1",
        "Processes that serve; 0 = one for each core.",
        Bounds(high="63"),
    )
    policies: tuple[str, ...] = option(
        list_of(values.policy_name), "", "For every route, before the route's own of the same stage."
    )
    jobs_path: str = option(
        fields.prefix,
        "/_jobs",
        "Where jobs are asked for; matched before all routes, so no route may lie under it.",
    )
    jobs_policies: tuple[str, ...] = option(
        list_of(values.policy_name),
        "",
        "IDENTIFY policies that stand before jobs_path, the first whose credentials are there; "
        "empty = every one that a route with async uses.",
    )
    state: StateConfig = option(
        state_address,
        "memory:",
        "Where counters and jobs are kept; memory: is the process itself, and with jobs wants workers = 1.",
    )
    state_password: Secret = option(values.secret, "", "The password of the state's server; for redis only.")
    state_max: int = option(
        size,
        "256m",
        "For memory: only: what jobs and their bodies may take; past it new jobs get 503.",
        Bounds(low="1m"),
    )
    async_drain_timeout: float = option(
        duration,
        "10m",
        "A stop, an upgrade: how long calls of jobs may go on; what is left is queued again or interrupted.",
    )
    trusted_proxies: tuple[Network, ...] = option(
        list_of(notation.network),
        "",
        "Networks whose X-Forwarded-*, Forwarded and X-Request-Id are believed; empty = nobody's.",
    )
    access_log: str = option(
        values.log_path, "-", "- (standard output) | off | PATH, which is reopened on SIGUSR1."
    )
    access_log_format: str = option(
        choice("json", "combined"), "json", "The form of a line of the access log."
    )
    redact_query: tuple[str, ...] = option(
        list_of(notation.parameter),
        "key, token, access_token, api_key, password",
        "Query parameters whose values are never in a log.",
    )
    drain_timeout: float = option(
        duration,
        "30s",
        "A stop, an upgrade, a removed listener: how long exchanges under way may take.",
    )
    drain_delay: float = option(
        duration, "0s", "Before that: readiness already says no, listeners still accept."
    )
    max_connections: int = option(
        count,
        "10000",
        "Per worker, and never above 90% of the descriptors; past it accepting pauses.",
        _AT_LEAST_ONE,
    )
    max_connections_per_ip: int = option(count, "0", "Connections of one address, per worker; 0 = no limit.")
    admin_token: Secret = option(
        values.secret, "", "Wanted by an admin listener that is neither loopback nor a unix socket."
    )

    def check(self) -> Iterator[Problem]:
        """Return what is wrong between the options of the gateway."""
        if self.state_password and self.state.redis is None:
            yield (
                ("state_password", "state"),
                f"is of no use for {self.state}; leave it out, or use a redis:// state",
            )
        if (
            not self.state.is_memory
            and self.state_max != options_of(GatewayConfig)["state_max"].default_value()
        ):
            yield (
                ("state_max", "state"),
                f"is of no use for {self.state}, which keeps nothing in memory; leave it out",
            )


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """A bound address, its TLS settings and what it asks of clients."""

    name: str
    endpoint: Endpoint = option(
        notation.endpoint,
        REQUIRED,
        "tcp: tcp6: unix: systemd: in Twisted's notation; TLS by the options below, not by ssl:",
    )
    serve: str = option(
        choice("proxy", "admin"), "proxy", "The routes of this file, or the operator's resources."
    )
    mode: int = option(values.mode, "660", "The mode of a unix socket.")
    backlog: int = option(
        count, "4096", "Connections that wait for being accepted.", Bounds(low="1", high="65535")
    )
    tls_certificate: str | None = option(
        optional(values.path),
        "",
        "PEM, the chain included; with it the listener speaks TLS (1.2 and 1.3).",
    )
    tls_key: str | None = option(optional(values.path), "", "PEM, the certificate's private key.")
    header_timeout: float = option(
        duration,
        "10s",
        "From the first byte (or the accept) to the end of the head: 408 and close.",
        _POSITIVE,
    )
    idle_timeout: float = option(
        duration,
        "60s",
        "Between two requests of a connection; without a byte in either direction of a tunnel.",
        _POSITIVE,
    )
    body_timeout: float = option(duration, "30s", "Between two reads of a request body: 408.", _POSITIVE)
    min_body_rate: int = option(
        size, "240", "Bytes a second, averaged after the first body_timeout: 408; 0 = no minimum."
    )
    send_timeout: float = option(
        duration, "60s", "A client that takes no byte of an answer this long is dropped.", _POSITIVE
    )
    max_head: int = option(
        size, "32k", "Request line and headers together: 431.", Bounds(low="1k", high="16m")
    )
    max_uri: int = option(size, "8k", "A request line past it: 414.", Bounds(low="128", high="16m"))
    max_headers: int = option(count, "100", "Header fields of a request: 431.", Bounds(low="1", high="10000"))

    stand_ins: ClassVar[Mapping[str, str]] = {"endpoint": "tcp:0"}

    def check(self) -> Iterator[Problem]:
        """Return what is wrong between the options of the listener."""
        if self.tls_certificate and not self.tls_key:
            yield ("tls_key", "tls_certificate"), "is missing; a tls_certificate wants its key"
        if self.tls_key and not self.tls_certificate:
            yield ("tls_certificate", "tls_key"), "is missing; a tls_key wants its certificate"
        if self.max_uri > self.max_head:
            yield ("max_uri", "max_head"), "is larger than max_head, which holds the request line too"


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """An authenticated caller."""

    name: str
    keys: tuple[bytes, ...] = option(
        values.lines_of(notation.digest),
        "",
        "sha256:HEX, one to a line; `twistedgate keys new` prints a key once and its line for the file.",
    )
    groups: tuple[str, ...] = option(list_of(notation.group), "", "Groups that the caller belongs to.")


KINDS: Final[Mapping[str, type[Any]]] = {
    "gateway": GatewayConfig,
    "listener": ListenerConfig,
    "upstream": UpstreamConfig,
    "route": RouteConfig,
    "consumer": ConsumerConfig,
}
"""The kinds of the core; every other kind is a policy's."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that the files say; each mapping in the files' order."""

    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    listeners: dict[str, ListenerConfig] = field(default_factory=dict)
    upstreams: dict[str, UpstreamConfig] = field(default_factory=dict)
    routes: dict[str, RouteConfig] = field(default_factory=dict)
    consumers: dict[str, ConsumerConfig] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    """By ``kind:name``, each an object of that policy's ``Config``."""

    @property
    def has_jobs(self) -> bool:
        """Whether any call may become a job."""
        return any(route.has_jobs for route in self.routes.values())
