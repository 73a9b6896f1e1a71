"""What a gateway says of jobs, as short as can be."""

from __future__ import annotations

from typing import Any

ID = "b3JkZXJzLWFyZS1mb3Itam9icw"


def summary(job: str = ID, **members: Any) -> dict[str, Any]:
    """Return a job of a list."""
    return {
        "id": job,
        "state": "queued",
        "route": "reports",
        "method": "POST",
        "path": "/reports/7",
        "submitted": "2026-11-23T09:00:00.000Z",
        "started": None,
        "finished": None,
        "attempts": 0,
        "expires": None,
        "status": None,
        "reason": None,
        "owner": "key-auth:staff/alice",
        "forgotten": False,
        **members,
    }


def whole(job: str = ID, **members: Any) -> dict[str, Any]:
    """Return everything about a job."""
    return {
        **summary(job),
        "caller": "key-auth:staff/alice",
        "runner": None,
        "due": None,
        "queue_ends": None,
        "idempotency_key": None,
        "callback": None,
        "terms": {
            "delivery": "at-most-once",
            "ttl": 3600.0,
            "queue_timeout": 60.0,
            "retries": 3,
            "priority": 0,
            "hold": 0.0,
        },
        "request": {
            "kept": True,
            "method": "POST",
            "scheme": "https",
            "authority": "example.com",
            "path": "/reports/7",
            "query": "?a=b",
            "headers": [["Accept", "*/*"]],
            "length": 5,
            "client": "192.0.2.1",
            "listener": "public",
            "request_id": "r-1",
            "consumer": "alice",
            "groups": [],
        },
        "result": None,
        **members,
    }
