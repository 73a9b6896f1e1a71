"""What a connection and the pool that lends it say to one another."""

from __future__ import annotations

from typing import Any, Protocol

from twistedgate.errors import UpstreamFailure


OUT_OF_DESCRIPTORS = "too many open files"
"""The detail of a failure that is this process' own, and not the target's."""


class Lender(Protocol):
    """Where a connection comes from and goes back to."""

    def give_back(self, connection: Any, now: float) -> None:
        """Take an idle connection."""

    def forget(self, connection: Any) -> None:
        """The connection is gone."""


class StaleConnection(UpstreamFailure):
    """A reused connection turned out to be closed before a byte of an answer; the pool's own affair."""
