"""What is wrong with the answers of a target: told at once, but not again and again.

A target that answers badly answers badly a thousand times a second; the log must not grow with that.
"""

from __future__ import annotations

from twisted.logger import Logger

INTERVAL = 10.0
"""Seconds in which one complaint of one target is told once."""

_MOST = 1024
"""Complaints remembered; a flood of targets costs a line more, never memory."""

_log = Logger()


class Complaints:
    """Tells the same of the same target once in ``INTERVAL``, with how often it was kept back."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, target: str, what: str, now: float) -> None:
        """Write one line, unless it was written a moment ago; ``now`` is monotonic seconds."""
        since, kept_back = self._told.get((target, what), (-INTERVAL, 0))
        if now - since < INTERVAL:
            self._told[target, what] = since, kept_back + 1
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[target, what] = now, 0
        again = f" ({kept_back} more since the last line)" if kept_back else ""
        _log.warn("upstream target {target}: {what}{again}", target=target, what=what, again=again)
