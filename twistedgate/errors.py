"""What can go wrong on the line, by who is at fault and what the client is told.

Every refusal and failure carries a ``status`` and a ``reason``: one machine word, the same in
the access log, in metrics and in the problem document (RFC 9457).  The text of an exception never
reaches a client; the sentences in ``TITLES`` do.  This module knows nothing of HTTP messages.
"""

from __future__ import annotations

TITLES = {
    # the client's
    "bad-request": "The request is not valid HTTP/1.1.",
    "bad-path": "The path of the request cannot be understood unambiguously.",
    "bad-host": "The Host of the request is missing or not valid.",
    "bad-framing": "The length of the request's body is ambiguous.",
    "bad-body": "The body of the request is not framed as its head announced.",
    "bad-upgrade": "The request for an upgrade is not valid.",
    "no-credentials": "The request carries no credentials that this route accepts.",
    "bad-credentials": "The credentials of the request are not valid.",
    "no-route": "No route matches this request.",
    "method-not-allowed": "The resource does not allow this method.",
    "request-timeout": "The request was not complete in time.",
    "body-too-large": "The body of the request is larger than this route accepts.",
    "uri-too-long": "The target of the request is too long.",
    "expectation-failed": "The expectation of the request cannot be met.",
    "head-too-large": "The head of the request is too large.",
    "unknown-method": "The gateway does not know this method.",
    "unknown-coding": "The gateway does not know this transfer coding.",
    "bad-version": "The gateway speaks HTTP/1.1 and HTTP/1.0.",
    "loop": "The request has passed through this gateway before.",
    "no-upgrade": "A call that becomes a job cannot be upgraded.",
    "bad-callback": "The Callback-URL is not one that this route accepts.",
    "bad-key": "The Idempotency-Key is not one string of 1 to 255 characters.",
    "key-mismatch": "The Idempotency-Key was used for another call.",
    "caller-full": "Too many jobs of this caller wait already.",
    "bad-query": "The query is not valid; a list knows state, limit (1 to 100), cursor.",
    "unknown-job": "There is no such job.",
    "job-unfinished": "The job is not finished yet.",
    "job-cancelled": "The job was cancelled.",
    "job-gone": "The job or its result is not kept any more.",
    "client-gone": "The client left before the answer was complete.",
    # the upstream's
    "connect-failed": "The upstream could not be connected to.",
    "reset": "The upstream closed the connection before it answered.",
    "bad-response": "The upstream's answer is not valid HTTP/1.1.",
    "truncated": "The upstream's answer ended before its announced length.",
    "connect-timeout": "The upstream did not accept the connection in time.",
    "response-timeout": "The upstream did not answer in time.",
    "read-timeout": "The upstream stopped in the middle of its answer.",
    "no-target": "No target of the upstream is available.",
    # a job's
    "result-too-large": "The upstream's answer is larger than a result may be.",
    "interrupted": "The gateway ended while the call was under way.",
    "expired-in-queue": "The job waited too long to be run.",
    "route-gone": "The route of the job is not there any more.",
    # the operator's
    "cross-site": "A web page may have sent this request.",
    "unknown-name": "There is no upstream or target of that name.",
    "command-refused": "The command was not carried out.",
    "wrong-state": "The job is in another state than this wants.",
    # the gateway's
    "too-many": "Too many requests are under way.",
    "queue-full": "Too many jobs wait already.",
    "store-full": "There is no room for another job.",
    "store-away": "The store of jobs cannot be reached.",
    "draining": "The gateway is shutting down.",
    "timeout": "The exchange took longer than the route allows.",
    "internal": "The gateway failed.",
}
"""A sentence for each reason: the ``title`` of its problem document."""


class Refusal(Exception):
    """The request is refused with ``status``; the fault is the client's, or the gateway's own bound.

    ``closes`` says that nothing more of the connection may be read as HTTP (RFC 9112 section 11):
    true of every refusal for form.  ``fields`` are header fields that the answer must carry.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str = "",
        *,
        closes: bool = False,
        fields: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(status, reason, detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.closes = closes
        self.fields = fields


class BadMessage(Refusal):
    """A message that is not valid HTTP; the connection it came on is not to be trusted further."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str = "",
        *,
        fields: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(status, reason, detail, closes=True, fields=fields)


class UpstreamFailure(Exception):
    """The upstream gave no usable answer.

    ``reason`` is a key of ``TITLES``; ``status`` is what the client gets if nothing else helps (502,
    503 or 504); ``wrote`` says that bytes of the request may have reached the target (RFC 9110
    section 9.2.2: then only an idempotent request may be sent again); ``detail`` is for the log.
    """

    def __init__(self, status: int, reason: str, detail: str = "", *, wrote: bool = False) -> None:
        super().__init__(status, reason, detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.wrote = wrote


class ClientGone(BaseException):
    """The client left.  Not an ``Exception``: no broad catch may mistake it for a fault."""
