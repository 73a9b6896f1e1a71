"""What actions may ask of those who keep and run jobs: all of it but the running.

Whoever runs jobs gives ``run``.  This module knows neither configurations nor routes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakSet

from twisted.internet.interfaces import IReactorTime

from twistedgate.background.intake import Intake
from twistedgate.background.pulled import PulledBody
from twistedgate.background.waiting import Watch
from twistedgate.http.message import RequestBody
from twistedgate.jobs.job import INLINE, Claim
from twistedgate.jobs.observer import UNOBSERVED, JobsObserver
from twistedgate.jobs.store import REQUEST, JobStore, StoreAway
from twistedgate.net.task import Signal, Task

T = TypeVar("T")


class Jobs:
    """Keeps jobs in a store: a ``JobsPort`` of the runtime."""

    def __init__(
        self,
        store: JobStore,
        run: Callable[[Claim], None],
        wall: Callable[[], float],
        clock: IReactorTime,
        observer: JobsObserver = UNOBSERVED,
    ) -> None:
        """``wall`` gives seconds since 1970; ``run`` begins to run a job, and returns."""
        self.store = store
        self.run = run
        self.wall = wall
        self.observer = observer
        self._clock = clock
        self._watches: WeakSet[Watch] = WeakSet()
        self._is_here: Callable[[str], bool] | None = None
        """Whether a job runs here; asked once this process ends."""

    def apart(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Begin ``work`` now; it goes on whatever becomes of who waits for it."""
        done: Signal[T] = Signal()
        Task(_carry_out(work, done), lambda: None).step()
        return done

    async def keep(
        self, job: str, body: bytes | RequestBody, seen: Callable[[bytes], object]
    ) -> tuple[bytes | None, int]:
        """Read a request's body whole; see ``JobsPort``."""
        if isinstance(body, bytes):
            seen(body)
            if len(body) <= INLINE:
                return body, len(body)
            await self._keep_pieces(job, body)
            return None, len(body)
        intake = Intake(self.store, job, body, seen)
        try:
            return await intake.take(), intake.length
        except BaseException:
            if intake.has_pieces:
                self.apart(self.drop(job))
            raise

    async def _keep_pieces(self, job: str, body: bytes) -> None:
        try:
            for number, start in enumerate(range(0, len(body), INLINE)):
                await self.store.put_piece(job, REQUEST, number, body[start : start + INLINE])
        except BaseException:
            self.apart(self.drop(job))
            raise

    async def drop(self, job: str) -> None:
        """Throw a request's body away, unless the store is away; see ``JobsPort``."""
        try:
            await self.store.drop_pieces(job, REQUEST)
        except StoreAway:
            # what is of no job goes after an hour
            return

    def body(self, pieces: AsyncGenerator[bytes, None]) -> PulledBody:
        """Return the body that is made of ``pieces``."""
        return PulledBody(pieces)

    def watch(self, job: str) -> Watch:
        """Begin to watch a job."""
        watch = Watch(self.store, job, self._clock, lambda: self._is_vain(job))
        self._watches.add(watch)
        return watch

    def end_waits(self, is_here: Callable[[str], bool]) -> None:
        """Let nobody wait any more, now that this process ends, but for jobs that it runs itself."""
        self._is_here = is_here
        for watch in list(self._watches):
            watch.wake()

    def _is_vain(self, job: str) -> bool:
        return self._is_here is not None and not self._is_here(job)


async def _carry_out(work: Coroutine[Any, Any, T], done: Signal[T]) -> None:
    try:
        result = await work
    except Exception as error:  # noqa: BLE001 -- it is raised in who waits
        done.fail(error)
    else:
        done.set(result)
