"""Whose a job is, who may know of it, and whose share of the queue it takes.

Rules
- The owner is (policy, subject), written ``KIND:NAME/SUBJECT`` as the route's policies found it; empty where
  there is no identity.  A policy's name has no slash, so that no two owners are written alike.
- A job that has no owner is known to whoever knows its id.
- For all others there is no such job: unknown, foreign and nobody's are told apart by nothing, not even time.
"""

from __future__ import annotations

import hmac

from twistedgate.jobs.job import Job


def owner_text(policy: str, subject: str) -> str:
    """Return the owner that a policy found, empty where it found nobody."""
    if "/" in policy:
        raise ValueError(f"a policy's name has no slash: {policy!r}")
    return f"{policy}/{subject}" if subject else ""


def caller_text(owner: str, route: str, client: str) -> str:
    """Return whose share a job takes and whose keys it knows: the owner's, or an address's on a route."""
    # no owner begins with a slash, since every policy has a name
    return owner or f"/{route}/{client}"


def visible(job: Job | None, owner: str) -> Job | None:
    """Return a job if ``owner`` may know of it, ``None`` as if there were none; always by the same steps."""
    known = "" if job is None else job.owner
    is_own = hmac.compare_digest(known.encode(), owner.encode())
    return job if is_own or not known else None
