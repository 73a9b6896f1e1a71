"""The examples of jobs, served: each does what its comments say, by its own text with other addresses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import free_port
from tests.stores.redis.server import RedisServer
from twistedgate.jobs.webhook import parse_secret, sign

EXAMPLES = Path(__file__).resolve().parents[2] / "etc" / "examples"
ASYNC = "Prefer: respond-async"
ALICE = "X-API-Key: example-key-never-use-this"

Serve = Callable[..., Daemon]


def adapted(example: str, port: int) -> str:
    """Return the text of an example for free ports, and for an upstream at ``port``."""
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    text = re.sub(r"tcp:[^:\n]*(?::-8080\})?:interface", "tcp:0:interface", text)
    return re.sub(r"^targets = .*$", f"targets = http://127.0.0.1:{port}", text, flags=re.MULTILINE)


@pytest.fixture
def serve(tmp_path: Path, own_recorder: Recorder) -> Iterator[Serve]:
    """Start a gateway by an example, with what the environment says."""
    with ExitStack() as running:

        def begin(example: str, folder: str = "gateway", change: str = "", **environment: str) -> Daemon:
            (tmp_path / folder).mkdir()
            text = adapted(example, own_recorder.port)
            if change:
                before, _, after = change.partition(" -> ")
                assert before in text
                text = text.replace(before, after)
            return running.enter_context(Daemon(tmp_path / folder, text, Launch(environment)))

        yield begin


def document(answer: Answer) -> dict[str, Any]:
    """Return the JSON of an answer."""
    read: dict[str, Any] = json.loads(answer.body)
    return read


def submit(client: Client, path: str, *fields: str) -> str:
    """Hand in a job, and return where to ask for it."""
    answer = client.ask("POST", path, ASYNC, *fields, body=b"in")
    assert answer.status == 202
    location = answer.value("location")
    assert location is not None
    return location


def test_jobs_in_memory(serve: Serve, own_recorder: Recorder) -> None:
    held = Held()
    own_recorder.on("/reports/7", held)
    with serve("jobs.ini").connect() as client:
        assert client.get("/reports/1").status == 200
        job = submit(client, "/reports/7")
        assert client.get(f"{job}/result").status == 409
        held.go_on.set()
        assert client.get(f"{job}/result", "Prefer: wait=30").body == b"in peace"
        export = client.get("/exports/1", "Prefer: wait=30")
        assert (export.status, export.value("preference-applied")) == (200, "wait=30")


def test_jobs_in_a_file(serve: Serve, own_recorder: Recorder, tmp_path: Path) -> None:
    held = Held()
    own_recorder.on("/reports/7", held)
    with serve("jobs-sqlite.ini", STATE_DIRECTORY=str(tmp_path)).connect() as client:
        assert client.ask("POST", "/reports/7", ASYNC).status == 401
        job = submit(client, "/reports/7", ALICE)
        other = submit(client, "/thumbnails/1", ALICE)
        assert client.get(job).status == 404
        held.go_on.set()
        assert client.get(f"{job}/result", "Prefer: wait=30", ALICE).body == b"in peace"
        assert client.get(f"{other}/result", "Prefer: wait=30", ALICE).body == b"in"
        listed = document(client.get("/_jobs", ALICE))["jobs"]
        assert [one["links"]["self"] for one in listed] == [other, job]
    assert (tmp_path / "jobs.db").exists()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis that keeps what it is given."""
    (tmp_path / "redis").mkdir()
    port = free_port()
    settings = "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"
    server = RedisServer(tmp_path / "redis", *settings)
    yield port
    server.kill()


def test_jobs_of_several_gateways(serve: Serve, own_recorder: Recorder, redis: int) -> None:
    held = Held()
    own_recorder.otherwise(held)
    address = f"127.0.0.1:{redis}"
    one = serve("jobs-redis.ini", "one", REDIS=address)
    other = serve("jobs-redis.ini", "other", REDIS=address)
    with one.connect() as here, other.connect() as there:
        kept, dropped = submit(here, "/reports/7"), submit(here, "/reports/8")
        own_recorder.visit("/reports/8")
        assert there.ask("DELETE", dropped).status == 204
        assert document(here.get(dropped))["state"] == "cancelled"
        assert document(there.get(kept))["state"] == "running"
        held.go_on.set()
        assert there.get(f"{kept}/result", "Prefer: wait=30").body == b"in peace"
    assert not [line for gateway in (one, other) for line in gateway.log if "not fit to keep" in line]


def test_callbacks(serve: Serve, own_recorder: Recorder, tmp_path: Path) -> None:
    change = f"{'hooks.example.com'} -> 127.0.0.1"
    gateway = serve("jobs-callbacks.ini", change=change, STATE_DIRECTORY=str(tmp_path))
    secret = re.search(r"whsec_\S+$", (EXAMPLES / "jobs-callbacks.ini").read_text(), re.MULTILINE)
    assert secret is not None
    with gateway.connect() as client:
        refused = client.ask("POST", "/reports/7", ASYNC, "Callback-URL: https://elsewhere.example/")
        assert refused.status == 400
        job = submit(client, "/reports/7", f"Callback-URL: http://127.0.0.1:{own_recorder.port}/hook")
    told = own_recorder.visit("/hook")
    body = told.read_body()
    assert json.loads(body)["source"] == job
    identity, timestamp = told.value("webhook-id"), told.value("webhook-timestamp")
    assert identity is not None
    assert timestamp is not None
    expected = sign(parse_secret(secret[0]), identity, int(timestamp), body)
    assert told.value("webhook-signature") == expected
    assert base64.b64decode(secret[0].removeprefix("whsec_")) == b"example-secret-never-use-this"
