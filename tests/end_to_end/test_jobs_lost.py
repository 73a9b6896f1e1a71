"""Every process of a gateway is killed at once: each job that a client was promised ends all the same."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder, echo
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens, until
from tests.end_to_end.harness.workers import serving, several
from tests.stores.redis.server import RedisServer

JOBS = 12
"""Of each kind of delivery."""

ROOM = 4
"""Calls of each kind under way at once."""


class Kept:
    """Where jobs are kept: how the gateway is told, and what time would do once its processes are dead."""

    def __init__(self, state: str) -> None:
        self.state = state

    def leases_end(self) -> None:
        """Let everybody who is dead be known for dead; a lock on a file is free at once."""


class KeptInRedis(Kept):
    """The same in a Redis, where the dead are known by leases that nobody renews."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(f"redis+unix://{server.path}")
        self._server = server

    def leases_end(self) -> None:
        for runner in self._server.ask("ZRANGE", "{twistedgate}:runners", 0, -1):
            self._server.ask("ZADD", "{twistedgate}:runners", 1, runner)


@pytest.fixture(params=["sqlite", "redis"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Each store that survives the processes which use it."""
    if request.param == "sqlite":
        yield Kept(f"sqlite:{tmp_path}/jobs.sqlite")
        return
    with tempfile.TemporaryDirectory() as folder:  # the address of a socket is short
        server = RedisServer(Path(folder))
        try:
            yield KeptInRedis(server)
        finally:
            server.kill()


class Gate:
    """Holds the calls that reach the upstream until it is opened; afterwards they are answered at once."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, visit: Visit) -> None:
        happens(self.opened, "the upstream answers")
        echo(visit)


def _routes(recorder: Recorder) -> tuple[str, ...]:
    options = {"upstream": "main", "async": "always", "async_concurrency": ROOM}
    return (
        upstream("main", recorder.port),
        route("once", "/once/*", **options),
        route("again", "/again/*", async_delivery="at-least-once", **options),
    )


def _hand_in(daemon: Daemon) -> dict[str, str]:
    """Hand in a dozen calls of each kind, and return the addresses of their jobs."""
    addresses = {}
    for number in range(JOBS):
        for kind in ("once", "again"):
            path = f"/{kind}/{number}"
            with daemon.connect() as client:
                answer = client.ask("POST", path, "Host: a", body=path.encode())
            assert answer.status == 202, answer
            addresses[path] = str(answer.value("location"))
    return addresses


def _kill_everybody(daemon: Daemon) -> None:
    """Kill every process, the one that would start others first."""
    workers = serving(daemon)
    for pid in (daemon.pid, *workers):
        with suppress(ProcessLookupError):  # the first one's death may be theirs
            os.kill(pid, signal.SIGKILL)
    daemon.wait()


def _ended(client: Client, address: str) -> dict[str, Any]:
    """Return the status document of a job once it has ended."""

    def look() -> dict[str, Any]:
        document: dict[str, Any] = json.loads(client.get(address, "Host: a", "Prefer: wait=5").body)
        return document if document["finished"] else {}

    return until(look, f"{address} ends")


def _result(client: Client, address: str) -> Answer:
    return client.get(f"{address}/result", "Host: a")


def test_every_accepted_job_ends_though_every_process_was_killed(
    start: Start, own_recorder: Recorder, kept: Kept
) -> None:
    gate = Gate()
    own_recorder.otherwise(gate)
    sections = several(state=kept.state), *_routes(own_recorder)
    first = start(*sections)
    addresses = _hand_in(first)
    until(lambda: len(own_recorder.visits) == 2 * ROOM, "every slot has its call")
    _kill_everybody(first)
    under_way = {visit.path for visit in own_recorder.visits}
    gate.opened.set()
    kept.leases_end()

    second = start(*sections)
    with second.connect() as client:
        documents = {path: _ended(client, address) for path, address in addresses.items()}
        results = {path: _result(client, address) for path, address in addresses.items()}

    calls = Counter(visit.path for visit in own_recorder.visits)
    for path, document in documents.items():
        if path in under_way and path.startswith("/once/"):
            assert (document["state"], document["reason"]) == ("failed", "interrupted"), document
            assert (results[path].status, calls[path]) == (502, 1)
        else:
            assert document["state"] == "succeeded", document
            assert (results[path].status, results[path].body) == (200, path.encode())
            assert calls[path] == (2 if path in under_way else 1)
    assert len(under_way) == 2 * ROOM
