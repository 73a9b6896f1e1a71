"""Waiting for a job to change, for no longer than somebody wants to wait."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from twistedgate.jobs.store import JobStore
from twistedgate.net.task import Signal


class Watch:
    """What happens to one job from now on."""

    def __init__(
        self, store: JobStore, job: str, clock: IReactorTime, is_vain: Callable[[], bool] = lambda: False
    ) -> None:
        """``is_vain`` says whether nobody is to wait any more."""
        self._clock = clock
        self._judge = is_vain
        self._has_changed = False
        self._signal: Signal[None] | None = None
        self.stop = store.watch(job, self.wake)

    @property
    def is_vain(self) -> bool:
        """Whether nothing more is to be waited for here."""
        return self._judge()

    def wake(self) -> None:
        """The job may have changed, or whether it is waited for."""
        self._has_changed = True
        signal = self._signal
        if signal is not None:
            signal.set(None)

    async def changed(self, seconds: float) -> bool:
        """Wait until the job may have changed since the last time; ``False`` if it did not in time."""
        if not self._has_changed and seconds > 0.0 and not self.is_vain:
            signal = self._signal = Signal()
            timer = self._clock.callLater(seconds, signal.set, None)
            try:
                await signal
            finally:
                self._signal = None
                if timer.active():
                    timer.cancel()
        has_changed, self._has_changed = self._has_changed, False
        return has_changed
