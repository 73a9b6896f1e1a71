"""How a job is written down in Redis, and read again.

What never changes is one JSON document, which no script looks into; what scripts decide by stands beside it.
Credentials are a field of their own, with their places among the others, so that a script can erase them.
Times are milliseconds there and seconds here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import orjson

from twistedgate.jobs.job import (
    SECRETS,
    Call,
    Claim,
    Delivery,
    End,
    Head,
    Job,
    Limits,
    NewJob,
    State,
    Terms,
)
from twistedgate.jobs.store import UNREADABLE

_CALL = ("method", "path", "query", "authority", "scheme", "client", "listener", "request_id", "consumer")
_of_call = attrgetter(*_CALL, "groups", "length")
_of_terms = attrgetter(*Terms.__slots__)

Argument = bytes | str | int
Headers = Sequence[tuple[bytes, bytes]]


def octets(text: str) -> bytes:
    """Return a text as it is kept; also one that no well-formed UTF-8 can hold."""
    return text.encode("utf-8", "surrogatepass")


def milliseconds(seconds: float) -> int:
    """Return a duration as scripts count it."""
    return round(seconds * 1000)


def key_name(new: NewJob) -> str:
    """Return what an idempotency key is found by, empty for none."""
    if not new.key:
        return ""
    return hashlib.sha256(_written([new.route, new.caller, new.key])).hexdigest()


def new_record(new: NewJob) -> tuple[bytes, bytes]:
    """Return what never changes of a job, and its credentials."""
    headers = new.call.headers
    secret = [
        (place, name.decode("latin-1"), value.decode("latin-1"))
        for place, (name, value) in enumerate(headers)
        if name.lower() in SECRETS
    ]
    if secret:
        headers = new.call.without_secrets().headers
    call = [*_of_call(new.call), _texts(headers)]
    names = [new.route, new.owner, new.caller, new.key, new.fingerprint, new.callback]
    return _written([names, call, _of_terms(new.terms)]), _written(secret) if secret else b""


def head_record(head: Head) -> bytes:
    """Return the head of an answer as it is kept."""
    return orjson.dumps([head.status, _texts(head.headers), head.length, head.phrase.decode("latin-1")])


def submit_record(new: NewJob, limits: Limits) -> tuple[Argument, ...]:
    """Return what the script that keeps a job is told."""
    written, secret = new_record(new)
    terms = new.terms
    return (
        *(new.id, octets(new.route), octets(new.owner), octets(new.caller)),
        *(key_name(new), octets(new.fingerprint), written, secret),
        *(new.body or b"", int(new.body is None)),
        *(milliseconds(terms.ttl), milliseconds(terms.queue_timeout)),
        *(int(terms.delivery is Delivery.AT_LEAST_ONCE), terms.priority, octets(new.callback)),
        *(limits.max_queued, limits.max_queued_per_caller, limits.concurrency),
    )


def end_record(end: End) -> tuple[Argument, ...]:
    """Return what the script that ends a run is told."""
    status = "" if end.head is None else end.head.status
    head = b"" if end.head is None else head_record(end.head)
    return end.state, end.reason, status, head, end.body or b"", int(end.body is None)


def submitted_job(new: NewJob, submitted: float, runner: str) -> Job:
    """Return a job as it stands after its submission; ``runner`` runs it at once, or nobody does."""
    return Job(
        id=new.id,
        route=new.route,
        owner=new.owner,
        caller=new.caller,
        call=new.call,
        terms=new.terms,
        state=State.RUNNING if runner else State.QUEUED,
        submitted=submitted,
        started=submitted if runner else None,
        attempts=1 if runner else 0,
        runner=runner,
        key=new.key,
        fingerprint=new.fingerprint,
        callback=new.callback,
        version=1,
    )


def read_job(view: Sequence[Any]) -> Job | None:
    """Return the job that a script showed, ``None`` if it is not to be known any more."""
    job = remembered_job(view)
    is_over = job.finished is not None and _age(view) >= 2 * job.terms.ttl
    return None if is_over else job


def listed_job(view: Sequence[Any]) -> Job | None:
    """Return a job of a list, ``None`` of one that is not to be known, or that cannot be read."""
    try:
        return read_job(view)
    except UNREADABLE:
        return None


def remembered_job(view: Sequence[Any]) -> Job:
    """Return the job that a script showed (``VIEW`` of the prelude), however long ago it ended."""
    new, secret, state, submitted, started, finished, attempts, due, status, *rest = view
    reason, head, is_forgotten, runner, version, name, _ = rest
    (route, owner, caller, key, fingerprint, callback), call, terms = _read(new)
    its_terms = Terms(Delivery(terms[0]), *terms[1:])
    return Job(
        id=name.decode(),
        route=route,
        owner=owner,
        caller=caller,
        call=_read_call(call, secret),
        terms=its_terms,
        state=State(state.decode()),
        submitted=int(submitted) / 1000,
        started=_seconds(started),
        finished=_seconds(finished),
        attempts=int(attempts or 0),
        due=_seconds(due) or 0.0,
        status=int(status) if status else None,
        reason=(reason or b"").decode(),
        head=_read_head(head) if head else None,
        is_forgotten=is_forgotten is not None,
        runner=(runner or b"").decode(),
        key=key,
        fingerprint=fingerprint,
        callback=callback,
        version=int(version),
        is_gone=finished is not None and _age(view) >= its_terms.ttl,
    )


def _age(view: Sequence[Any]) -> float:
    """Return the seconds since a job finished."""
    return (int(view[-1]) - int(view[5])) / 1000


def read_claim(taken: Sequence[Any]) -> Claim:
    """Return the claim that a script gave out: its fence, a small body, the job."""
    fence, body, view = taken
    job = remembered_job(view)
    return Claim(job, _small(job.call, body), int(fence))


def _small(call: Call, body: bytes | None) -> bytes | None:
    return b"" if body is None and not call.length else body


def _texts(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _octets(headers: Sequence[Sequence[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _read_call(call: list[Any], secret: bytes | None) -> Call:
    method, path, query, authority, scheme, client, listener, request_id, consumer, *rest = call
    groups, length, headers = rest
    fields = _octets(headers)
    if secret:
        for place, name, value in _read(secret):
            fields.insert(place, (name.encode("latin-1"), value.encode("latin-1")))
    return Call(
        *(method, path, query, authority, scheme, tuple(fields)),
        *(client, listener, request_id, consumer, tuple(groups), length),
    )


def _read_head(head: bytes) -> Head:
    status, headers, length, phrase = orjson.loads(head)
    return Head(status, tuple(_octets(headers)), length, phrase.encode("latin-1"))


def _seconds(time: bytes | None) -> float | None:
    return int(time) / 1000 if time else None


def _written(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:
        # a lone surrogate, which a token's claim may hold, or a number beyond 64 bits
        return json.dumps(document).encode()


def _read(document: bytes) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        return json.loads(document)
