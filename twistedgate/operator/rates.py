"""Requests a second, from two readings of the counts: of the gateway, each process, upstream and target.

A rate is ``None`` where there is nothing to compare with: what was not there before, or counts anew.  The
gateway's own clock is used, which does not care how long an answer was on its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Status = Mapping[str, Any]
"""What ``/status`` says."""

RATE = "requests_per_second"


def with_rates(before: Status, after: Status) -> dict[str, Any]:
    """Return what the later of two readings says, with a rate beside each count of requests."""
    seconds = after["clock"] - before["clock"]
    if before["started"] != after["started"]:
        before = {}
    workers = {worker["pid"]: worker for worker in before.get("workers", ())}
    upstreams = before.get("upstreams", {})
    return {
        **_rated(before, after, seconds),
        "workers": [_rated(workers.get(worker["pid"]), worker, seconds) for worker in after["workers"]],
        "upstreams": {
            name: _upstream(upstreams.get(name), upstream, seconds)
            for name, upstream in after["upstreams"].items()
        },
    }


def _upstream(before: Status | None, after: Status, seconds: float) -> dict[str, Any]:
    targets = {} if before is None else {target["name"]: target for target in before["targets"]}
    rated = [_rated(targets.get(target["name"]), target, seconds) for target in after["targets"]]
    return {**_rated(before, after, seconds), "targets": rated}


def _rated(before: Status | None, after: Status, seconds: float) -> dict[str, Any]:
    rate = None
    if before and seconds > 0 and after["requests"] >= before["requests"]:
        rate = round((after["requests"] - before["requests"]) / seconds, 1)
    return {**after, RATE: rate}
