"""What is known of an upstream's targets, for whoever judges them next: in this program or in the next one.

It can be written down in JSON's own types: times are those of the monotonic clock, which goes on from one
program of a process to the next.  This module does not know what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twistedgate.balancing.health import Judge


@dataclass(frozen=True, slots=True)
class Known:
    """All of it; targets are known by their names, ``HOST:PORT``."""

    judge: Judge
    schemes: dict[str, str]
    """How each target that there is was reached."""
    drained: dict[str, str]
    """The names of targets and the URLs of hosts that an operator has drained, each with its host's URL."""
    questions: dict[str, str]
    """What the checks of targets want of them."""

    def written(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {
            "judge": self.judge.written(),
            "schemes": self.schemes,
            "drained": self.drained,
            "questions": self.questions,
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Known:
        """Return what was written."""
        return cls(Judge.read(told["judge"]), told["schemes"], told["drained"], told["questions"])
