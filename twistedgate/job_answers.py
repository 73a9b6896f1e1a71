"""What a client is told of a job: accepted, how it stands, its result; by submission and by asking alike.

Rules
- A job is known to its owner; one that has none is known to whoever knows its id.  For everybody else there
  is no such job, and nothing tells that from an id that was never given.
- Every answer about a job that is not finished says where to ask again, and when.
- A result is the upstream's answer as it was; only its framing is made anew.  The store's pieces go to the
  client as it takes them.
- A store that is away is 503, whatever was asked.

This module knows neither configurations nor how jobs are run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from twistedgate.errors import Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers, field
from twistedgate.http.message import KeptResponse, Response
from twistedgate.jobs.document import (
    CONTENT_TYPE,
    document,
    entity_tag,
    is_known,
    next_page,
    page_document,
    retry_after,
    write,
)
from twistedgate.jobs.identity import owner_text, visible
from twistedgate.jobs.job import Head, Job, Page, State
from twistedgate.jobs.prefer import RESPOND_ASYNC
from twistedgate.jobs.store import RESULT, StoreAway
from twistedgate.problem import refuse
from twistedgate.runtime import JobsPort
from twistedgate.wire.serialise import NO_FRAMING

T = TypeVar("T")

_JSON: Final = (b"Content-Type", CONTENT_TYPE)
_ACCEPTED: Final = Headers.of(
    (b"Retry-After", b"1"),
    (b"Preference-Applied", RESPOND_ASYNC),
    (b"Vary", b"Prefer"),
    (b"Cache-Control", b"no-store"),
    _JSON,
).fields
_TIMES: Final = frozenset(("timeout", "expired-in-queue"))
"""Reasons of a failure that are a matter of time: 504; all others are 502."""


def owner_of(exchange: Exchange) -> str:
    """Return whose a job of this exchange is, and whose jobs it may ask for; empty for nobody known."""
    if exchange.identity:
        return exchange.identity
    # of a policy that says no more than who calls
    return owner_text("consumer", exchange.consumer)


class JobAnswers:
    """Answers about jobs."""

    def __init__(self, jobs: JobsPort, path: str, now: Callable[[], float]) -> None:
        """``path`` is where jobs are asked for; ``now`` gives monotonic seconds."""
        self.jobs = jobs
        self.path = path
        self._now = now

    async def asked(self, work: Awaitable[T]) -> T:
        """Return what the store says; raises 503 where it is away."""
        try:
            return await work
        except StoreAway as away:
            raise Refusal(503, "store-away", str(away)) from away

    async def find(self, job: str, exchange: Exchange) -> Job | None:
        """Return a job that whoever asks may know of."""
        found = await self.asked(self.jobs.store.find(job, self.jobs.wall()))
        return visible(found, owner_of(exchange))

    async def wait(self, job: Job, seconds: float) -> Job:
        """Wait until a job is finished, for so many seconds at most, and return how it stands."""
        if job.is_final or seconds <= 0.0:
            return job
        watch = self.jobs.watch(job.id)
        try:
            until = self._now() + seconds
            while True:
                found = await self.asked(self.jobs.store.find(job.id, self.jobs.wall()))
                job = found or job
                if found is None or job.is_final or not await watch.changed(until - self._now()):
                    return job
        finally:
            watch.stop()

    def location(self, job: Job) -> bytes:
        """Return where a job is asked for."""
        return f"{self.path}/{job.id}".encode("ascii")

    def unfinished(self, job: Job) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields that every answer about a job has while it is not finished."""
        seconds = retry_after(job, self.jobs.wall())
        if seconds is None:
            return ()
        return (b"Retry-After", b"%d" % seconds), (b"Location", self.location(job))

    def accepted(self, job: Job) -> Response:
        """Return the answer to a call that became a job and is answered later."""
        location = (b"location", b"Location", self.location(job))
        return Response(202, Headers((location, *_ACCEPTED)), self.written(job))

    def status(self, job: Job, known: Sequence[bytes]) -> Response:
        """Return how a job stands; 304 where that is ``known``, by the values of ``If-None-Match``."""
        text = self.written(job)
        tag = entity_tag(text)
        fields = ((b"ETag", tag), (b"Cache-Control", b"private, no-cache"), *self.unfinished(job))
        if is_known(known, tag):
            return Response(304, Headers.of(*fields))
        return Response(200, Headers.of(_JSON, *fields), text)

    def written(self, job: Job) -> bytes:
        """Return the status document as it is sent."""
        return write(document(job, self.path))

    def page(self, page: Page, asked: Sequence[tuple[str, str]]) -> Response:
        """Return a list of jobs, and where it goes on; ``asked`` are the parameters of the query."""
        headers = Headers.of(_JSON, (b"Cache-Control", b"private, no-cache"))
        if page.cursor:
            headers.add(b"Link", next_page(self.path, page.cursor, asked))
        return Response(200, headers, write(page_document(page, self.path)))

    async def result(self, job: Job) -> Response:
        """Return the result of a job, or why there is none."""
        if not job.is_final:
            return refuse(409, "job-unfinished", fields=self.unfinished(job))
        if job.state is State.CANCELLED:
            return refuse(410, "job-cancelled")
        if job.state is State.FAILED and not job.is_gone:
            fields = ((b"Job-Id", job.id.encode("ascii")),)
            return refuse(504 if job.reason in _TIMES else 502, job.reason, fields=fields)
        answer = None if job.is_gone or job.is_forgotten else await self.kept(job)
        return refuse(410, "job-gone") if answer is None else answer

    async def kept(self, job: Job, *, is_held: bool = False) -> Response | None:
        """Return the upstream's answer to a job that succeeded; ``None`` if it is not kept any more.

        ``is_held`` says that it goes to whoever made the call: in answer to HEAD with the length that the
        upstream said (RFC 9110 section 8.6), which for whoever asks for the result is that of no body.
        """
        head = job.head
        if head is None:
            return None
        first = b""
        if head.length:
            piece = await self.asked(self.jobs.store.get_piece(job.id, RESULT, 0))
            if piece is None:
                return None
            first = piece
        response = KeptResponse(head.status, _headers(head, job, keeps_length=is_held or head.status == 304))
        response.phrase = head.phrase
        response.length = NO_FRAMING if is_held and job.call.method == "HEAD" else head.length
        is_whole = len(first) >= head.length
        response.body = first if is_whole else self.jobs.body(self._pieces(job.id, first, head.length))
        return response

    async def _pieces(self, job: str, first: bytes, length: int) -> AsyncGenerator[bytes, None]:
        yield first
        number, left = 1, length - len(first)
        while left > 0:
            piece = await self.jobs.store.get_piece(job, RESULT, number)
            if not piece:
                raise UpstreamFailure(502, "truncated", "its result was forgotten meanwhile")
            yield piece
            number, left = number + 1, left - len(piece)


def _headers(head: Head, job: Job, *, keeps_length: bool) -> Headers:
    dropped = (b"job-id",) if keeps_length else (b"job-id", b"content-length")
    fields = [field(name, value) for name, value in head.headers if name.lower() not in dropped]
    return Headers((*fields, field(b"Job-Id", job.id.encode("ascii"))))
