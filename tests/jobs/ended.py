"""A job that has ended, and the document of its status."""

from __future__ import annotations

from typing import Any

from twistedgate.jobs.job import Call, Delivery, Job, State, Terms

CALL = Call("POST", "/reports/7", "", "api.example.com", "https", (), "192.0.2.9", "public", "r1", "")


def ended_job(**changes: Any) -> Job:
    """Return a job that has succeeded, except for what the test says."""
    known: dict[str, Any] = {
        "id": "abc",
        "route": "reports",
        "owner": "",
        "caller": "reports/192.0.2.9",
        "call": CALL,
        "terms": Terms(Delivery.AT_MOST_ONCE, 3600.0, 3600.0, 3),
        "state": State.SUCCEEDED,
        "submitted": 1_799_999_990.0,
        "finished": 1_800_000_000.0,
        "status": 200,
    }
    return Job(**known | changes)


def document_of(job: Job) -> dict[str, object]:
    """Return what is told of its status, as far as a callback looks at it."""
    return {
        "id": job.id,
        "state": str(job.state),
        "finished": "2027-01-15T08:00:00.000Z",
        "links": {"self": f"/_jobs/{job.id}"},
    }
