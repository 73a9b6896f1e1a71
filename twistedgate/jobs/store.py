"""Where jobs are kept: the port that every store implements, and what can go wrong there.

Each change of state is one step that happens whole or not at all, for everybody who asks.  ``now`` is in
seconds since 1970; a store that several machines share goes by its own clock instead.  Whoever holds a claim
speaks with its fence: after the job was taken from him he changes nothing any more, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, runtime_checkable

from twistedgate.jobs.job import (
    Callback,
    Claim,
    Counts,
    End,
    Job,
    Limits,
    NewJob,
    Page,
    Room,
    State,
    Submission,
    Swept,
)

REQUEST = "request"
RESULT = "result"
"""The two bodies of a job."""

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What reading a job raises that is damaged, or that somebody else has written."""


class StoreAway(Exception):
    """The store cannot be reached, or did not answer in time; nothing is known of what it did."""


class StoreFull(Exception):
    """There is no room for another job; nothing was kept of it."""


class JobStore(Protocol):
    """Keeps jobs.  Every method may raise ``StoreAway``."""

    runner: str
    """Who this is, among those that share the store."""

    async def start(self) -> None:
        """Open it; what dead runners have left is for ``sweep``."""

    async def stop(self) -> None:
        """Close it, once everything handed over is kept."""

    # bodies in pieces

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece of a body; of a job that is not submitted in an hour it is thrown away."""

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece, ``None`` behind the last one."""

    async def drop_pieces(self, job: str, kind: str) -> None:
        """Throw a body away."""

    # the life of a job

    async def submit(self, job: NewJob, limits: Limits, now: float) -> Submission:
        """Keep a job, or say why not; raises ``StoreFull``.  Kept is what survives as the store promises.

        The pieces of a job that is not kept are for whoever put them there to throw away.
        """

    async def claim(self, rooms: Sequence[Room], now: float) -> list[Claim]:
        """Take jobs that are due, the highest priority's oldest first; never more than there is room for."""

    async def finish(self, claim: Claim, end: End, now: float) -> bool:
        """Say how a run ended; ``False``, and nothing changes, if the claim is not valid any more."""

    async def put_back(self, claim: Claim, due: float, now: float) -> bool:
        """Queue a job again, to be run from ``due`` on; ``False`` as for ``finish``."""

    async def cancel(self, job: str, now: float) -> Job | None:
        """Cancel a job that is queued or running, and return how it stands; a finished one stays so."""

    async def forget(self, job: str, now: float) -> Job | None:
        """Throw the result of a finished job away, and return how it stands."""

    async def retry(self, job: str, now: float) -> Job | None:
        """Queue a failed or cancelled job again, whose request is still kept; an operator asks for it."""

    async def find(self, job: str, now: float) -> Job | None:
        """Return a job, ``is_gone`` for as long again as its ttl, then ``None``."""

    async def list_jobs(
        self, owner: str | None, state: State | None, limit: int, cursor: str, now: float
    ) -> Page:
        """Return an owner's jobs, or everybody's, newest first; raises ``ValueError`` for a bad cursor."""

    # time, and what is known

    async def renew(self, now: float) -> None:
        """Say that this runner is alive; to be called every ten seconds."""

    async def sweep(self, routes: Collection[str] | None, now: float) -> Swept:
        """Let time act: queue timeouts, ttls, runners that died.

        Queued jobs of a route that is not among ``routes`` end as route-gone; ``None`` ends none.
        """

    async def counts(self, now: float) -> dict[str, Counts]:
        """Return what is not finished, by route."""

    def watch(self, job: str, changed: Callable[[], object]) -> Callable[[], None]:
        """Call ``changed`` when a job may have changed, and soon, whoever changed it; returns how to stop."""

    def on_work(self, work: Callable[[], object]) -> None:
        """Call ``work`` when there may be something to claim, whoever submitted it."""

    # callbacks

    async def due_callbacks(self, limit: int, now: float) -> list[Callback]:
        """Take callbacks that are due, for a minute each: who does not report by then has failed."""

    async def callback_ended(self, callback: Callback, next_try: float | None, now: float) -> None:
        """Say that a callback was delivered or given up (``None``), or when it is tried again."""


@runtime_checkable
class Announces(Protocol):
    """A store that several processes share, and that is told by them what they change."""

    announce: Callable[[str, str], object] | None
    """Called with what kind of thing changed, and which, for the other processes to ``hear``."""

    def hear(self, kind: str, name: str) -> None:
        """Take what another process announced."""
