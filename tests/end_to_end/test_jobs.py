"""A call becomes a job: what a client is told, on every store, whichever process it asks."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import request
from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.jobs import (
    CALLERS,
    KEYS,
    LONGEST,
    PREFER,
    STORES,
    Place,
    hand_in,
    jobs_route,
    look,
    make_place,
    result,
    slow,
    wait,
)
from tests.end_to_end.harness.recorder import Recorder

LARGE = bytes(range(256)) * 4096
"""More than a store keeps in one piece."""


@dataclass(frozen=True)
class Scene:
    """A gateway that keeps its jobs in one of the places, and its upstream."""

    daemon: Daemon
    recorder: Recorder


@pytest.fixture(scope="module", params=STORES)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway for each place where jobs may be kept; a test asks it under paths of its own."""
    folder = tmp_path_factory.mktemp("jobs")
    with ExitStack() as stack:
        place = make_place(request.param, folder, stack)
        recorder = stack.enter_context(Recorder())
        target = upstream("main", recorder.port)
        routes = (
            jobs_route("slow"),
            jobs_route("one", async_concurrency=1, async_max_queued=2),
            jobs_route("keyed", policies="key-auth:who"),
        )
        text = ini(place.gateway(), CALLERS, target, *routes)
        scene = Scene(stack.enter_context(Daemon(folder, text)), recorder)
        yield scene
        scene.daemon.wait_until_empty()
        assert recorder.complaints == []


@contextmanager
def holding(scene: Scene, *paths: str) -> Iterator[Held]:
    """Keep calls of these paths waiting."""
    held = Held()
    for path in paths:
        scene.recorder.on(path, held)
    try:
        yield held
    finally:
        held.go_on.set()


def test_a_call_is_handed_in_waited_for_and_fetched(scene: Scene) -> None:
    daemon = scene.daemon
    with holding(scene, "/slow/fetched") as held, daemon.connect() as client:
        location = hand_in(client, "/slow/fetched?a=b", body=b"what it is about")
        unfinished = client.get(f"{location}/result")
        assert (unfinished.status, unfinished.value("retry-after")) == (409, "1")
        assert look(client, location)["state"] == "running"
        held.go_on.set()
        document = wait(daemon, location)
    assert [document[name] for name in ("state", "status", "attempts", "path", "method")] == [
        "succeeded",
        200,
        1,
        "/slow/fetched",
        "POST",
    ]
    answer = result(daemon, location)
    assert (answer.status, answer.body, answer.value("job-id")) == (200, b"in peace", document["id"])
    visit = scene.recorder.visit("/slow/fetched")
    assert visit.target == "/slow/fetched?a=b"
    assert visit.value("job-id") == document["id"]
    assert visit.value("prefer") is None


def test_large_bodies_are_kept_in_pieces(scene: Scene) -> None:
    with scene.daemon.connect() as client:
        location = hand_in(client, "/slow/large", body=LARGE)
    assert wait(scene.daemon, location)["state"] == "succeeded"
    assert result(scene.daemon, location).body == LARGE


def test_who_is_held_gets_the_answer_itself(scene: Scene) -> None:
    with scene.daemon.connect() as client:
        answer = client.ask("POST", "/slow/waits", f"Prefer: respond-async, wait={LONGEST}", body=b"five")
    assert (answer.status, answer.body) == (200, b"five")
    assert answer.value("preference-applied") == f"respond-async, wait={LONGEST}"
    assert len(scene.recorder.visits_to("/slow/waits")) == 1


def test_without_asking_a_call_is_what_it_was(scene: Scene) -> None:
    with scene.daemon.connect() as client:
        answer = client.ask("POST", "/slow/plain", body=b"five")
    assert (answer.status, answer.body, answer.value("job-id")) == (200, b"five", None)


def test_a_cancelled_call_is_cut_off(scene: Scene) -> None:
    with holding(scene, "/slow/cancelled"), scene.daemon.connect() as client:
        location = hand_in(client, "/slow/cancelled")
        scene.recorder.visit("/slow/cancelled")
        assert client.ask("DELETE", location).status == 204
        assert look(client, location)["state"] == "cancelled"
        assert client.get(f"{location}/result").status == 410
        assert client.ask("DELETE", location).status == 204
        scene.daemon.wait_until_idle()


def test_what_there_is_no_room_for_waits_its_turn(scene: Scene) -> None:
    paths = [f"/one/{number}" for number in range(3)]
    with holding(scene, *paths) as held, scene.daemon.connect() as client:
        locations = [hand_in(client, path) for path in paths]
        scene.recorder.visit("/one/0")
        full = client.ask("POST", "/one/3", PREFER)
        assert (full.status, json.loads(full.body)["reason"]) == (503, "queue-full")
        assert full.value("retry-after")
        client.ask("DELETE", locations[1])
        held.go_on.set()
        states = [wait(scene.daemon, location)["state"] for location in locations]
    assert states == ["succeeded", "cancelled", "succeeded"]
    assert held.most == 1
    assert scene.recorder.visits_to("/one/1") == []


def test_the_same_key_is_the_same_job(scene: Scene) -> None:
    path, key = "/slow/once", "Idempotency-Key: once"
    with scene.daemon.connect() as client:
        location = hand_in(client, path, key, body=b"five")
    with scene.daemon.connect() as client:
        again = client.ask("POST", path, PREFER, key, body=b"five")
        other = client.ask("POST", path, PREFER, key, body=b"four")
    assert (again.status, again.value("location")) == (202, location)
    assert again.value("idempotent-replayed") == "true"
    assert (other.status, json.loads(other.body)["reason"]) == (422, "key-mismatch")
    wait(scene.daemon, location)
    assert len(scene.recorder.visits_to(path)) == 1


def test_a_job_is_nobody_elses(scene: Scene) -> None:
    ann, bob = (f"X-API-Key: {key}" for key in KEYS.values())
    with holding(scene, "/keyed/hers"), scene.daemon.connect() as client:
        location = hand_in(client, "/keyed/hers", ann)
        unknown = client.get("/_jobs/AAAAAAAAAAAAAAAAAAAAAAAAAAA", bob)
        for method in ("GET", "HEAD", "DELETE", "POST", "OPTIONS", "PUT"):
            for field in (bob, "X-Nothing: 1"):
                for end in ("", "/result", "/events"):
                    assert client.ask(method, location + end, field).status == 404
        foreign = client.get(location, bob)
        assert [name for name, _ in foreign.fields] == [name for name, _ in unknown.fields]
        told, same = (json.loads(answer.body) for answer in (foreign, unknown))
        assert told | {"request_id": ""} == same | {"request_id": ""}
        assert json.loads(client.get("/_jobs", bob).body)["jobs"] == []
        (listed,) = json.loads(client.get("/_jobs", ann).body)["jobs"]
        assert listed["links"]["self"] == location
        assert look(client, location, ann)["state"] == "running"


def test_events_tell_each_change_and_end_with_the_job(scene: Scene) -> None:
    with holding(scene, "/slow/eventful") as held, scene.daemon.connect() as client:
        location = hand_in(client, "/slow/eventful")
        client.send(request("GET", f"{location}/events"))
        told = b""
        while b'"state":"running"' not in told:
            told += client.socket.recv(65536)
        held.go_on.set()
        while not told.endswith(b"0\r\n\r\n"):
            told += client.socket.recv(65536)
    assert b'"state":"succeeded"' in told


def test_the_log_of_access_joins_a_call_and_its_run(scene: Scene) -> None:
    with scene.daemon.connect() as client:
        location = hand_in(client, "/slow/written", body=b"five")
    wait(scene.daemon, location)
    job = location.rpartition("/")[2]
    handed_in, ran = scene.daemon.all_records(2, job=job, path="/slow/written")[:2]
    assert {handed_in["status"], ran["status"]} == {202, 200}
    assert handed_in["request_id"] == ran["request_id"]


# the start


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_cannot_be_had_ends_the_start_with_a_reason(
    start: Start, tmp_path: Path, workers: int
) -> None:
    gateway = section("gateway", workers=workers, access_log="off", state=f"sqlite:{tmp_path}/no/jobs.db")
    with pytest.raises(AssertionError, match=r"jobs cannot be kept: .*jobs\.db"):
        start(gateway, route("word", "/*", respond="200"))


def test_a_redis_that_is_away_keeps_nobody_from_starting(start: Start, own_recorder: Recorder) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gateway = Place("redis", f"redis://127.0.0.1:{taken.getsockname()[1]}/0").gateway()
        daemon = start(gateway, slow(own_recorder.port))
        with daemon.connect() as client:
            answer = client.ask("POST", "/slow/echo", PREFER, body=b"five")
            assert (answer.status, json.loads(answer.body)["reason"]) == (503, "store-away")
            assert client.ask("POST", "/slow/echo", body=b"five").status == 200
