"""What a connection and the pool that lends it say to one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twistedgate.errors import UpstreamFailure
from twistedgate.net.transport import queued
from twistedgate.wire.codec import HeadLimits

OUT_OF_DESCRIPTORS = "too many open files"
"""The detail of a failure that is this process' own, and not the target's."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every connection of a pool; times in seconds."""

    limits: HeadLimits
    response_timeout: float
    read_timeout: float
    now: Callable[[], float]

    @property
    def max_trailers(self) -> tuple[int, int]:
        """Bytes and fields of the trailers of an answer."""
        return self.limits.max_head, self.limits.max_headers


class Lender(Protocol):
    """Where a connection comes from and goes back to."""

    def give_back(self, connection: Any, now: float) -> None:
        """Take an idle connection."""

    def forget(self, connection: Any) -> None:
        """The connection is not to be lent any more."""

    def lost(self, connection: Any) -> None:
        """The connection is gone."""


class StaleConnection(UpstreamFailure):
    """A reused connection turned out to be closed before a byte of an answer; the pool's own affair."""


def has_written(transport: Any, handed: int) -> bool:
    """Whether a byte of a request may have left: not if all the ``handed`` bytes still wait for the kernel.

    ``handed`` is 0 where that cannot be known, as under TLS.
    """
    return not handed or queued(transport) < handed
