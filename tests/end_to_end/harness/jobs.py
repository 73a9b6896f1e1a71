"""Calls that become jobs: handed in, asked for, waited for, as a client would."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.stores.redis.server import RedisServer

Document = dict[str, Any]
"""What is said of a job."""

PREFER = "Prefer: respond-async"
LONGEST = 25
"""Seconds that a job is waited for; longer than any of them takes."""

STORES = ("memory", "sqlite", "redis")
SHARED = ("sqlite", "redis")
"""Stores that several processes may share, and that outlive them."""


KEYS = {name: f"{name}-has-a-key-of-enough-characters" for name in ("ann", "bob")}
CALLERS = section("key-auth:who") + "".join(
    section(f"consumer:{name}", keys=f"sha256:{hashlib.sha256(key.encode()).hexdigest()}")
    for name, key in KEYS.items()
)
"""A ``[key-auth:who]`` and those who have a key."""


@dataclass(frozen=True)
class Place:
    """Where jobs are kept."""

    kind: str
    state: str
    redis: RedisServer | None = None

    def gateway(self, **options: object) -> str:
        """Return a ``[gateway]`` with as many workers as the store lets it have, two at most."""
        defaults = {
            "workers": 1 if self.kind == "memory" else 2,
            "access_log": "-",
            "drain_timeout": "10s",
            "async_drain_timeout": "1s",  # what a test leaves under way is not waited for at its end
            "state": self.state,
        }
        return section("gateway", **{**defaults, **options})


def make_place(kind: str, folder: Path, stack: ExitStack) -> Place:
    """Return a place of its own in ``folder``; a server that it needs lives as long as ``stack``."""
    if kind == "memory":
        return Place(kind, "memory:")
    if kind == "sqlite":
        return Place(kind, f"sqlite:{folder}/jobs.db")
    # what it has written survives its death, on a disk or not
    server = RedisServer(folder, "--appendonly", "yes", "--appendfsync", "no")
    stack.callback(server.kill)
    return Place(kind, f"redis+unix://{server.path}?db=0", server)


def jobs_route(name: str, **options: object) -> str:
    """Return a route to the upstream ``main`` whose calls may become jobs; all below ``/NAME/``."""
    own = {"path": f"/{name}/*", "upstream": "main", "async": "optional", "async_max_wait": f"{LONGEST}s"}
    return section(f"route:{name}", **{**own, **options})


def slow(port: int, **options: object) -> str:
    """Return an upstream on ``port``, and a route ``slow`` to it whose calls may become jobs."""
    return upstream("main", port) + jobs_route("slow", **options)


def hand_in(client: Client, path: str, *fields: str, method: str = "POST", body: bytes = b"") -> str:
    """Hand a call in, which is accepted at once; return where its job is."""
    answer = client.ask(method, path, PREFER, *fields, body=body)
    assert answer.status == 202, answer
    location = answer.value("location")
    assert location is not None
    assert json.loads(answer.body)["links"]["self"] == location
    return location


def look(client: Client, location: str, *fields: str) -> Document:
    """Return how a job stands."""
    answer = client.get(location, *fields)
    assert answer.status == 200, answer
    document: Document = json.loads(answer.body)
    return document


def wait(daemon: Daemon, location: str, *fields: str) -> Document:
    """Return a job once it is finished."""
    with daemon.connect() as client:
        document = look(client, location, f"Prefer: wait={LONGEST}", *fields)
    assert document["state"] in {"succeeded", "failed", "cancelled"}, document
    return document


def result(daemon: Daemon, location: str, *fields: str) -> Answer:
    """Return the result of a job."""
    with daemon.connect() as client:
        return client.get(f"{location}/result", *fields)
