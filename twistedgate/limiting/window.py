"""How many retries the requests of the last seconds allow.

Rules: within any ``window`` seconds no more are taken than ``minimum``, or ``ratio`` of the requests counted
in the same time, whichever is more.  Time is kept in whole seconds, and what that rounds off is always on
the safe side: requests of the last ``window`` seconds at most count, retries of the last ``window`` at
least.  A clock that goes back is taken for one that stands still.
"""

from __future__ import annotations

from collections import deque


class RetryBudget:
    """A budget of retries that grows with the requests.  Without it retries multiply an outage."""

    __slots__ = ("_minimum", "_ratio", "_requests", "_retries", "_running", "_second", "_turn")

    def __init__(self, ratio: float, minimum: int = 3, window: float = 10.0) -> None:
        seconds = max(int(window), 1)
        self._ratio = ratio
        self._minimum = minimum
        # The last of the retries are those of the second that is running.
        self._requests: deque[int] = deque([0] * (seconds - 1), seconds - 1)
        self._running = 0
        """Requests of the second that is running."""
        self._retries: deque[int] = deque([0] * (seconds + 1), seconds + 1)
        self._second = 0
        self._turn = 0.0

    def count(self, now: float) -> None:
        """Count one request."""
        if now >= self._turn:
            self._advance(now)
        self._running += 1

    def take(self, now: float) -> bool:
        """Take one retry, if there is one left."""
        if now >= self._turn:
            self._advance(now)
        if sum(self._retries) + 1 > max(self._minimum, self._ratio * (sum(self._requests) + self._running)):
            return False
        self._retries[-1] += 1
        return True

    def _advance(self, now: float) -> None:
        """Begin the second of ``now``; those in between were empty."""
        second = int(now)
        for _ in range(min(second - self._second, len(self._retries))):
            self._requests.append(self._running)
            self._running = 0
            self._retries.append(0)
        self._second = second
        self._turn = second + 1.0
