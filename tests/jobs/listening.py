"""Somebody who hears what becomes of jobs, and remembers it."""

from __future__ import annotations

from twistedgate.jobs.redelivery import Outcome


class Listener:
    """Remembers what it was told, in order; a ``JobsObserver``."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def submitted(self, route: str) -> None:
        """Hear of a new job."""
        self.heard.append(("submitted", route))

    def began(self, route: str, waited: float | None) -> None:
        """Hear of a run."""
        self.heard.append(("began", route, waited))

    def ran(self, route: str, seconds: float) -> None:
        """Hear of a run's end."""
        self.heard.append(("ran", route, seconds))

    def finished(self, route: str, outcome: str) -> None:
        """Hear of a job's end."""
        self.heard.append(("finished", route, outcome))

    def told(self, outcome: Outcome) -> None:
        """Hear of a callback."""
        self.heard.append(("told", outcome))

    def ends(self) -> list[str]:
        """Return how jobs ended."""
        return [str(told[2]) for told in self.heard if told[0] == "finished"]
