"""What requests tell about a target: after how many failures it is out, for how long, and how it comes back.

Rules: ``eject_after`` failures in a row eject a target for ``eject_for``, times the number of ejections in a
row, 300 s at most.  Then it is on trial: one request is let through.  Its success brings the target back,
its failure ejects it again.  A trial that nobody reports is over after a while, so that none stays out for
ever.  What older requests report meanwhile changes nothing.

This is the record of one target; whether it may be ejected at all, seen beside the others, is ``health``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST = 300.0
"""Seconds: Envoy's ``max_ejection_time`` too."""

TRIAL_PATIENCE = 300.0
"""Seconds after which a trial that nobody reported is given up; longer than most response timeouts."""


class Ejection:
    """The ejections of one target; times are monotonic seconds."""

    __slots__ = ("failures", "in_a_row", "is_out", "trial_since", "until")

    def __init__(self) -> None:
        self.failures = 0
        """In a row; 0 while nothing is wrong."""
        self.is_out = False
        self.in_a_row = 0
        self.until: float | None = None
        """When it goes on trial; ``None`` when it is not out, or on trial already."""
        self.trial_since: float | None = None
        """When the trial request was sent; ``None`` when there is none under way."""

    @property
    def is_on_trial(self) -> bool:
        """Whether one request may be, or is, under way to find out."""
        return self.is_out and self.until is None

    def recall(self, known: Ejection, eject_after: int, eject_for: float, now: float) -> None:
        """Take over what was known by another ``eject_after`` and ``eject_for``, but no trial under way."""
        self.in_a_row = known.in_a_row
        if not eject_after:
            return
        self.failures = known.failures
        self.is_out = known.is_out
        if known.until is not None:
            self.until = min(known.until, now + self._duration(eject_for))

    def written(self) -> dict[str, Any]:
        """Return all of it in JSON's own types."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Ejection:
        """Return what was written."""
        ejection = cls()
        for name in cls.__slots__:
            setattr(ejection, name, told[name])
        return ejection

    def _duration(self, eject_for: float) -> float:
        return min(eject_for * self.in_a_row, LONGEST)

    def eject(self, eject_for: float, now: float) -> float:
        """Take the target out; returns for how many seconds."""
        self.in_a_row += 1
        seconds = self._duration(eject_for)
        self.is_out = True
        self.until = now + seconds
        self.trial_since = None
        return seconds

    def expire(self, now: float) -> bool:
        """Do what time alone does; returns whether anything changed."""
        if self.until is not None and now >= self.until:
            self.until = None
            return True
        if self.trial_since is not None and now - self.trial_since >= TRIAL_PATIENCE:
            self.trial_since = None
            return True
        return False

    def start_trial(self, now: float) -> bool:
        """Note that the trial request is under way; ``False`` if there is none to be made."""
        if not self.is_on_trial or self.trial_since is not None:
            return False
        self.trial_since = now
        return True

    def abandon_trial(self) -> bool:
        """Note that the trial request ended without a verdict; ``False`` if none was under way."""
        was_under_way = self.trial_since is not None
        self.trial_since = None
        return was_under_way

    def release(self) -> None:
        """Take the target back though it has not proved itself; the ejections in a row are remembered."""
        self.is_out = False
        self.until = self.trial_since = None
        self.failures = 0

    def succeed(self) -> bool:
        """Count a good answer; returns whether it brings the target back."""
        if self.is_out and self.trial_since is None:
            return False
        is_back = self.is_out
        self.release()
        self.in_a_row = 0
        return is_back


def most_ejected(ratio: float, targets: int) -> int:
    """Return how many of so many targets may be out at once: the ratio, rounded down, and never all."""
    return max(min(int(ratio * targets + 1e-9), targets - 1), 0)
