"""How a job stands, as clients read it: the status document, its entity tag, and when to ask again.

The document's members are those of the contract, in this order, whatever the job is; what is not known yet is
null.  Times are RFC 3339 in UTC with milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from twistedgate.jobs.job import Job, Page

CONTENT_TYPE: Final = b"application/json"

_PATIENCE: Final = ((5.0, 1), (15.0, 2), (30.0, 3), (60.0, 4))
"""Until which age of a job, in seconds, it is to be asked for how often."""

LONGEST_PATIENCE: Final = 5


def moment(seconds: float | None) -> str | None:
    """Return a time as RFC 3339 writes it."""
    if seconds is None:
        return None
    # rounded first: 0.9996 of a second is the next one
    whole = datetime.fromtimestamp(round(seconds * 1000) / 1000, UTC)
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def links(job: str, path: str) -> dict[str, str]:
    """Return where a job is asked for; ``path`` is that of all jobs, without a slash at its end."""
    own = f"{path}/{job}"
    return {"self": own, "result": f"{own}/result", "events": f"{own}/events"}


def document(job: Job, path: str) -> dict[str, Any]:
    """Return the status document of a job."""
    return {
        "id": job.id,
        "state": str(job.state),
        "route": job.route,
        "method": job.call.method,
        "path": job.call.path,
        "submitted": moment(job.submitted),
        "started": moment(job.started),
        "finished": moment(job.finished),
        "attempts": job.attempts,
        "expires": moment(job.expires),
        "status": job.status,
        "reason": job.reason or None,
        "links": links(job.id, path),
    }


def write(content: dict[str, Any]) -> bytes:
    """Return a document as it is sent."""
    return orjson.dumps(content) + b"\n"


def page_document(page: Page, path: str) -> dict[str, Any]:
    """Return the document of a list of jobs."""
    return {"jobs": [document(job, path) for job in page.jobs], "cursor": page.cursor or None}


def next_page(path: str, cursor: str, asked: Sequence[tuple[str, str]]) -> bytes:
    """Return the ``Link`` field (RFC 8288) to the next page; what was ``asked`` beside the cursor is kept."""
    pairs = [pair for pair in asked if pair[0] != "cursor"]
    return f'<{path}?{urlencode([*pairs, ("cursor", cursor)])}>; rel="next"'.encode("ascii")


def entity_tag(written: bytes) -> bytes:
    """Return the ``ETag`` of a document as it is sent (RFC 9110 section 8.8.3)."""
    return b'"%b"' % hashlib.sha256(written).hexdigest()[:24].encode("ascii")


def is_known(values: Sequence[bytes], tag: bytes) -> bool:
    """Whether the client has this very document, by its ``If-None-Match`` (RFC 9110 section 13.1.2)."""
    members = [member.strip(b" \t") for value in values for member in value.split(b",")]
    # compared weakly, which is enough where only a GET asks
    return any(member == b"*" or member.removeprefix(b"W/") == tag for member in members)


def retry_after(job: Job, now: float) -> int | None:
    """Return after how many seconds to ask again: the longer it takes the less often, ``None`` at its end."""
    if job.is_final:
        return None
    age = now - job.submitted
    return next((seconds for until, seconds in _PATIENCE if age < until), LONGEST_PATIENCE)
