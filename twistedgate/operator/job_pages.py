"""What a person reads of jobs: a table of many, everything about one.

Path, fields and whatever else strangers wrote is shown without characters that move a cursor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twistedgate.operator.pages import ago, printable, span, table

Document = Mapping[str, Any]
"""A job, as the gateway tells it."""

HEAD = ("ID", "STATE", "ROUTE", "CALL", "AGE", "ATTEMPTS", "OUTCOME")

LONGEST_CALL = 50
"""Characters of method and path in a table; ``show`` has all of them."""


def jobs_page(jobs: Sequence[Document], now: dt.datetime) -> str:
    """Return a table of jobs."""
    return "\n".join(table(HEAD, [_row(job, now) for job in jobs])) if jobs else "there are no such jobs"


def _row(job: Document, now: dt.datetime) -> list[object]:
    call = printable(f"{job['method']} {job['path']}")
    if len(call) > LONGEST_CALL:
        call = f"{call[: LONGEST_CALL - 3]}..."
    age = ago(job["submitted"], now)
    return [job["id"], job["state"], job["route"], call, age, job["attempts"], _outcome(job)]


def _outcome(job: Document) -> str:
    """Return the status of the answer, or why there is none."""
    known = job["reason"] or job["status"] or "-"
    return f"{known}, forgotten" if job["forgotten"] else str(known)


def job_page(job: Document, now: dt.datetime) -> str:
    """Return everything about one job."""
    lines = [*_standing(job, now), *_terms(job), *_request(job), *_result(job)]
    return "\n".join(f"{name:<11}{printable(text)}".rstrip() for name, text in lines)


def _standing(job: Document, now: dt.datetime) -> Iterator[tuple[str, str]]:
    yield "job", job["id"]
    yield "state", ", ".join(filter(None, [job["state"], job["reason"], "forgotten" * job["forgotten"]]))
    yield "route", job["route"]
    yield "owner", job["owner"] or f"nobody that is known: {job['caller']}"
    for name in ("submitted", "started", "finished"):
        if job[name]:
            yield name, f"{job[name]}, {ago(job[name], now)} ago"
    if job["expires"]:
        yield "expires", f"{job['expires']}, {_ahead(job['expires'], now)}"
    yield "attempts", str(job["attempts"])
    if job["runner"]:
        yield "runner", job["runner"]
    if job["due"]:
        yield "due", f"{job['due']}, {_ahead(job['due'], now)}"
        yield "", f"waits until {job['queue_ends']} at most, {_ahead(job['queue_ends'], now)}"


def _ahead(moment: str, now: dt.datetime) -> str:
    left = (dt.datetime.fromisoformat(moment) - now).total_seconds()
    return f"in {span(left)}" if left > 0 else "which is over"


def _terms(job: Document) -> Iterator[tuple[str, str]]:
    terms = job["terms"]
    said = [terms["delivery"], f"{terms['retries']} retries", f"kept for {span(terms['ttl'])}"]
    said.append(f"waits for {span(terms['queue_timeout'])} at most")
    if terms["priority"]:
        said.append(f"priority {terms['priority']}")
    yield "terms", ", ".join(said)
    if job["idempotency_key"]:
        yield "key", job["idempotency_key"]
    if job["callback"]:
        yield "callback", f"to {job['callback']}"


def _request(job: Document) -> Iterator[tuple[str, str]]:
    request = job["request"]
    url = f"{request['scheme']}://{request['authority']}{request['path']}{request['query']}"
    kept = "kept" if request["kept"] else "not kept any more"
    yield "request", f"{request['method']} {url}"
    who = f", consumer {request['consumer']}" if request["consumer"] else ""
    yield "", f"of {request['client']} at listener {request['listener']}{who}, id {request['request_id']}"
    yield "", f"{request['length']} bytes, {kept}"
    yield from _fields(request["headers"])


def _result(job: Document) -> Iterator[tuple[str, str]]:
    result = job["result"]
    if result is not None:
        yield "result", f"{result['status']} {result['phrase']}, {result['length']} bytes"
        yield from _fields(result["headers"])


def _fields(fields: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        yield "", f"  {name}: {value}"
