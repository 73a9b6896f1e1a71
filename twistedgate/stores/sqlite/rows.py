"""Jobs as rows, and rows as jobs.

Field values are bytes of any kind; they are written as JSON by way of Latin-1, which maps each byte to a
character.  This module asks nothing of a database.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from twistedgate.jobs.job import SECRETS, Call, Delivery, Head, Job, NewJob, State, Terms
from twistedgate.jobs.store import UNREADABLE
from twistedgate.stores.sqlite.schema import QUEUED, RUNNING

STATES: Final = (State.QUEUED, State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED)
"""By the number that is written."""

NUMBERS: Final = {state: number for number, state in enumerate(STATES)}

JOB: Final = (
    "jobs.id, route, owner, caller, state, submitted, started, finished, attempts, due, status, reason, "
    "is_forgotten, runner, key, fingerprint, callback, version, is_gone, "
    "is_retried, ttl, queue_timeout, retries, priority, hold, "
    "(SELECT call FROM requests WHERE requests.seq = jobs.seq), "
    "(SELECT head FROM results WHERE results.seq = jobs.seq)"
)
"""What is selected of ``jobs`` for ``read_job``."""

WIDTH: Final = 27
"""How many columns that is."""

NEW_JOBS: Final = (
    "INSERT INTO jobs (seq, id, route, owner, caller, state, submitted, started, attempts, due, runner, key, "
    "fingerprint, callback, is_retried, ttl, queue_timeout, retries, priority, hold, deadline, has_secrets, "
    "is_inline) VALUES {rows}"
)
"""Takes rows as ``new_row`` returns them."""


def write_call(call: Call) -> bytes:
    """Return a call as it is kept."""
    target = (call.method, call.path, call.query, call.authority, call.scheme)
    who = (call.client, call.listener, call.request_id, call.consumer, call.groups)
    return orjson.dumps((target, _write_fields(call.headers), who, call.length))


def read_call(kept: bytes) -> Call:
    """Return the call that was kept."""
    target, fields, (client, listener, request_id, consumer, groups), length = orjson.loads(kept)
    method, path, query, authority, scheme = target
    return Call(
        method=method,
        path=path,
        query=query,
        authority=authority,
        scheme=scheme,
        headers=_read_fields(fields),
        client=client,
        listener=listener,
        request_id=request_id,
        consumer=consumer,
        groups=tuple(groups),
        length=length,
    )


def write_head(head: Head) -> bytes:
    """Return the head of an answer as it is kept."""
    return orjson.dumps(
        (head.status, _write_fields(head.headers), head.length, head.phrase.decode("latin-1"))
    )


def read_head(kept: bytes) -> Head:
    """Return the head that was kept."""
    status, fields, length, phrase = orjson.loads(kept)
    return Head(status, _read_fields(fields), length, phrase.encode("latin-1"))


def has_secrets(call: Call) -> bool:
    """Whether there is something to be erased when the job ends."""
    return any(name.lower() in SECRETS for name, _ in call.headers)


def new_row(seq: int, new: NewJob, runner: str, now: float) -> tuple[Any, ...]:
    """Return the row of a job that is run by ``runner`` at once, or is queued if that is empty."""
    terms = new.terms
    state, started, attempts = (RUNNING, now, 1) if runner else (QUEUED, None, 0)
    return (
        *(seq, new.id, new.route, new.owner, new.caller, state, now, started, attempts, now, runner),
        *(new.key, new.fingerprint, new.callback, terms.delivery is Delivery.AT_LEAST_ONCE),
        *(terms.ttl, terms.queue_timeout, terms.retries, terms.priority, terms.hold),
        *(None if runner else now + terms.queue_timeout, has_secrets(new.call), new.body is not None),
    )


def new_job(new: NewJob, runner: str, now: float) -> Job:
    """Return the job whose row ``new_row`` is."""
    return Job(
        id=new.id,
        route=new.route,
        owner=new.owner,
        caller=new.caller,
        call=new.call,
        terms=new.terms,
        state=State.RUNNING if runner else State.QUEUED,
        submitted=now,
        started=now if runner else None,
        attempts=1 if runner else 0,
        due=now,
        runner=runner,
        key=new.key,
        fingerprint=new.fingerprint,
        callback=new.callback,
        version=1,
    )


def read_job(row: tuple[Any, ...], now: float) -> Job:
    """Return the job of a row of ``JOB``; at ``now`` it is gone or not, whether anybody swept or not."""
    (name, route, owner, caller, state, submitted, started, finished, attempts, due, *rest) = row
    (status, reason, is_forgotten, runner, key, fingerprint, callback, version, is_gone, *rest) = rest
    (is_retried, ttl, queue_timeout, retries, priority, hold, call, head) = rest
    delivery = Delivery.AT_LEAST_ONCE if is_retried else Delivery.AT_MOST_ONCE
    gone = bool(is_gone) or (finished is not None and now >= finished + ttl)
    return Job(
        id=name,
        route=route,
        owner=owner,
        caller=caller,
        call=read_call(call),
        terms=Terms(delivery, ttl, queue_timeout, retries, priority, hold),
        state=STATES[state],
        submitted=submitted,
        started=started,
        finished=finished,
        attempts=attempts,
        due=due,
        status=status,
        reason=reason,
        head=None if head is None or gone else read_head(head),
        is_forgotten=bool(is_forgotten),
        runner=runner,
        key=key,
        fingerprint=fingerprint,
        callback=callback,
        version=version,
        is_gone=gone,
    )


def known_job(row: tuple[Any, ...] | None, now: float) -> Job | None:
    """Return the job of a row, ``None`` where there is none, or one that cannot be read.

    Rows are read together for many who ask: one that is damaged must not be everybody's.
    """
    try:
        return None if row is None else read_job(row, now)
    except UNREADABLE:
        return None


def is_remembered(job: Job, now: float) -> bool:
    """Whether a job is spoken of at all: until its ttl has passed once more."""
    return job.finished is None or now < job.finished + 2 * job.terms.ttl


def _write_fields(fields: tuple[tuple[bytes, bytes], ...]) -> list[str]:
    return [text.decode("latin-1") for field in fields for text in field]


def _read_fields(kept: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    written = [text.encode("latin-1") for text in kept]
    return tuple(zip(written[::2], written[1::2], strict=True))
