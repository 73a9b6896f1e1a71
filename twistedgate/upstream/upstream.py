"""A named set of targets: picks one, lends a connection to it, sends the request, judges what came of it.

What decides (balancer, judge, gate, budget) is pure and lives below; this module feeds it and acts on what it says.
Every change of a target's state is one log line with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from twistedgate.balancing.balancer import make_balancer
from twistedgate.balancing.health import HealthRules, Judge
from twistedgate.config.model import UpstreamConfig
from twistedgate.limiting.gate import Gate
from twistedgate.limiting.window import RetryBudget
from twistedgate.upstream.keys import compile_key
from twistedgate.upstream.pool import Pool
from twistedgate.upstream.target import Target

_BAD_ANSWERS = frozenset((502, 503, 504))
"""Answers that count as failures of the target (Envoy's gateway errors)."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an upstream gets from the process it lives in."""

    reactor: Any
    now: Callable[[], float]
    random: Callable[[], float]
    tls_creator: Callable[[UpstreamConfig, Target], Any]


class Upstream:
    """The targets of one ``[upstream:NAME]``."""

    def __init__(self, config: UpstreamConfig, surroundings: Surroundings) -> None:
        self.name = config.name
        self.config = config
        self._now = surroundings.now
        self.pool = Pool(
            config,
            surroundings.reactor,
            surroundings.now,
            lambda target: surroundings.tls_creator(config, target),
        )
        self.targets: dict[str, Target] = {}
        self.gate = Gate(config.max_requests)
        self.requests = 0
        self._balancer = make_balancer(config.balance, surroundings.random)
        self._needs_key = config.balance == "consistent-hash"
        self._key_of = compile_key(config.hash_key)
        self._budget = RetryBudget(config.retry_budget)
        self._judge = Judge(HealthRules.of(config), surroundings.now())
        self._trials: dict[str, Target] = {}

    def __repr__(self) -> str:
        return f"<Upstream {self.name} targets={list(self.targets.values())}>"

    def enter(self, now: float) -> bool:
        """Count one more request under way."""
        if not self.gate.enter():
            return False
        self.requests += 1
        self._budget.count(now)
        return True

    def leave(self) -> None:
        """Count one request less."""
        self.gate.leave()

    def may_retry(self, now: float) -> bool:
        """Take one retry from the budget."""
        return self._budget.take(now)

    def pick(self, exchange: Exchange, tried: list[TargetPort]) -> TargetPort | None:
        """Choose a target and count the request in flight to it."""
        key = self._key_of(exchange) if self._needs_key else b""
        target = self._balancer.pick(key, tried)
        if target is None and tried:
            target = self._balancer.pick(key, ())
        if target is None:
            return None
        target.in_flight += 1
        target.requests += 1
        return target

    def release(self, target: TargetPort) -> None:
        """Count one request less in flight to ``target``."""
        target.in_flight -= 1

    async def send(self, target: Target, exchange: Exchange, head: bytes) -> Response:
        """Send a request and return the head of its answer; raises ``UpstreamFailure``."""
        connection: UpstreamConnection | None = None
        try:
            connection = self.pool.take(target, exchange.request.method in IDEMPOTENT, exchange.started)
            if connection is not None:
                try:
                    response = await connection.begin(exchange, head, self._time_of(exchange))
                except StaleConnection as stale:
                    connection = None
                    self._check_resend(exchange, stale)
            if connection is None:
                connection = await self._connect(target, exchange)
                response = await connection.begin(exchange, head, self._now())
        except UpstreamFailure as failure:
            self._failed(target, failure.reason, failure.detail)
            raise
        except BaseException:
            # the client left, or the exchange's time is over
            if connection is not None:
                connection.abort()
            raise
        if response.status in _BAD_ANSWERS:
            self._failed(target, f"status-{response.status}", "")
        elif target.consecutive_failures or target.on_trial:
            self._succeeded(target)
        return response
