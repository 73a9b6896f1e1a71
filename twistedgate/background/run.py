"""One run of a job as the line sees it: an exchange without a client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from twistedgate.action import Action
from twistedgate.background.capture import Capture, ResultTooLarge
from twistedgate.background.kept import KeptRequest
from twistedgate.background.patient import Pieces
from twistedgate.errors import Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers, field
from twistedgate.http.hops import Peer
from twistedgate.http.message import Request, Response
from twistedgate.http.target import RequestTarget
from twistedgate.jobs.job import Claim, Head
from twistedgate.jobs.schedule import Outcome
from twistedgate.jobs.store import StoreFull
from twistedgate.pipeline import Pipeline

Answer = tuple[Outcome, Head | None, bytes | None]
"""What came of a call; of an answer its head, and its body if that is small."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Runnable:
    """How the jobs of a route are performed."""

    pipeline: Pipeline
    action: Action
    """What produces the answer, without what makes jobs of calls."""
    timeout: float
    backoff: float
    max_result: int
    observe: Callable[[Exchange], None]
    """Is told of every run that ended: the access log, the counts."""


class RunExchange(Exchange):
    """A call that a runner makes for a client who is not there."""

    __slots__ = ("response_timeout", "run")

    is_run = True

    def __init__(self, claim: Claim, request: Request, clock: Any) -> None:
        call = claim.job.call
        peer = Peer(call.client, 0, call.scheme, False, call.listener)
        super().__init__(request, peer, call.request_id, clock.seconds(), claim.job.started or 0.0)
        self.job = claim.job.id
        self.run = claim.job.attempts
        self.bytes_in = call.length
        self.response_timeout: float | None = None
        self.consumer, self.groups = call.consumer, call.groups
        self.client = call.client


def request_of(claim: Claim, store: Pieces) -> Request:
    """Return the request of a job, its body from the store if it is large."""
    call = claim.job.call
    host = call.authority.rpartition(":")[0] if ":" in call.authority.rpartition("]")[2] else call.authority
    target = RequestTarget(call.path, call.query, host.rstrip("."), call.authority, "%2F" in call.path)
    fields = [field(name, value) for name, value in call.headers]
    fields.append(field(b"Job-Id", claim.job.id.encode("ascii")))
    request = Request(call.method, target, Headers(fields))
    request.length = call.length
    request.body = (
        KeptRequest(store, claim.job.id) if claim.body is None and call.length else claim.body or b""
    )
    return request


async def answer_of(exchange: RunExchange, runnable: Runnable, store: Pieces) -> Answer:
    """Send a call, and return what the upstream answered, or why it did not."""
    try:
        response = await runnable.action.answer(exchange)
        if response.reason:
            response.abandon()
            return Outcome(reason=response.reason), None, None
        exchange.status = response.status
        if runnable.pipeline.dresses:
            response = await runnable.pipeline.dress(exchange, response)
            exchange.status, exchange.reason = response.status, response.reason
        body = await _capture(exchange, response, runnable.max_result, store)
    except (UpstreamFailure, Refusal) as failure:
        # of a body that broke off, the line has said why
        return Outcome(reason=exchange.reason or failure.reason), None, None
    except (ResultTooLarge, StoreFull):
        return Outcome(reason="result-too-large"), None, None
    except Exception:  # noqa: BLE001 -- a third party's action or policy may raise anything
        _log.failure("job {id} failed", id=exchange.job)
        return Outcome(reason="bad-response"), None, None
    fields = tuple((name, value) for _, name, value in response.headers)
    head = Head(response.status, fields, exchange.bytes_out, response.phrase)
    return Outcome(status=response.status), head, body


async def _capture(exchange: RunExchange, response: Response, most: int, store: Pieces) -> bytes | None:
    """Return the body if it is small; a larger one is in the store.  Its bytes are counted."""
    body = response.body
    if isinstance(body, bytes):
        exchange.bytes_out = len(body)
        if most and len(body) > most:
            raise ResultTooLarge
        return body
    capture = Capture(store, exchange.job, body, most)
    try:
        return await capture.take()
    finally:
        exchange.bytes_out = capture.length
