"""What a gateway says of itself, as short as can be."""

from __future__ import annotations

from typing import Any


def target(name: str = "192.0.2.1:80", **members: Any) -> dict[str, Any]:
    """Return a target of a status."""
    return {
        "name": name,
        "url": f"http://{name}",
        "state": "up",
        "since": "2026-11-23T17:00:00.000Z",
        "weight": 1,
        "in_flight": 0,
        "requests": 0,
        "failed": 0,
        "last_error": None,
        **members,
    }


def upstream(*targets: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return an upstream of a status."""
    return {
        "balance": "round-robin",
        "requests": sum(one["requests"] for one in targets),
        "in_flight": 0,
        "available": len(targets),
        "targets": list(targets),
        **members,
    }


def worker(pid: int = 100, **members: Any) -> dict[str, Any]:
    """Return a process of a status."""
    return {"pid": pid, "state": "serving", "connections": 0, "requests": 0, **members}


def status(clock: float = 10.0, **members: Any) -> dict[str, Any]:
    """Return a status."""
    return {
        "version": "1.2.3",
        "started": "2026-11-23T16:00:00.000Z",
        "clock": clock,
        "draining": False,
        "unready": [],
        "workers": [worker()],
        "requests": 0,
        "connections": 0,
        "accepting_paused": False,
        "access_log_dropped": 0,
        "listeners": {},
        "routes": {},
        "upstreams": {},
        **members,
    }
