"""A job as an operator sees it: the document that clients read, and what they are not told.

Rules
- No credentials, whoever kept them: the value of a field whose name says that it is one is not shown, neither
  of the request nor of the answer, and no secret parameter of a query.
- Of the URL that wants to be called back only the host is shown: those who name it put secrets in its path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from twistedgate.jobs.document import document, moment
from twistedgate.jobs.job import Head, Job, State
from twistedgate.observers.redaction import REDACTED, Redaction

PATH: Final = "/jobs"
"""Where operators ask for jobs."""

_SECRET: Final = re.compile("auth|cookie|token|secret|passw|session|credential|signature|key|jwt|csrf|cert")
"""What the name of a field has in it whose value is nobody's business; better one too many than too few."""

_PLAIN: Final = frozenset(("idempotency-key",))
_WITH_URLS: Final = frozenset(("referer", "location", "content-location", "link", "refresh"))


class Discretion:
    """Knows what is not to be shown; ``credentials`` are names of fields and parameters that carry some."""

    def __init__(self, redact_query: Sequence[str], credentials: Sequence[str]) -> None:
        self.query = Redaction((*redact_query, *credentials))
        """Takes secrets out of a query, or of a text with a URL."""
        self._fields = {name.lower() for name in credentials}

    def fields(self, fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        """Return the fields of a head as they may be shown."""
        return [self._shown(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]

    def _shown(self, name: str, value: str) -> tuple[str, str]:
        known = name.lower()
        if known in self._fields or (known not in _PLAIN and _SECRET.search(known)):
            return name, REDACTED
        return name, self.query(value) if known in _WITH_URLS else value


def summary(job: Job) -> dict[str, Any]:
    """Return a job as it stands in a list."""
    own = f"{PATH}/{job.id}"
    return {
        **document(job, PATH),
        "owner": job.owner or None,
        "forgotten": job.is_forgotten,
        "links": {"self": own, "result": f"{own}/result"},
    }


def is_kept(job: Job) -> bool:
    """Whether the request of a job is kept, as it is until it is answered, or nobody wants it any more."""
    return not (job.is_forgotten or job.is_gone or job.state is State.SUCCEEDED)


def everything(job: Job, discretion: Discretion) -> dict[str, Any]:
    """Return all that is known of a job."""
    return {
        **summary(job),
        "caller": job.caller,
        "runner": job.runner or None,
        "due": moment(job.due) if job.state is State.QUEUED else None,
        "queue_ends": moment(job.queue_ends) if job.state is State.QUEUED else None,
        "idempotency_key": job.key or None,
        "callback": _host(job.callback),
        "terms": {
            "delivery": str(job.terms.delivery),
            "ttl": job.terms.ttl,
            "queue_timeout": job.terms.queue_timeout,
            "retries": job.terms.retries,
            "priority": job.terms.priority,
            "hold": job.terms.hold,
        },
        "request": _request(job, discretion),
        "result": None if job.head is None else _result(job.head, discretion),
    }


def _request(job: Job, discretion: Discretion) -> dict[str, Any]:
    call = job.call
    return {
        "kept": is_kept(job),
        "method": call.method,
        "scheme": call.scheme,
        "authority": call.authority,
        "path": call.path,
        "query": discretion.query(call.query),
        "headers": discretion.fields(call.headers),
        "length": call.length,
        "client": call.client,
        "listener": call.listener,
        "request_id": call.request_id,
        "consumer": call.consumer or None,
        "groups": list(call.groups),
    }


def _result(head: Head, discretion: Discretion) -> dict[str, Any]:
    return {
        "status": head.status,
        "phrase": head.phrase.decode("latin-1"),
        "headers": discretion.fields(head.headers),
        "length": head.length,
    }


def _host(url: str) -> str | None:
    """Return where a URL leads to, without what else it says."""
    if not url:
        return None
    parts = urlsplit(url)
    # a user's name and password stand before the last @
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
