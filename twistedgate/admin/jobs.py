"""What an operator asks of jobs: ``/jobs``, ``/jobs/ID``, its result, its end, another run; and a purge.

Rules
- Reading is by GET and HEAD and changes nothing; everything else is by POST, which no web page may send here.
- What cannot be done is said in a sentence: 404 for a job that nobody knows, 410 for what is not kept any
  more, 409 for one in another state than it takes, 503 while the store is away.
- What changes a job is written to the log.

This module does not know who may ask.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from twisted.logger import Logger
from twisted.web.server import Request

from twistedgate.admin.answers import answer
from twistedgate.admin.job_documents import Discretion, everything, is_kept, summary
from twistedgate.admin.job_query import wanted_in_list, wanted_in_purge
from twistedgate.admin.job_result import send_result
from twistedgate.admin.job_search import Purged, Search
from twistedgate.admin.later import Asked, answer_later
from twistedgate.admin.view import AdminOperations
from twistedgate.errors import Refusal
from twistedgate.jobs.document import moment
from twistedgate.jobs.job import Job, State
from twistedgate.jobs.store import JobStore, StoreAway, StoreFull

READING: Final = (b"GET", b"HEAD")
DOING: Final = (b"POST",)

Resource = tuple[tuple[bytes, ...], Callable[[Request], int]]
"""The methods that are for something, and what answers a request for it."""

_Work = Callable[[Asked, JobStore], Awaitable[bytes | None]]
_JobWork = Callable[[Asked, JobStore, Job], Awaitable[bytes | None]]

_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,100}")
_NEVER_SENT: Final = frozenset(("connect-failed", "no-target", "too-many", "expired-in-queue", "route-gone"))
"""Ends of which no upstream knows, unless an earlier run came to another."""

_log = Logger()


class JobResources:
    """Answers about the jobs of everybody."""

    def __init__(self, operations: AdminOperations, discretion: Discretion) -> None:
        """``operations`` say where jobs are kept now, and who counts their ends."""
        self._operations = operations
        self._discretion = discretion

    def find(self, path: bytes) -> Resource | None:
        """Return what is at a path, ``None`` if nothing is."""
        match path.split(b"/"):
            case [b"", b"jobs"]:
                return READING, partial(self._answer, self._list)
            case [b"", b"jobs", b"purge"]:
                return DOING, partial(self._answer, self._purge)
            case [b"", b"jobs", job] if job:
                return READING, self._of(job, self._show)
            case [b"", b"jobs", job, b"result"] if job:
                return READING, self._of(job, self._result)
            case [b"", b"jobs", job, b"cancel"] if job:
                return DOING, self._of(job, self._cancel)
            case [b"", b"jobs", job, b"retry"] if job:
                return DOING, self._of(job, self._retry)
        return None

    def _answer(self, work: _Work, request: Request) -> int:
        async def told(asked: Asked) -> bytes | None:
            try:
                return await work(asked, self._operations.store)
            except StoreAway as away:
                raise _away(away) from away
            except StoreFull as full:
                raise Refusal(503, "store-full", "the store of jobs takes no more; free some room") from full

        return answer_later(request, told)

    def _of(self, raw: bytes, work: _JobWork) -> Callable[[Request], int]:
        async def found(asked: Asked, store: JobStore) -> bytes | None:
            return await work(asked, store, await _find(store, raw))

        return partial(self._answer, found)

    async def _list(self, asked: Asked, store: JobStore) -> bytes:
        wanted = wanted_in_list(asked.parameters())
        page = await Search(store, time.time(), _reactor(asked)).select(wanted)
        jobs = [summary(job) for job in page.jobs]
        return answer(asked.request, 200, {"jobs": jobs, "cursor": page.cursor or None})

    async def _show(self, asked: Asked, store: JobStore, job: Job) -> bytes:
        return answer(asked.request, 200, everything(job, self._discretion))

    async def _result(self, asked: Asked, store: JobStore, job: Job) -> bytes | None:
        if job.state is not State.SUCCEEDED:
            raise _wrong_state(job, "there is no result" if job.is_final else "there is no result yet")
        if job.head is None:
            raise Refusal(410, "job-gone", "its result was forgotten, by its owner or by a purge")
        return await send_result(asked, store, job.id, job.head)

    async def _cancel(self, asked: Asked, store: JobStore, job: Job) -> bytes:
        if job.is_final:
            raise _wrong_state(job, "there is nothing to cancel")
        after = _still(await store.cancel(job.id, time.time()))
        if after.state is not State.CANCELLED:
            raise _wrong_state(after, "there is nothing to cancel")
        if after.was_ended_now:
            self._operations.observer.finished(after.route, after.state.value)
        said = f"cancelled: {_what_was_cut(job)}"
        _log.info("job {job} of route {route} was cancelled by an operator", job=job.id, route=job.route)
        return _done(asked, after, said)

    async def _retry(self, asked: Asked, store: JobStore, job: Job) -> bytes:
        if job.state not in (State.FAILED, State.CANCELLED):
            raise _wrong_state(job, "only what failed or was cancelled is sent again")
        if not is_kept(job):
            raise Refusal(410, "job-gone", "its request was forgotten, by its owner or by a purge")
        after = _still(await store.retry(job.id, time.time()))
        if after.is_forgotten or after.is_gone:
            raise Refusal(410, "job-gone", "its request was forgotten just now")
        if after.state in (State.FAILED, State.CANCELLED):
            raise _wrong_state(after, "it was not queued again; ask once more")
        _log.info("job {job} of route {route} was queued again by an operator", job=job.id, route=job.route)
        return _done(asked, after, f"queued again{_warning(job)}")

    async def _purge(self, asked: Asked, store: JobStore) -> bytes:
        now = time.time()
        wanted = wanted_in_purge(asked.parameters(), now)
        purged = Purged()
        try:
            await Search(store, now, _reactor(asked)).purge(wanted, purged, lambda: asked.is_gone)
        except StoreAway as away:
            raise _away(away, f"{_jobs(purged.count)} forgotten before") from away
        finally:
            if purged.count:
                _log.info("{jobs} forgotten: an operator purges", jobs=_jobs(purged.count))
        said = f"{_jobs(purged.count)} forgotten"
        document = {"done": True, "said": said, "purged": purged.count, "cursor": purged.cursor or None}
        return answer(asked.request, 200, document)


async def _find(store: JobStore, raw: bytes) -> Job:
    """Return a job of which something is kept; raises ``Refusal``."""
    found = await store.find(raw.decode("ascii"), time.time()) if _ID.fullmatch(raw) else None
    job = _still(found)
    if job.is_gone:
        over = f"its time was over at {moment(job.expires)}: nothing is kept but that it {_stands(job)}"
        raise Refusal(410, "job-gone", over)
    return job


def _still(job: Job | None) -> Job:
    if job is None:
        known = (
            "no job of this id is known: it was never given, or is over since long; "
            "`twistedgate jobs list` (GET /jobs) shows which are"
        )
        raise Refusal(404, "unknown-job", known)
    return job


def _away(away: StoreAway, more: str = "what was asked for may have been done, or not") -> Refusal:
    why = str(away) or "no answer"
    return Refusal(503, "store-away", f"the store of jobs is away ({why}); {more}: ask again when it is back")


def _wrong_state(job: Job, so: str) -> Refusal:
    return Refusal(409, "wrong-state", f"it {_stands(job)}: {so}")


def _stands(job: Job) -> str:
    """Return how a job stands, as the rest of a sentence."""
    match job.state:
        case State.QUEUED:
            return f"is queued since {moment(job.submitted)}"
        case State.RUNNING:
            return f"is running since {moment(job.started)}"
        case State.FAILED:
            return f"failed ({job.reason}) at {moment(job.finished)}"
        case State.CANCELLED:
            return f"was cancelled at {moment(job.finished)}"
    return f"succeeded at {moment(job.finished)}"


def _what_was_cut(job: Job) -> str:
    if job.state is State.RUNNING:
        return "its call is cut off"
    return "it is not run again" if job.attempts else "it was never sent"


def _warning(job: Job) -> str:
    """Return what an operator should know who has a job sent again."""
    warning = "; it goes out without Authorization and Cookie, which are erased when a job ends"
    if job.attempts and job.reason not in _NEVER_SENT:
        warning += "; its upstream may have had it before"
    return warning


def _done(asked: Asked, job: Job, said: str) -> bytes:
    return answer(asked.request, 200, {"done": True, "said": said, "job": summary(job)})


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _reactor(asked: Asked) -> Any:
    site: Any = asked.request.site
    return site.reactor
