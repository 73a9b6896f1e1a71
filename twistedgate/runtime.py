"""The ports through which policies and actions reach what touches the network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from twistedgate.config.model import ConsumerConfig, UpstreamConfig
from twistedgate.exchange import Exchange
from twistedgate.http.message import BodySource, RequestBody, Response
from twistedgate.jobs.job import Claim
from twistedgate.jobs.observer import JobsObserver
from twistedgate.jobs.store import JobStore

T = TypeVar("T")


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


class JobWatch(Protocol):
    """Waits for changes of one job, from the moment that it was made."""

    @property
    def is_vain(self) -> bool:
        """Whether nothing more is to be waited for here: this process ends, and does not run the job."""

    async def changed(self, seconds: float) -> bool:
        """Wait until the job may have changed since the last time; ``False`` if it did not in time."""

    def stop(self) -> None:
        """Wait no more."""


class JobsPort(Protocol):
    """Who keeps and runs jobs, as an action sees it."""

    store: JobStore
    observer: JobsObserver

    def wall(self) -> float:
        """Return seconds since 1970."""

    def run(self, claim: Claim) -> None:
        """Run a job that was claimed, here and at once."""

    def apart(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Begin ``work`` now; it goes on whatever becomes of who waits for it."""

    async def keep(
        self, job: str, body: bytes | RequestBody, seen: Callable[[bytes], object]
    ) -> tuple[bytes | None, int]:
        """Read a request's body whole, and return it and its length: ``None`` if the store has it in pieces.

        ``seen`` is given each piece of it.  Of a body that does not come whole nothing is kept.
        """

    async def drop(self, job: str) -> None:
        """Throw a request's body away of which no job came."""

    def body(self, pieces: AsyncGenerator[bytes, None]) -> BodySource:
        """Return the body that is made of ``pieces``, each asked for when the one before is taken."""

    def watch(self, job: str) -> JobWatch:
        """Begin to watch a job."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a policy or an action is given besides its configuration."""

    now: Callable[[], float]
    """Monotonic seconds."""
    upstreams: Mapping[str, UpstreamPort] = field(default_factory=dict)
    consumers: tuple[ConsumerConfig, ...] = ()
    jobs: JobsPort | None = None
    """``None`` where nobody runs jobs."""
