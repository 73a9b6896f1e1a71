"""The options of a route: what it matches, and what becomes of the request.

The dataclass is the schema (see ``config.schema``); which of several routes answers is decided in
``routing``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from twistedgate.config import fields, notation, values
from twistedgate.config.notation import Redirect, Respond
from twistedgate.config.schema import REQUIRED, Bounds, Later, Problem, option
from twistedgate.config.values import choice, count, duration, list_of, optional, size

_JOBS = "jobs are not built yet"
_POSITIVE = Bounds(low="1ms")
_AT_LEAST_ONE = Bounds(low="1")

_ASYNC: Final = (
    "async_wait",
    "async_max_wait",
    "async_timeout",
    "async_ttl",
    "async_queue_timeout",
    "async_max_queued",
    "async_max_queued_per_caller",
    "async_concurrency",
    "async_retries",
    "async_backoff",
    "async_delivery",
    "async_max_result",
    "async_keep_headers",
    "async_callback_hosts",
    "async_callback_secret",
)


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """Match rules, policies and one action: exactly one of upstream, respond and redirect."""

    name: str
    host: tuple[str, ...] = option(
        list_of(notation.host_pattern),
        "",
        "Exact, or *. and a suffix for any number of labels before it; empty = any.",
    )
    path: str = option(
        fields.route_path,
        REQUIRED,
        "/exact   /prefix/* (also /prefix itself)   /users/{id}/cart   * = everything.",
    )
    methods: tuple[str, ...] = option(list_of(notation.method), "", "Empty = any; GET admits HEAD.")
    headers: tuple[tuple[str, str | None], ...] = option(
        notation.conditions, "", "One to a line: X-Version=2 (equals) or X-Debug (is there)."
    )
    priority: int = option(values.integer, "0", "The higher goes first, before all else.")
    upstream: str = option(values.empty_or(values.name), "", "The upstream that answers.")
    respond: Respond | None = option(optional(notation.respond), "", 'Or an answer, such as 503 "text".')
    redirect: Redirect | None = option(
        optional(notation.redirect), "", "Or a redirect, such as 308 https://..."
    )
    strip_prefix: str = option(
        values.empty_or(fields.prefix), "", "Taken off the path before the upstream sees it."
    )
    add_prefix: str = option(values.empty_or(fields.prefix), "", "Put before the path, after strip_prefix.")
    encoded_slashes: str = option(
        choice("reject", "keep"),
        "reject",
        "reject (400) | keep (%2F stays as it is and never separates).",
    )
    policies: tuple[str, ...] = option(
        list_of(values.policy_name), "", "KIND:NAME, in the order they are listed within a stage."
    )
    timeout: float | None = option(
        optional(duration), "", "Of the whole exchange, tunnels and jobs excepted; empty = none.", _POSITIVE
    )
    max_body: int = option(size, "10m", "Past it 413; 0 = no limit.")
    max_requests: int | None = option(
        optional(count), "", "In flight on this route, all workers; past it 503.", _AT_LEAST_ONE
    )

    stand_ins: ClassVar[Mapping[str, str]] = {"path": "/"}
    later: ClassVar[Mapping[str, Later]] = {
        "async": Later(f"{_JOBS}; leave async out, or off", default="off"),
        **{name: Later(f"{_JOBS}; leave {name} out") for name in _ASYNC},
    }

    def check(self) -> Iterator[Problem]:
        """Return what is wrong between the options of the route."""
        yield from self._check_action()
        if self.strip_prefix and not f"{self.path}/".startswith(f"{self.strip_prefix}/"):
            yield (
                ("strip_prefix", "path"),
                f"the path {self.path} does not begin with it; write a prefix of whole segments",
            )
        if self.encoded_slashes == "reject" and ("%2F" in self.path or "%5C" in self.path):
            yield ("path", "encoded_slashes"), "holds %2F or %5C, which wants encoded_slashes = keep"

    def _check_action(self) -> Iterator[Problem]:
        actions = {"upstream": self.upstream, "respond": self.respond, "redirect": self.redirect}
        chosen = [name for name, value in actions.items() if value]
        if not chosen:
            yield tuple(actions), "is missing; a route has exactly one of upstream, respond and redirect"
        if len(chosen) > 1:
            yield (
                (chosen[-1], *chosen),
                f"stands beside {chosen[0]}; a route has exactly one of upstream, respond and redirect",
            )
        if chosen != ["upstream"]:
            for name in ("strip_prefix", "add_prefix", "timeout", "max_requests"):
                if getattr(self, name):
                    yield (name, *actions), f"is of no use without an upstream; leave {name} out"
