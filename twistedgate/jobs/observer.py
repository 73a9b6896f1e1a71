"""What becomes of jobs, as it is told to whoever counts: each thing once, by whoever made it happen.

A call that was replayed is no submission; a run that lost its claim ends nothing; of several who cancel a job
it is one who did.  A job that an operator queues again ends once more.
"""

from __future__ import annotations

from typing import Final, Protocol

from twistedgate.jobs.job import End, State
from twistedgate.jobs.redelivery import Outcome
from twistedgate.jobs.schedule import REASONS

OUTCOMES: Final = (State.SUCCEEDED.value, State.CANCELLED.value, *sorted(REASONS))
"""How a job ends: of those that fail, the reason."""


class JobsObserver(Protocol):
    """Who is told."""

    def submitted(self, route: str) -> None:
        """Hear of a new job."""

    def began(self, route: str, waited: float | None) -> None:
        """Hear of a run; ``waited`` are the seconds since the submission of a job that is run first."""

    def ran(self, route: str, seconds: float) -> None:
        """Hear that a run is over, whatever came of it."""

    def finished(self, route: str, outcome: str) -> None:
        """Hear of a job's end, one of ``OUTCOMES``."""

    def told(self, outcome: Outcome) -> None:
        """Hear of a callback, or of one more try in vain."""


class Unobserved:
    """Nobody counts."""

    def submitted(self, route: str) -> None:
        """Hear nothing."""

    def began(self, route: str, waited: float | None) -> None:
        """Hear nothing."""

    def ran(self, route: str, seconds: float) -> None:
        """Hear nothing."""

    def finished(self, route: str, outcome: str) -> None:
        """Hear nothing."""

    def told(self, outcome: Outcome) -> None:
        """Hear nothing."""


UNOBSERVED: Final[JobsObserver] = Unobserved()


def outcome_of(end: End) -> str:
    """Return the end of a run that ends its job, as it is told."""
    return end.reason or end.state.value
