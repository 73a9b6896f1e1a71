"""A call becomes a job: what a client is told, on every store, whichever process it asks."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import request
from tests.end_to_end.harness.configuration import route, section
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.jobs import (
    CALLERS,
    KEYS,
    LONGEST,
    PREFER,
    STORES,
    Place,
    hand_in,
    look,
    make_place,
    result,
    slow,
    wait,
)
from tests.end_to_end.harness.recorder import Recorder

LARGE = bytes(range(256)) * 4096
"""More than a store keeps in one piece."""


@pytest.fixture
def held(own_recorder: Recorder) -> Iterator[Held]:
    """What calls of ``/slow/held`` wait for."""
    held = Held()
    own_recorder.on("/slow/held", held)
    yield held
    held.go_on.set()


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place where jobs may be kept."""
    with ExitStack() as stack:
        yield make_place(request.param, tmp_path, stack)


def test_a_call_is_handed_in_waited_for_and_fetched(
    start: Start, own_recorder: Recorder, held: Held, place: Place
) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held?a=b", body=b"what it is about")
        unfinished = client.get(f"{location}/result")
        assert (unfinished.status, unfinished.value("retry-after")) == (409, "1")
        document = look(client, location)
    assert document["state"] == "running"
    held.go_on.set()
    document = wait(daemon, location)
    assert [document[name] for name in ("state", "status", "attempts", "path", "method")] == [
        "succeeded",
        200,
        1,
        "/slow/held",
        "POST",
    ]
    answer = result(daemon, location)
    assert (answer.status, answer.body, answer.value("job-id")) == (200, b"in peace", document["id"])
    visit = own_recorder.visit("/slow/held")
    assert visit.target == "/slow/held?a=b"
    assert visit.value("job-id") == document["id"]
    assert visit.value("prefer") is None


def test_large_bodies_are_kept_in_pieces(start: Start, own_recorder: Recorder, place: Place) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/echo", body=LARGE)
    assert wait(daemon, location)["state"] == "succeeded"
    assert result(daemon, location).body == LARGE


def test_who_is_held_gets_the_answer_itself(start: Start, own_recorder: Recorder, place: Place) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        answer = client.ask("POST", "/slow/echo", f"Prefer: respond-async, wait={LONGEST}", body=b"five")
    assert (answer.status, answer.body) == (200, b"five")
    assert answer.value("preference-applied") == f"respond-async, wait={LONGEST}"
    assert len(own_recorder.visits_to("/slow/echo")) == 1


def test_without_asking_a_call_is_what_it_was(start: Start, own_recorder: Recorder, place: Place) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        answer = client.ask("POST", "/slow/echo", body=b"five")
    assert (answer.status, answer.body, answer.value("job-id")) == (200, b"five", None)


def test_a_cancelled_call_is_cut_off(start: Start, own_recorder: Recorder, held: Held, place: Place) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held")
        own_recorder.visit("/slow/held")
        assert client.ask("DELETE", location).status == 204
        assert look(client, location)["state"] == "cancelled"
        assert client.get(f"{location}/result").status == 410
        assert client.ask("DELETE", location).status == 204
    daemon.wait_until_idle()


def test_what_there_is_no_room_for_waits_its_turn(
    start: Start, own_recorder: Recorder, held: Held, place: Place
) -> None:
    own_recorder.otherwise(held)
    daemon = start(place.gateway(), slow(own_recorder.port, async_concurrency=1, async_max_queued=2))
    with daemon.connect() as client:
        locations = [hand_in(client, f"/slow/{number}") for number in range(3)]
        own_recorder.visit("/slow/0")
        full = client.ask("POST", "/slow/4", PREFER)
        assert (full.status, json.loads(full.body)["reason"]) == (503, "queue-full")
        assert full.value("retry-after")
        client.ask("DELETE", locations[1])
    held.go_on.set()
    assert [wait(daemon, location)["state"] for location in locations] == [
        "succeeded",
        "cancelled",
        "succeeded",
    ]
    assert held.most == 1
    assert own_recorder.visits_to("/slow/1") == []


def test_the_same_key_is_the_same_job(start: Start, own_recorder: Recorder, place: Place) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    key = "Idempotency-Key: once"
    with daemon.connect() as client:
        location = hand_in(client, "/slow/echo", key, body=b"five")
    with daemon.connect() as client:
        again = client.ask("POST", "/slow/echo", PREFER, key, body=b"five")
        other = client.ask("POST", "/slow/echo", PREFER, key, body=b"four")
    assert (again.status, again.value("location"), again.value("idempotent-replayed")) == (
        202,
        location,
        "true",
    )
    assert (other.status, json.loads(other.body)["reason"]) == (422, "key-mismatch")
    wait(daemon, location)
    assert len(own_recorder.visits_to("/slow/echo")) == 1


def test_a_job_is_nobody_elses(start: Start, own_recorder: Recorder, held: Held, place: Place) -> None:
    daemon = start(place.gateway(), CALLERS, slow(own_recorder.port, policies="key-auth:who"))
    ann, bob = (f"X-API-Key: {key}" for key in KEYS.values())
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held", ann)
        unknown = client.get("/_jobs/AAAAAAAAAAAAAAAAAAAAAAAAAAA", bob)
        for method in ("GET", "HEAD", "DELETE", "POST", "OPTIONS", "PUT"):
            for field in (bob, "X-Nothing: 1"):
                for end in ("", "/result", "/events"):
                    assert client.ask(method, location + end, field).status == 404
        foreign = client.get(location, bob)
        assert [name for name, _ in foreign.fields] == [name for name, _ in unknown.fields]
        same = "title", "status", "reason"
        assert [json.loads(foreign.body)[name] for name in same] == [
            json.loads(unknown.body)[name] for name in same
        ]
        assert json.loads(client.get("/_jobs", bob).body)["jobs"] == []
        (listed,) = json.loads(client.get("/_jobs", ann).body)["jobs"]
        assert listed["links"]["self"] == location
        assert look(client, location, ann)["state"] == "running"


def test_events_tell_each_change_and_end_with_the_job(
    start: Start, own_recorder: Recorder, held: Held, place: Place
) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held")
    with daemon.connect() as client:
        client.send(request("GET", f"{location}/events"))
        told = b""
        while b'"state":"running"' not in told:
            told += client.socket.recv(65536)
        held.go_on.set()
        while not told.endswith(b"0\r\n\r\n"):
            told += client.socket.recv(65536)
    assert b'"state":"succeeded"' in told


def test_the_log_of_access_joins_a_call_and_its_run(start: Start, own_recorder: Recorder) -> None:
    daemon = start(slow(own_recorder.port), section("gateway", workers=1, access_log="-"))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/echo", body=b"five")
    wait(daemon, location)
    job = location.rpartition("/")[2]
    handed_in, ran = daemon.all_records(2, job=job, path="/slow/echo")[:2]
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
