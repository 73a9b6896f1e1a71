"""Who makes what counts: gates and targets, of this process alone unless another way to count is given.

Several processes that serve together count together; whoever uses a gate or a target does not know.
"""

from __future__ import annotations

from typing import Protocol

from twistedgate.config.model import TargetConfig
from twistedgate.limiting.gate import Gate
from twistedgate.upstream.target import Target


class Counting(Protocol):
    """Makes gates and targets."""

    def gate(self, name: str, limit: int | None) -> Gate:
        """Return a gate; ``name`` is ``route:NAME`` or ``upstream:NAME``."""

    def target(self, upstream: str, config: TargetConfig, address: str) -> Target:
        """Return a target of the upstream of that name."""


class OwnCounts:
    """This process counts for itself."""

    def gate(self, name: str, limit: int | None) -> Gate:
        """Return a gate of this process."""
        return Gate(limit)

    def target(self, upstream: str, config: TargetConfig, address: str) -> Target:
        """Return a target whose requests are those of this process."""
        return Target(config, address)
