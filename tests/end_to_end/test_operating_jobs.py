"""What an operator sees of jobs and does to them, on every store, against a gateway that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness import terminal
from tests.end_to_end.harness.client import Client, request
from tests.end_to_end.harness.configuration import section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.jobs import STORES, Place, hand_in, make_place, result, slow, wait
from tests.end_to_end.harness.process import resident
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.terminal import Output
from tests.end_to_end.harness.visit import Visit
from tests.stores.redis.server import RedisServer

MIB = 1024 * 1024
SECRET = "Bearer s3cret-of-a-client"


def redis_place(folder: Path, stack: ExitStack) -> Place:
    """Return a Redis that writes nothing down: a disk that takes its time is not what is tried here."""
    server = RedisServer(folder)
    stack.callback(server.kill)
    return Place("redis", f"redis+unix://{server.path}?db=0", server)


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place where jobs may be kept."""
    with ExitStack() as stack:
        is_redis = request.param == "redis"
        yield redis_place(tmp_path, stack) if is_redis else make_place(request.param, tmp_path, stack)


class Operator:
    """Types commands about the jobs of a gateway."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self.folder = folder

    def __call__(self, *words: str) -> Output:
        """Type a command."""
        return terminal.operator(self.folder, "jobs", *words, "-c", str(self.daemon.file))

    def done(self, *words: str) -> str:
        """Type a command that is done, and return what it prints."""
        output = self(*words)
        assert output.code == 0, output.text
        return output.text

    def json(self, *words: str) -> Any:
        """Type a command that is done, and read what it prints."""
        return json.loads(self.done(*words, "--json"))

    def refused(self, *words: str) -> str:
        """Type a command that is refused, and return what it prints."""
        output = self(*words)
        assert output.code == 1, output.text
        assert "Traceback" not in output.text
        return output.text


def admin(folder: Path) -> str:
    return section("listener:admin", endpoint=f"unix:{folder}/admin.sock", serve="admin")


def reset(visit: Visit) -> None:
    """Go away without an answer."""
    visit.read_body()
    visit.reset()


def id_of(location: str) -> str:
    return location.rpartition("/")[2]


def test_a_failed_job_is_found_seen_and_sent_again(
    start: Start, own_recorder: Recorder, tmp_path: Path, place: Place
) -> None:
    own_recorder.on("/slow/7", reset)
    kept = slow(own_recorder.port, async_keep_headers="Authorization, Cookie")
    operate = Operator(start(place.gateway(), admin(tmp_path), kept), tmp_path)
    with operate.daemon.connect() as client:
        location = hand_in(client, "/slow/7?token=s3cret", f"Authorization: {SECRET}", body=b"body")
        other = hand_in(client, "/slow/other")
    assert wait(operate.daemon, location)["reason"] == "reset"
    wait(operate.daemon, other)
    job = id_of(location)

    lines = [line.split() for line in operate.done("list").splitlines()]
    assert {line[0]: line[1] for line in lines[1:]} == {job: "failed", id_of(other): "succeeded"}
    assert operate.done("list", "--state", "failed", "-q") == f"{job}\n"
    assert operate.done("list", "--route", "none") == "there are no such jobs\n"
    told = operate.json("show", job)
    assert (told["state"], told["reason"], told["request"]["kept"]) == ("failed", "reset", True)
    for words in (["show", job], ["show", job, "--json"], ["list", "--json"]):
        assert "s3cret" not in operate.done(*words)
    assert "it failed (reset)" in operate.refused("result", job)

    assert own_recorder.visit("/slow/7").value("authorization") == SECRET
    own_recorder.on("/slow/7", lambda visit: visit.answer(200, visit.read_body() + b" again"))
    said = operate.done("retry", job)
    assert "queued again; it goes out without Authorization and Cookie" in said
    assert wait(operate.daemon, location)["state"] == "succeeded"
    again = own_recorder.visit("/slow/7", 1)
    assert (again.value("authorization"), again.read_body()) == (None, b"body")
    assert result(operate.daemon, location).body == b"body again"
    assert "it succeeded" in operate.refused("retry", job)


def test_jobs_under_way_are_cancelled(
    start: Start, own_recorder: Recorder, slow_held: Held, tmp_path: Path, place: Place
) -> None:
    one = slow(own_recorder.port, async_concurrency=1)
    operate = Operator(start(place.gateway(), admin(tmp_path), one), tmp_path)
    with operate.daemon.connect() as client:
        running, queued = hand_in(client, "/slow/held"), hand_in(client, "/slow/held")
    own_recorder.visit("/slow/held")
    assert "it is running" in operate.refused("result", running)
    assert "request" in operate.done("show", queued)
    assert operate.done("cancel", queued, running).splitlines() == [
        f"{id_of(queued)}: cancelled: it was never sent",
        f"{id_of(running)}: cancelled: its call is cut off",
    ]
    for location in (queued, running):
        assert wait(operate.daemon, location)["state"] == "cancelled"
    output = operate("cancel", running, "nobody-knows-this-one", "--json")
    assert output.code == 1
    told = json.loads(output.text)
    assert [reply["reason"] for reply in told.values()] == ["wrong-state", "unknown-job"]
    assert len(own_recorder.visits_to("/slow/held")) == 1


def test_results_are_fetched_and_purged(
    start: Start, own_recorder: Recorder, tmp_path: Path, place: Place
) -> None:
    body = bytes(range(256)) * 3000
    operate = Operator(start(place.gateway(), admin(tmp_path), slow(own_recorder.port)), tmp_path)
    with operate.daemon.connect() as client:
        locations = [hand_in(client, f"/slow/{number}", body=body) for number in range(3)]
    for location in locations:
        wait(operate.daemon, location)
    file = tmp_path / "result"
    assert operate.done("result", locations[0], "-o", str(file)) == ""
    assert file.read_bytes() == body
    operate.done("result", locations[0], "-i", "-o", str(file))
    head, _, rest = file.read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 Said\r\n")
    assert rest == body
    assert operate.json("result", locations[0])["status"] == 200

    assert operate("purge").code == 2
    assert operate.done("purge", "--state", "failed") == "0 jobs forgotten\n"
    assert operate.done("purge", "--older-than", "1h") == "0 jobs forgotten\n"
    assert operate.done("purge", "--route", "slow", "--state", "succeeded") == "3 jobs forgotten\n"
    assert operate.json("purge", "--all")["purged"] == 0
    assert "its result was forgotten" in operate.refused("result", locations[0])
    assert result(operate.daemon, locations[0]).status == 410
    assert all(job["forgotten"] for job in operate.json("list")["jobs"])


def test_many_jobs_are_listed_and_purged_page_by_page(
    start: Start, own_recorder: Recorder, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        place = make_place("sqlite", tmp_path, stack)
        many = slow(own_recorder.port, async_max_queued_per_caller=1000)
        operate = Operator(start(place.gateway(), admin(tmp_path), many), tmp_path)
        with operate.daemon.connect() as client:
            ids = [id_of(hand_in(client, f"/slow/{number}")) for number in range(230)]
        for job in ids:
            wait(operate.daemon, f"/_jobs/{job}")
        assert operate.done("list", "--limit", "1000", "-q").split() == ids[::-1]
        some = operate.json("list", "--limit", "120", "--route", "slow")
        assert [job["id"] for job in some["jobs"]] == ids[:109:-1]
        rest = operate.json("list", "--limit", "1000", "--route", "slow", "--cursor", some["cursor"])
        assert ([job["id"] for job in rest["jobs"]], rest["cursor"]) == (ids[109::-1], None)
        assert operate.done("purge", "--all") == "230 jobs forgotten\n"


def test_a_large_result_is_not_held(start: Start, own_recorder: Recorder, tmp_path: Path) -> None:
    size = 48 * MIB
    own_recorder.on("/slow/large", lambda visit: visit.answer(200, bytes(size)))
    with ExitStack() as stack:
        place = make_place("sqlite", tmp_path, stack)
        large = slow(own_recorder.port, async_max_result="64m")
        operate = Operator(start(place.gateway(), admin(tmp_path), large), tmp_path)
        with operate.daemon.connect() as client:
            location = hand_in(client, "/slow/large")
        assert wait(operate.daemon, location)["state"] == "succeeded"
        operate.done("show", location)
        before = resident(operate.daemon.pid)
        operate.done("result", location, "-o", str(tmp_path / "large"))
        assert (tmp_path / "large").stat().st_size == size
        # what grows is the cache of SQLite, 16 MiB
        assert resident(operate.daemon.pid) - before < size // 2


def test_a_port_with_a_token_is_asked_as_well(start: Start, own_recorder: Recorder, tmp_path: Path) -> None:
    token = "a-long-token-that-is-not-a-default-0123456789"
    (tmp_path / "token").write_text(f"{token}\n")
    gateway = section("gateway", workers=1, access_log="-", admin_token="file:token")
    daemon = start(gateway, slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/1", body=b"five")
    wait(daemon, location)
    url = ["--url", f"http://127.0.0.1:{daemon.ports['admin']}"]
    output = terminal.operator(tmp_path, "jobs", "result", location, *url, "--token-file", "token")
    assert (output.code, output.text) == (0, "five")
    output = terminal.operator(tmp_path, "jobs", "cancel", location, *url)
    assert (output.code, "admin_token" in output.text) == (1, True)


def test_a_web_page_neither_cancels_nor_purges(
    start: Start, own_recorder: Recorder, slow_held: Held, tmp_path: Path
) -> None:
    daemon = start(section("gateway", workers=1, access_log="-"), slow(own_recorder.port))
    with daemon.connect() as client:
        running, finished = hand_in(client, "/slow/held"), hand_in(client, "/slow/1")
    wait(daemon, finished)
    host = f"Host: 127.0.0.1:{daemon.ports['admin']}"
    ways = [f"/jobs/{id_of(running)}/cancel", f"/jobs/{id_of(finished)}/retry", "/jobs/purge?all=yes"]
    with Client(daemon.ports["admin"]) as client:
        for path in ways:
            for field in ("Origin: https://evil.test", "Content-Type: text/plain"):
                client.send(request("POST", path, host, field, "Content-Length: 0"))
                assert client.answer("POST").status == 403
            client.send(request("POST", path, "Host: evil.test", "Content-Length: 0"))
            assert client.answer("POST").status == 421
            assert client.get(path, host).value("Allow") == "POST"
        shown = client.get(f"/jobs/{id_of(finished)}/result", host)
    assert shown.value("Content-Type") == "application/octet-stream"
    assert result(daemon, finished).status == 200
    slow_held.go_on.set()
    assert wait(daemon, running)["state"] == "succeeded"


def test_a_store_that_is_away_is_told(start: Start, own_recorder: Recorder, tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = redis_place(tmp_path, stack)
        operate = Operator(start(place.gateway(), admin(tmp_path), slow(own_recorder.port)), tmp_path)
        with operate.daemon.connect() as client:
            location = hand_in(client, "/slow/1")
        wait(operate.daemon, location)
        assert place.redis is not None
        place.redis.kill()
        for words in (["list"], ["show", location], ["cancel", location], ["purge", "--all"]):
            assert "the store of jobs is away" in operate.refused(*words)
        output = operate("list", "--json")
        assert (output.code, json.loads(output.text)["reason"]) == (1, "store-away")
