"""What is asked about jobs, under ``jobs_path``: how one stands, its result, its events, its end, and a list.

Rules
- A job is looked for before anything else is judged: of an unknown id, another's id and a caller that nobody
  identified, each method gets the same 404, by the same way.
- ``Prefer: wait=N`` holds an answer until the job is finished, for no longer than the job's route lets one
  wait; a client that leaves meanwhile changes nothing.  A process that ends holds nobody for a job that it
  does not run itself.
- What was asked to be cancelled or forgotten is, whatever becomes of who asked; asked again, it is no error.
- Events are told as they come, and in silence a comment, so that nothing between takes the connection for
  dead.  What is told is how the job stands: of two changes at once the latter.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from twistedgate.config.model import Configuration
from twistedgate.errors import Refusal
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.job_answers import JobAnswers, owner_of
from twistedgate.jobs.events import (
    BEGINNING,
    COMMENT,
    CONTENT_TYPE,
    INTERVAL,
    is_news,
    last_event,
    write_event,
)
from twistedgate.jobs.job import Job, State
from twistedgate.jobs.paging import FEW, read_limit
from twistedgate.jobs.prefer import parse_prefer
from twistedgate.problem import refuse
from twistedgate.routing.match import segments_of

_WAIT: Final = 30.0
"""What a client may wait for a job whose route is not there any more."""

_ALLOWED: Final = {
    "": "GET, HEAD, DELETE, OPTIONS",
    "/result": "GET, HEAD, OPTIONS",
    "/events": "GET, HEAD, OPTIONS",
}
"""The resources of a job, and their methods."""

_LIST_ALLOWED: Final = "GET, HEAD, OPTIONS"
_PARAMETERS: Final = frozenset(("state", "limit", "cursor"))


class Jobs:
    """Answers about jobs to those whose they are."""

    def __init__(self, configuration: Configuration, answers: JobAnswers) -> None:
        self._answers = answers
        self._jobs = answers.jobs
        self._depth = len(segments_of(answers.path))
        self._waits = {name: route.async_max_wait for name, route in configuration.routes.items()}

    async def answer(self, exchange: Exchange) -> Response:
        """Return what is asked for."""
        method = exchange.request.method
        below = segments_of(exchange.request.target.path)[self._depth :]
        if not below:
            return await self._list(exchange, method)
        resource = "/".join(["", *below[1:]])
        job = await self._answers.find(below[0], exchange) if resource in _ALLOWED else None
        if job is None:
            return refuse(404, "unknown-job")
        exchange.job = job.id
        judged = _judged(method, _ALLOWED[resource])
        if judged is None:
            return await self._of(job, resource, exchange)
        if not job.is_final:
            judged.headers.add(b"Location", self._answers.location(job))
        return judged

    def finish(self, exchange: Exchange) -> None:
        """Nothing was taken."""

    async def _of(self, job: Job, resource: str, exchange: Exchange) -> Response:
        """Return a resource of a job that the caller may know of."""
        if job.is_gone:
            return refuse(410, "job-gone")
        if exchange.request.method == "DELETE":
            return await self._remove(job)
        if resource == "/events":
            return self._events(job, exchange)
        waited = await self._waited(job, exchange)
        if resource == "/result":
            return await self._answers.result(waited)
        return self._answers.status(waited, exchange.request.headers.get_all(b"if-none-match"))

    async def _waited(self, job: Job, exchange: Exchange) -> Job:
        wait = parse_prefer(exchange.request.headers.get_all(b"prefer")).wait
        if wait is None:
            return job
        return await self._answers.wait(job, min(wait, self._waits.get(job.route, _WAIT)))

    async def _remove(self, job: Job) -> Response:
        """Cancel a job, or forget the result of a finished one."""
        await self._answers.asked(self._jobs.apart(self._cancel_or_forget(job)))
        return Response(204)

    async def _cancel_or_forget(self, job: Job) -> None:
        store, found = self._jobs.store, job
        if not job.is_final:
            found = await store.cancel(job.id, self._jobs.wall()) or job
            if found.was_ended_now:
                self._jobs.observer.finished(found.route, found.state.value)
        if found.is_final and found.state is not State.CANCELLED:
            # it may have ended just before
            await store.forget(job.id, self._jobs.wall())

    def _events(self, job: Job, exchange: Exchange) -> Response:
        """Return what happens to a job, from where the client was."""
        seen = last_event(exchange.request.headers.get(b"last-event-id"))
        if job.is_final and not is_news(job, seen):
            # what else would end the client's asking again and again
            return Response(204)
        headers = Headers.of(
            (b"Content-Type", CONTENT_TYPE),
            (b"Cache-Control", b"no-store"),
            (b"X-Accel-Buffering", b"no"),
            *self._answers.unfinished(job),
        )
        return Response(200, headers, self._jobs.body(self._told(job.id, seen)))

    async def _told(self, job: str, seen: int) -> AsyncGenerator[bytes, None]:
        watch = self._jobs.watch(job)
        try:
            yield BEGINNING
            while True:
                found = await self._jobs.store.find(job, self._jobs.wall())
                if found is None or found.is_gone:
                    return
                if is_news(found, seen):
                    seen = found.version
                    yield write_event(found, self._answers.written(found))
                if found.is_final or watch.is_vain:
                    # who comes back finds another process, or the next one in this one's place
                    return
                if not await watch.changed(INTERVAL):
                    yield COMMENT
        finally:
            watch.stop()

    # the list

    async def _list(self, exchange: Exchange, method: str) -> Response:
        owner = owner_of(exchange)
        if not owner:
            return refuse(404, "unknown-job")
        refusal = _judged(method, _LIST_ALLOWED)
        if refusal is not None:
            return refusal
        given = _given(exchange.request.target.query)
        try:
            state, limit = _understood(given)
            listing = self._jobs.store.list_jobs(
                owner, state, limit, given.get("cursor", ""), self._jobs.wall()
            )
            page = await self._answers.asked(listing)
        except ValueError:
            return refuse(400, "bad-query")
        return self._answers.page(page, tuple(given.items()))


def _judged(method: str, allowed: str) -> Response | None:
    """Return the answer to a method that asks for nothing, or for what there is not."""
    if method == "OPTIONS":
        return Response(204, Headers.of((b"Allow", allowed.encode("ascii"))))
    if method not in allowed.split(", "):
        return refuse(405, "method-not-allowed", fields=((b"Allow", allowed.encode("ascii")),))
    return None


def _given(query: str) -> dict[str, str]:
    """Return our parameters of a query; raises 400 for one that stands twice, and could mean two things."""
    pairs = [pair for pair in parse_qsl(query[1:], keep_blank_values=True) if pair[0] in _PARAMETERS]
    given = dict(pairs)
    if len(given) < len(pairs):
        raise Refusal(400, "bad-query", "a parameter stands twice")
    return given


def _understood(given: Mapping[str, str]) -> tuple[State | None, int]:
    """Return ``state`` and ``limit``; raises ``ValueError``."""
    state, limit = given.get("state", ""), given.get("limit")
    return State(state) if state else None, FEW if limit is None else read_limit(limit)
