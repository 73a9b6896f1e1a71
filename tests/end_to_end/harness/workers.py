"""The workers of a gateway: who they are, connections to each of them, and what all have counted together.

Which worker has a connection is asked of the kernel, which processes serve of the admin listener.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.processes import children, holder, is_alive
from tests.end_to_end.harness.waiting import until

WORKERS = 2

MOST = 100
"""Connections after which one of two workers should have had its share of them."""

_SAMPLE = re.compile(r"(twistedgate_\w+_(?:total|count|bucket)(?:\{.*\})?) (\S+)")


def several(**options: object) -> str:
    """Return a ``[gateway]`` with two workers."""
    return section("gateway", **{"workers": WORKERS, "access_log": "-", "drain_timeout": "10s", **options})


def serving(daemon: Daemon, *gone: int) -> list[int]:
    """Return the processes of the workers, once there are all, and none of those that are to be gone."""

    def look() -> list[int]:
        rows = daemon.status()["workers"]
        found = [row["pid"] for row in rows if row["state"] == "serving" and row["pid"] not in gone]
        return found if len(found) == WORKERS else []

    return until(look, f"{WORKERS} workers serve, none of them of {gone}")


def alive(pids: list[int]) -> list[int]:
    """Return those of the processes that run."""
    return [pid for pid in pids if is_alive(pid)]


def carrier(daemon: Daemon, own: int, other: int) -> int:
    """Return the worker that holds the end at the port ``own`` of a connection, waiting until one does."""
    return until(
        lambda: holder(children(daemon.pid), own, other) or 0, f"a worker has the connection {own}-{other}"
    )


@contextmanager
def in_each(daemon: Daemon, count: int, **options: Any) -> Iterator[dict[int, list[Client]]]:
    """Give ``count`` connections to each worker, by its process."""
    with ExitStack() as stack:
        groups: dict[int, list[Client]] = {pid: [] for pid in serving(daemon)}
        for _ in range(MOST):
            if min(map(len, groups.values())) >= count:
                break
            client = stack.enter_context(daemon.connect(**options))
            groups[carrier(daemon, daemon.port, client.port)].append(client)
        else:
            raise AssertionError(f"of {MOST} connections one worker has less than {count}: {groups}")
        yield {pid: group[:count] for pid, group in groups.items()}


def counted(daemon: Daemon) -> dict[str, float]:
    """Return every counter that the admin listener tells, by its name."""
    status = daemon.status()
    found: dict[str, float] = {"requests": status["requests"]}
    for name, upstream in status["upstreams"].items():
        found[f"upstream {name}"] = upstream["requests"]
        for target in upstream["targets"]:
            found[f"target {target['name']} of {name}"] = target["requests"]
            found[f"failures of {target['name']} of {name}"] = target["failed"]
    for line in daemon.admin("/metrics").body.decode().splitlines():
        if match := _SAMPLE.fullmatch(line):
            found[match[1]] = float(match[2])
    return found


def gone_back(before: dict[str, float], after: dict[str, float]) -> dict[str, tuple[float, float | None]]:
    """Return the counters that are less than they were."""
    return {name: (count, after.get(name)) for name, count in before.items() if after.get(name, -1.0) < count}
