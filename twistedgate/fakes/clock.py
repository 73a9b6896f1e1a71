"""Time without a clock: it passes when the test says so."""

from __future__ import annotations

from typing import Final

START: Final = 1000.0
"""When a ``Clock`` begins: not at 0, which code is tempted to take for never."""


class Clock:
    """Monotonic seconds that pass when the test says so; called, it tells them."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
