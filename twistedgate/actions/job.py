"""``async = optional`` and ``always``: a call becomes a job, and is answered now or later.

Rules
- What a route's policies refuse never becomes a job.  The body is read whole before anything is recorded,
  and of a client that leaves before its end nothing is kept.
- A job is recorded before it is run.  From then on it is no connection's: a client that leaves changes
  nothing, and no timeout of the route does.
- Who is answered in full while held gets the upstream's own answer; else 202, and where to ask.
- A connection that wants to be upgraded cannot become a job: with ``optional`` it goes straight to the
  upstream, as if it had not asked (a preference may be ignored, RFC 7240 section 2); with ``always`` it is
  refused.
- ``Expect: 100-continue`` is answered by the gateway, which wants the body whatever the upstream will say.

A call that does not ask costs one look at its fields.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from twistedgate.action import Action
from twistedgate.config.model import RouteConfig
from twistedgate.errors import Refusal
from twistedgate.exchange import Exchange
from twistedgate.http.message import Request, Response
from twistedgate.job_answers import JobAnswers, owner_of
from twistedgate.jobs.callback_url import CallbackHosts, CallbackRefused
from twistedgate.jobs.identity import caller_text
from twistedgate.jobs.job import (
    SECRETS,
    Call,
    Delivery,
    Job,
    Limits,
    NewJob,
    State,
    Submission,
    Terms,
    Verdict,
    new_id,
)
from twistedgate.jobs.keys import BadKey, Fingerprint, parse_key
from twistedgate.jobs.prefer import NOTHING, Preference, applied, parse_prefer
from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.pipeline import JobPipeline

_REFUSED: Final = {
    Verdict.MISMATCH: (422, "key-mismatch"),
    Verdict.QUEUE_FULL: (503, "queue-full"),
    Verdict.CALLER_FULL: (429, "caller-full"),
}
_AFTER: Final = ((b"Retry-After", b"1"),)

_OURS: Final = frozenset((b"prefer", b"callback-url", b"job-id"))
"""Fields that are for the gateway, or said by it: they do not go on as the client wrote them."""


class JobAction:
    """Makes jobs of the calls of a route; ``inner`` is what answers them."""

    def __init__(self, route: RouteConfig, answers: JobAnswers, inner: Action) -> None:
        self.inner = inner
        self._route = route
        self._answers = answers
        self._jobs = answers.jobs
        self._is_always = route.async_ == "always"
        self._hosts = CallbackHosts.of(route.async_callback_hosts)
        self._limits = Limits(
            route.async_max_queued, route.async_max_queued_per_caller, route.async_concurrency
        )
        self._dropped = _OURS | (SECRETS - {name.lower() for name in route.async_keep_headers})
        self._terms = Terms(
            delivery=Delivery(route.async_delivery),
            ttl=route.async_ttl,
            queue_timeout=route.async_queue_timeout,
            retries=route.async_retries,
        )

    def answer(self, exchange: Exchange) -> Coroutine[Any, Any, Response]:
        """Return the answer of ``inner`` where no job is asked for; else that of the job, or 202."""
        request = exchange.request
        values = request.headers.get_all(b"prefer")
        preference = parse_prefer(values) if values else NOTHING
        is_straight = request.upgrade is not None
        if is_straight and self._is_always:
            raise Refusal(400, "no-upgrade")
        if is_straight or not (preference.is_async or self._is_always):
            if request.headers.has(b"job-id"):
                # only the gateway says to an upstream of jobs which job a call is of
                request.headers.remove(b"job-id")
            return self.inner.answer(exchange)
        return self._answer_by_job(exchange, preference)

    def finish(self, exchange: Exchange) -> None:
        """Give back what ``inner`` took."""
        self.inner.finish(exchange)

    async def _answer_by_job(self, exchange: Exchange, preference: Preference) -> Response:
        pipeline = exchange.pipeline
        if isinstance(pipeline, JobPipeline):
            exchange.pipeline = pipeline.of_jobs
        hold = self._route.async_wait
        if preference.wait is not None:
            hold = min(preference.wait, self._route.async_max_wait)
            preference = replace(preference, wait=hold)
        try:
            new = await self._new_job(exchange, preference, hold)
            submission = await self._jobs.apart(self._hand_in(new))
        except StoreAway as away:
            raise Refusal(503, "store-away", str(away)) from away
        except StoreFull as full:
            raise Refusal(503, "store-full") from full
        job = submission.job
        if submission.verdict in _REFUSED or job is None:
            status, reason = _REFUSED[submission.verdict]
            raise Refusal(status, reason, fields=_AFTER if status == 429 else ())
        exchange.job = job.id
        is_replayed = submission.verdict is Verdict.REPLAYED
        response = await self._held(job, hold, is_replayed=is_replayed)
        if isinstance(response, Job):
            response = self._answers.accepted(response)
        else:
            response.headers.add(b"Preference-Applied", applied(preference, waited=True))
        if is_replayed:
            response.headers.add(b"Idempotent-Replayed", b"true")
        return response

    async def _held(self, job: Job, hold: float, *, is_replayed: bool) -> Response | Job:
        """Return the upstream's answer if it comes while the client is held, else how the job stands."""
        if is_replayed and job.is_final and not job.was_held:
            # whoever asked first was told where to ask
            return job
        try:
            job = await self._answers.wait(job, hold)
            if job.state is State.SUCCEEDED and not job.is_forgotten:
                return await self._answers.kept(job, is_held=True) or job
        except Refusal:
            # the store is away, and the job is kept there all the same
            return job
        return job

    # submission

    async def _hand_in(self, new: NewJob) -> Submission:
        """Record a job, and begin it where there is room; of what is not recorded nothing is left."""
        try:
            submission = await self._jobs.store.submit(new, self._limits, self._jobs.wall())
        except StoreFull:
            await self._drop(new)
            raise
        if submission.verdict is not Verdict.ACCEPTED:
            await self._drop(new)
            return submission
        self._jobs.observer.submitted(new.route)
        if submission.claim is not None:
            self._jobs.run(submission.claim)
        return submission

    async def _drop(self, new: NewJob) -> None:
        if new.body is None:
            await self._jobs.drop(new.id)

    async def _new_job(self, exchange: Exchange, preference: Preference, hold: float) -> NewJob:
        """Return what is to be recorded, once the body is here; raises 400 for what cannot be a job."""
        request, target = exchange.request, exchange.request.target
        callback, key = self._callback(request), _key(request)
        # only by its key a call is compared with another
        fingerprint = Fingerprint(request.method, target.path, target.query) if key else None
        seen = _unseen if fingerprint is None else fingerprint.add
        if request.expects_continue and exchange.interim is not None:
            exchange.interim(Response(100))
        job = new_id()
        body, length = await self._jobs.keep(job, request.body, seen)
        owner = owner_of(exchange)
        return NewJob(
            id=job,
            route=self._route.name,
            owner=owner,
            caller=caller_text(owner, self._route.name, exchange.client),
            call=self._call(exchange, preference.rest, length),
            terms=replace(self._terms, hold=hold) if hold else self._terms,
            body=body,
            key=key,
            fingerprint="" if fingerprint is None else fingerprint.text(),
            callback=callback,
        )

    def _call(self, exchange: Exchange, prefer: bytes | None, length: int) -> Call:
        request, target = exchange.request, exchange.request.target
        fields = [(name, value) for key, name, value in request.headers if key not in self._dropped]
        if prefer is not None:
            fields.append((b"Prefer", prefer))
        return Call(
            method=request.method,
            path=target.path,
            query=target.query,
            authority=target.authority,
            scheme=exchange.scheme,
            headers=tuple(fields),
            client=exchange.client,
            listener=exchange.peer.listener,
            request_id=exchange.request_id,
            consumer=exchange.consumer,
            groups=exchange.groups,
            length=length,
        )

    def _callback(self, request: Request) -> str:
        """Return who is to be told of the end; raises 400 for whom this route tells nothing."""
        values = request.headers.get_all(b"callback-url")
        if not values:
            return ""
        try:
            if len(values) > 1:
                raise CallbackRefused("there are several")
            return str(self._hosts.judge(values[0].decode("latin-1")))
        except CallbackRefused as refused:
            raise Refusal(400, "bad-callback", str(refused)) from refused


def _unseen(piece: bytes) -> None:
    """Look at nothing of a body."""


def _key(request: Request) -> str:
    try:
        return parse_key(request.headers.get_all(b"idempotency-key"))
    except BadKey as bad:
        raise Refusal(400, "bad-key", str(bad)) from bad
