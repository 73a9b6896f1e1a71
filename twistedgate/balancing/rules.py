"""The options by which the targets of an upstream are judged, and how one set of them follows on another.

This module does not know what is judged by them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from twistedgate.config.upstream import UpstreamConfig


class Checks(enum.Enum):
    """How a target is checked by new rules."""

    AS_BEFORE = enum.auto()
    OTHERWISE = enum.auto()
    """The first one of the new kind decides at once; until then the old ones do."""
    NOT_AT_ALL = enum.auto()


@dataclass(frozen=True, slots=True)
class HealthRules:
    """The options of an upstream that the judge goes by; durations in seconds, ``max_ejected`` a ratio."""

    rise: int = 2
    fall: int = 3
    eject_after: int = 5
    eject_for: float = 30.0
    max_ejected: float = 0.5
    slow_start: float = 0.0
    when_all_down: str = "fail"

    @classmethod
    def of(cls, config: UpstreamConfig) -> HealthRules:
        """Return the rules of a configured upstream."""
        return cls(
            rise=config.health_rise,
            fall=config.health_fall,
            eject_after=config.eject_after,
            eject_for=config.eject_for,
            max_ejected=config.max_ejected,
            slow_start=config.slow_start,
            when_all_down=config.when_all_down,
        )
