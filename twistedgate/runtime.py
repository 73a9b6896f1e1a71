"""The ports through which policies and actions reach what touches the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from twistedgate.config.model import ConsumerConfig, UpstreamConfig
from twistedgate.exchange import Exchange
from twistedgate.http.message import Response


class TargetPort(Protocol):
    """One address of an upstream, as an action sees it."""

    name: str
    """``HOST:PORT``, as the configuration and the log have it."""
    authority: bytes
    """Its own Host."""


class UpstreamPort(Protocol):
    """A set of targets: where a request can be sent."""

    name: str
    config: UpstreamConfig

    def enter(self, now: float) -> bool:
        """Count one more request under way; ``False`` if that would pass ``max_requests``."""

    def leave(self) -> None:
        """Count one request less."""

    def pick(self, exchange: Exchange, tried: list[TargetPort]) -> TargetPort | None:
        """Choose a target, one not tried before while such a one is up, and count it in flight."""

    def release(self, target: TargetPort, exchange: Exchange) -> None:
        """Count one request less in flight to ``target``."""

    async def send(self, target: TargetPort, exchange: Exchange, head: bytes) -> Response:
        """Send the request and return the head of the answer; raises ``UpstreamFailure``."""

    def may_retry(self, now: float) -> bool:
        """Take one retry from the budget, if there is one left."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a policy or an action is given besides its configuration."""

    now: Callable[[], float]
    """Monotonic seconds."""
    upstreams: Mapping[str, UpstreamPort] = field(default_factory=dict)
    consumers: tuple[ConsumerConfig, ...] = ()
