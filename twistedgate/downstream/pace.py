"""How fast a client sends and takes: the measures behind ``min_body_rate`` and ``send_timeout``."""

from __future__ import annotations

from twistedgate.config.model import ListenerConfig


class Pace:
    """Measures one connection; ``now`` is monotonic seconds."""

    __slots__ = ("_began", "_paused_at", "_paused_for", "_progress", "_stalled_since")

    def __init__(self) -> None:
        self._began = 0.0
        self._paused_at: float | None = None
        self._paused_for = 0.0
        self._progress = -1
        self._stalled_since = 0.0

    def begin(self, now: float) -> None:
        """A request's body begins."""
        self._began = now
        self._paused_for = 0.0
        self._paused_at = None

    def pause(self, now: float) -> None:
        """We read no more: the time does not count against the client."""
        self._paused_at = now

    def resume(self, now: float) -> None:
        """We read again."""
        if self._paused_at is not None:
            self._paused_for += now - self._paused_at
            self._paused_at = None

    def is_slow(self, received: int, now: float, config: ListenerConfig) -> bool:
        """Whether a body of which ``received`` bytes are here comes in below the lowest rate."""
        if self._paused_at is not None or not config.min_body_rate:
            return False
        seconds = now - self._began - self._paused_for
        return seconds > config.body_timeout and received < config.min_body_rate * seconds

    def is_stalled(self, progress: int, now: float, timeout: float) -> bool:
        """Whether the client has taken nothing for ``timeout``; ``progress`` grows with what it takes."""
        if progress != self._progress:
            self._progress = progress
            self._stalled_since = now
        return now - self._stalled_since >= timeout

    def is_flowing(self) -> None:
        """Nothing waits for the client."""
        self._progress = -1
