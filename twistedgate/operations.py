"""What an operator may have a gateway of one process do; ``view`` only reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from twistedgate.admin.view import Outcome, UnknownName
from twistedgate.jobs.observer import JobsObserver
from twistedgate.jobs.store import JobStore

if TYPE_CHECKING:
    from twistedgate.service import GatewayService

ONE_PROCESS = (
    "one process serves alone (workers = 1), and nobody could serve while it is replaced; "
    "set workers = 2 or more and restart once, or start the new version beside this one"
)
"""Why there is no upgrade, and what to do instead."""


class Operations:
    """Acts on a ``GatewayService``."""

    def __init__(self, service: GatewayService) -> None:
        self._service = service

    @property
    def store(self) -> JobStore:
        """Where the jobs of all processes are kept."""
        return self._service.crew.store

    @property
    def observer(self) -> JobsObserver:
        """Who counts the jobs that operators end."""
        return self._service.crew.measures.metrics.jobs

    def reload(self) -> Deferred[Outcome]:
        """Read the configuration again."""
        return self._service.reload()

    def upgrade(self) -> Deferred[Outcome]:
        """Let newly installed code take over."""
        return self._service.upgrade()

    def drain_target(self, upstream: str, target: str) -> Deferred[Outcome]:
        """Pick a target no more, until it is enabled."""
        names = _known(self._service.crew.judges.drain, upstream, target)
        return succeed(Outcome(f"drained {_listed(names, target)} of {upstream}: no new requests go there"))

    def enable_target(self, upstream: str, target: str) -> Deferred[Outcome]:
        """Let a target that was drained be picked again."""
        names = _known(self._service.crew.judges.enable, upstream, target)
        return succeed(Outcome(f"enabled {_listed(names, target)} of {upstream}"))


def _known(act: Callable[[str, str], tuple[str, ...]], upstream: str, target: str) -> tuple[str, ...]:
    """Act on a target, and return who that is; raises ``UnknownName``."""
    try:
        return act(upstream, target)
    except LookupError as error:
        raise UnknownName(str(error)) from None


def _listed(names: tuple[str, ...], target: str) -> str:
    """Return the addresses that are meant; of a host that has none yet, its own name."""
    return ", ".join(names) or target
