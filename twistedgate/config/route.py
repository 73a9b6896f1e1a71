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
from twistedgate.config.schema import REQUIRED, Bounds, Problem, option, options_of
from twistedgate.config.values import Secret, choice, count, duration, list_of, optional, size

_POSITIVE = Bounds(low="1ms")
_AT_LEAST_ONE = Bounds(low="1")

_CREDENTIALS: Final = frozenset((b"authorization", b"cookie"))
"""What is not stored with a job, unless the route says so."""

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

    async_: str = option(
        choice("off", "optional", "always"),
        "off",
        "Whether calls become jobs: off | optional (by Prefer: respond-async) | always.",
    )
    async_wait: float = option(
        duration,
        "0s",
        "How long a call is held before it becomes a 202; answered in full by then, it gets that answer.",
    )
    async_max_wait: float = option(
        duration, "30s", "The most that a client may ask for by Prefer: wait=N.", Bounds(high="1h")
    )
    async_timeout: float = option(
        duration,
        "10m",
        "The upstream's own time; takes the place of timeout and of the upstream's response_timeout.",
        _POSITIVE,
    )
    async_ttl: float = option(
        duration, "1h", "A finished job is kept this long, then it is gone (410).", Bounds(low="1s")
    )
    async_queue_timeout: float = option(
        duration, "1h", "A job that waited this long fails (expired-in-queue).", Bounds(low="1s")
    )
    async_max_queued: int = option(
        count, "1000", "Recorded and not started; past it 503 with Retry-After.", _AT_LEAST_ONE
    )
    async_max_queued_per_caller: int = option(
        count, "100", "The same, of one caller; past it 429.", _AT_LEAST_ONE
    )
    async_concurrency: int = option(
        count,
        "10",
        "Calls of jobs under way, all workers, all gateways on the same state.",
        _AT_LEAST_ONE,
    )
    async_retries: int = option(
        count, "3", "Runs after the first, where a call may be sent again.", Bounds(high="100")
    )
    async_backoff: float = option(
        duration,
        "1s",
        "Before the first of them; doubled for each, full jitter.",
        Bounds(low="1ms", high="5m"),
    )
    async_delivery: str = option(
        choice("at-most-once", "at-least-once"),
        "at-most-once",
        "What becomes of a call under way when its worker dies: it ends as interrupted | is queued again.",
    )
    async_max_result: int = option(
        size, "10m", "A larger answer fails the job (result-too-large).", _AT_LEAST_ONE
    )
    async_keep_headers: tuple[bytes, ...] = option(
        fields.field_names,
        "",
        "Authorization and Cookie are not stored unless named here; erased when the job ends.",
    )
    async_callback_hosts: tuple[str, ...] = option(
        list_of(notation.callback_host),
        "",
        "Hosts that a client may name in Callback-URL, http:// before one that may be called without TLS; "
        "empty = callbacks are refused (400).",
    )
    async_callback_secret: Secret = option(
        notation.webhook_secret, "", "Signs callbacks, whsec_... as Standard Webhooks has it."
    )

    stand_ins: ClassVar[Mapping[str, str]] = {"path": "/"}

    @property
    def has_jobs(self) -> bool:
        """Whether its calls may become jobs."""
        return self.async_ != "off"

    def check(self) -> Iterator[Problem]:
        """Return what is wrong between the options of the route."""
        yield from self._check_action()
        if self.strip_prefix and not f"{self.path}/".startswith(f"{self.strip_prefix}/"):
            yield (
                ("strip_prefix", "path"),
                f"the path {self.path} does not begin with it; write a prefix of whole segments",
            )
        yield from self._check_jobs()
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

    def _check_jobs(self) -> Iterator[Problem]:
        if not self.has_jobs:
            declared = options_of(RouteConfig)
            for name in _ASYNC:
                if getattr(self, name) != declared[name].default_value():
                    yield (name, "async"), "is of no use while async is off; set async, or leave it out"
            return
        if self.async_ == "always" and self.timeout is not None:
            what = "is of no use where every call is a job; async_timeout takes its place"
            yield ("timeout", "async"), what
        if self.async_callback_hosts and not self.async_callback_secret:
            what = 'is missing; callbacks are signed, make one with: echo "whsec_$(openssl rand -base64 32)"'
            yield ("async_callback_secret", "async_callback_hosts"), what
        if self.async_callback_secret and not self.async_callback_hosts:
            what = "is missing; without hosts every callback is refused, and nothing signed"
            yield ("async_callback_hosts", "async_callback_secret"), what
        for header in self.async_keep_headers:
            if header.lower() not in _CREDENTIALS:
                what = f"'{header.decode()}' is stored anyway; accepted: Authorization, Cookie"
                yield ("async_keep_headers",), what
