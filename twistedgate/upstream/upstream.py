"""A named set of targets: picks one, lends a connection to it, sends the request, judges what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twistedgate.config.model import UpstreamConfig
from twistedgate.errors import ClientGone, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.message import Response
from twistedgate.limiting.gate import Gate
from twistedgate.limiting.window import RetryBudget
from twistedgate.net.tls import authorities
from twistedgate.runtime import TargetPort
from twistedgate.upstream.connection import UpstreamConnection
from twistedgate.upstream.keys import compile_key
from twistedgate.upstream.lending import OUT_OF_DESCRIPTORS, StaleConnection
from twistedgate.upstream.pool import Pool
from twistedgate.upstream.target import Target
from twistedgate.upstream.targets import Surroundings, Targets
from twistedgate.wire.framing import IDEMPOTENT

_BAD_ANSWERS = frozenset((502, 503, 504))
"""Answers that count as failures of the target (Envoy's gateway errors)."""

_BROKEN_BODIES = frozenset(("truncated", "read-timeout"))
"""Reasons of an exchange whose answer began well."""


class Upstream:
    """The targets of one ``[upstream:NAME]``."""

    def __init__(
        self, config: UpstreamConfig, surroundings: Surroundings, previous: Upstream | None = None
    ) -> None:
        """``previous`` is the upstream of that name before a reload: what is under way there still counts."""
        self.name = config.name
        self.config = config
        self.requests: int = 0 if previous is None else previous.requests
        self.targets: Targets = Targets(config, surroundings, None if previous is None else previous.targets)
        self.pool = Pool(
            config,
            surroundings.reactor,
            surroundings.now,
            lambda target: surroundings.tls(config, target.config),
        )
        self.gate: Gate = (
            surroundings.counting.gate(f"upstream:{config.name}", config.max_requests)
            if previous is None
            else previous.gate
        )
        self._now = surroundings.now
        self._tls = surroundings.tls
        self._trusted: set[bytes] = set()
        self._needs_key = config.balance == "consistent-hash"
        self._key_of = compile_key(config.hash_key)
        self._budget = RetryBudget(config.retry_budget)
        self._used_again: Callable[[Upstream], None] | None = None

    def __repr__(self) -> str:
        return f"<Upstream {self.name} targets={list(self.targets.by_name.values())}>"

    def start(self) -> None:
        """Begin to be picked from."""
        self.gate.limit = self.config.max_requests
        self._trusted = authorities(self.config, self._tls)
        self.targets.start(self.pool.drop)

    def renew(self) -> None:
        """Go on under a new configuration that says the same of it; whom it trusts may be others by now."""
        trusted = authorities(self.config, self._tls)
        if trusted != self._trusted:
            self._trusted = trusted
            self.pool.renew()

    def retire(self, used_again: Callable[[Upstream], None]) -> None:
        """Begin nothing new; what is under way ends by itself.

        ``used_again`` is called when an exchange that began before makes a connection all the same.
        """
        self._used_again = used_again
        self.targets.stop()
        self.pool.retire()

    def sweep(self, now: float) -> None:
        """Let time act on connections."""
        self.pool.sweep(now)

    # the line's side

    def enter(self, now: float) -> bool:
        """Count one more request under way."""
        gate = self.gate
        if gate.limit is None:
            gate.under_way += 1
        elif not gate.enter():
            return False
        self.requests += 1
        self._budget.count(now)
        return True

    def leave(self) -> None:
        """Count one request less."""
        self.gate.under_way -= 1

    def may_retry(self, now: float) -> bool:
        """Take one retry from the budget."""
        return self._budget.take(now)

    def pick(self, exchange: Exchange, tried: Sequence[TargetPort]) -> Target | None:
        """Choose a target and count the request in flight to it."""
        return self.targets.pick(self._key_of(exchange) if self._needs_key else b"", tried, exchange)

    def release(self, target: TargetPort, exchange: Exchange) -> None:
        """Count one request less in flight to ``target``, and judge a body that was relayed."""
        if TYPE_CHECKING:
            assert isinstance(target, Target)
        target.give_back()
        is_trial = target.trial is exchange
        if exchange.reason in _BROKEN_BODIES:
            self.targets.failed(target, exchange.reason, self._now())
        elif is_trial or target.is_suspected:
            response = exchange.response
            if not exchange.reason and response is not None and response.status not in _BAD_ANSWERS:
                self.targets.succeeded(target, self._now())
            elif is_trial:
                self.targets.left_undecided(target, self._now())
        if is_trial:
            target.trial = None

    async def send(self, target: TargetPort, exchange: Exchange, head: bytes) -> Response:
        """Send a request and return the head of its answer; raises ``UpstreamFailure``."""
        if TYPE_CHECKING:
            assert isinstance(target, Target)
        connection: UpstreamConnection | None = None
        response: Response | None = None
        now = self._now()
        try:
            connection = self.pool.take(target, exchange.request.method in IDEMPOTENT, now)
            if connection is not None:
                try:
                    response = await connection.begin(exchange, head, now)
                except StaleConnection as stale:
                    connection = None
                    _check_resend(exchange, stale)
            if response is None:
                connection = await self._connect(target, exchange)
                response = await connection.begin(exchange, head, self._now())
        except UpstreamFailure as failure:
            if failure.detail != OUT_OF_DESCRIPTORS:
                told = f"{failure.reason} ({failure.detail})" if failure.detail else failure.reason
                self.targets.failed(target, told, self._now())
            raise
        except BaseException:
            # the client left, or the exchange's time is over
            if connection is not None:
                connection.abort()
            raise
        if response.status in _BAD_ANSWERS:
            self.targets.failed(target, f"status {response.status}", self._now())
        elif target.is_suspected and isinstance(response.body, bytes):
            self.targets.succeeded(target, self._now())
        return response

    async def _connect(self, target: Target, exchange: Exchange) -> UpstreamConnection:
        began = self._now()
        connecting = self.pool.connect(target)
        if self._used_again is not None:
            self._used_again(self)
        try:
            return await connecting
        finally:
            # if the client left meanwhile, nobody waits: the pool keeps what comes of it
            connecting.fail(ClientGone())
            exchange.connect_seconds += self._now() - began


def _check_resend(exchange: Exchange, stale: StaleConnection) -> None:
    """Raise unless the request may go out once more, on a fresh connection."""
    request = exchange.request
    if stale.wrote and request.method not in IDEMPOTENT:
        raise UpstreamFailure(502, "reset", wrote=True)
    if not isinstance(request.body, bytes) and not request.body.can_replay:
        raise UpstreamFailure(502, "reset", wrote=True)
