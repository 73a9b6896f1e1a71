"""What the admin listener says of an upstream's targets."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.waiting import until


def target(daemon: Daemon, upstream: str, port: int) -> dict[str, Any]:
    """Return what ``/status`` says of the target of ``upstream`` on ``port``."""
    for found in daemon.status()["upstreams"][upstream]["targets"]:
        if str(found["name"]).endswith(f":{port}"):
            member: dict[str, Any] = found
            return member
    raise AssertionError(f"{upstream} has no target on port {port}")


def wait_until(daemon: Daemon, upstream: str, port: int, state: str) -> None:
    """Return when the target on ``port`` is in ``state``."""
    until(
        lambda: target(daemon, upstream, port)["state"] == state,
        f"the target on port {port} of {upstream} is {state}",
    )
