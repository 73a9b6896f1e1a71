"""The changes of a job as events of a server (``text/event-stream``, WHATWG HTML section 9.2).

The id of an event is the job's version, and its name the job's state.  Only what a job is can be told, not
what it was in between: who comes back with ``Last-Event-ID`` is told how it stands if it has changed since.
"""

from __future__ import annotations

import re
from typing import Final

from twistedgate.jobs.job import Job

CONTENT_TYPE: Final = b"text/event-stream"

INTERVAL: Final = 15.0
"""Seconds after which a comment is sent: middle boxes cut what is silent for 30 s or more."""

COMMENT: Final = b": still here\n\n"

BEGINNING: Final = b"retry: 2000\n\n"
"""How long a client waits before it comes back when the connection breaks: milliseconds."""

_VERSION: Final = re.compile(rb"[0-9]{1,15}")


def write_event(job: Job, document: bytes) -> bytes:
    """Return the event that tells how a job stands; ``document`` is its status document."""
    lines = b"".join([b"data: %b\n" % line for line in document.splitlines()])
    return b"id: %d\nevent: %b\n%b\n" % (job.version, job.state.encode("ascii"), lines)


def last_event(value: bytes | None) -> int:
    """Return the version that a client has seen, by its ``Last-Event-ID``; 0 where that says nothing."""
    return int(value) if value is not None and _VERSION.fullmatch(value) else 0


def is_news(job: Job, seen: int) -> bool:
    """Whether a client that has seen a version does not know how the job stands."""
    # not "greater": a store that was emptied begins to count anew
    return job.version != seen
