"""What becomes of jobs is counted once, whichever process did it, and each run has its line in the log."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import route, section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.jobs import PREFER, Place, hand_in, slow, wait
from tests.end_to_end.harness.metrics import Scrape
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.waiting import until
from tests.end_to_end.harness.workers import serving

GAUGES = ("jobs_queued", "jobs_running", "jobs_oldest_queued_age_seconds")
SLOW = ("slow",)
CALLBACKS = {"async_callback_secret": "whsec_" + "QUJD" * 8}


def ends(daemon: Daemon, count: int) -> dict[tuple[str, ...], float]:
    """Return how jobs ended, once so many have."""

    def look() -> dict[tuple[str, ...], float]:
        found = Scrape(daemon).values("jobs_finished_total")
        return found if sum(found.values()) >= count else {}

    return until(look, f"{count} ends are counted")


def identity(location: str) -> str:
    """Return the id of a job."""
    return location.rpartition("/")[2]


def cancel_as_operator(daemon: Daemon, location: str) -> None:
    """Cancel a job over the admin listener."""
    port = daemon.ports["admin"]
    with Client(port) as client:
        fields = (f"Host: 127.0.0.1:{port}", "Content-Type: application/json")
        assert client.ask("POST", f"/jobs/{identity(location)}/cancel", *fields).status == 200


def test_every_end_is_counted_once_by_who_brought_it_about(
    start: Start, own_recorder: Recorder, slow_held: Held, place: Place
) -> None:
    one = {"async_concurrency": 1, "async_queue_timeout": "3s", "async_max_result": 100}
    daemon = start(place.gateway(), slow(own_recorder.port, **one))
    with daemon.connect() as client:
        for _ in range(2):
            done = hand_in(client, "/slow/echo", "Idempotency-Key: k", body=b"five")
            wait(daemon, done)
        wait(daemon, hand_in(client, "/slow/echo", body=b"x" * 101))
        running = hand_in(client, "/slow/held")
        own_recorder.visit("/slow/held")
        queued = [hand_in(client, "/slow/held") for _ in range(3)]
        for _ in range(2):
            assert client.ask("DELETE", queued[0]).status == 204
        cancel_as_operator(daemon, queued[1])
        assert wait(daemon, queued[2])["reason"] == "expired-in-queue"
        assert client.ask("DELETE", running).status == 204
    assert ends(daemon, 6) == {
        ("succeeded", "slow"): 1,
        ("result-too-large", "slow"): 1,
        ("cancelled", "slow"): 3,
        ("expired-in-queue", "slow"): 1,
    }
    scrape = Scrape(daemon)
    assert scrape.values("jobs_submitted_total") == {SLOW: 6}
    assert scrape.values("job_wait_seconds_count") == {SLOW: 3}
    assert scrape.values("job_run_seconds_count") == {SLOW: 3}
    assert scrape.values("job_retries_total") == {SLOW: 0}
    # what clients have asked for: nobody's request is a run of a job
    assert (
        sum(count for (_, found, _), count in scrape.values("requests_total").items() if found == "slow") == 7
    )


def test_calls_of_workers_that_died_end_once(
    start: Start, own_recorder: Recorder, slow_held: Held, tmp_path: Path
) -> None:
    daemon = start(Place("sqlite", f"sqlite:{tmp_path}/jobs.db").gateway(), slow(own_recorder.port))
    for number in range(4):
        with daemon.connect() as client:
            hand_in(client, "/slow/held")
        own_recorder.visit("/slow/held", number)
    killed = serving(daemon)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    serving(daemon, *killed)
    assert ends(daemon, 4) == {("interrupted", "slow"): 4}
    with daemon.connect() as client:
        wait(daemon, hand_in(client, "/slow/echo"))
    assert ends(daemon, 5) == {("interrupted", "slow"): 4, ("succeeded", "slow"): 1}
    assert Scrape(daemon).values("jobs_submitted_total") == {SLOW: 5}


def test_what_waits_is_what_the_store_says(
    start: Start, own_recorder: Recorder, slow_held: Held, place: Place
) -> None:
    daemon = start(place.gateway(), slow(own_recorder.port, async_concurrency=1))
    assert [Scrape(daemon).values(name) for name in GAUGES] == [{SLOW: 0}] * 3
    with daemon.connect() as client:
        for _ in range(3):
            hand_in(client, "/slow/held")

    def look() -> list[Scrape]:
        scrape = Scrape(daemon)
        return [scrape] if scrape.value("jobs_queued", route="slow") == 2 else []

    (scrape,) = until(look, "two jobs wait")
    assert scrape.values("jobs_running") == {SLOW: 1}
    assert 0 < scrape.value("jobs_oldest_queued_age_seconds", route="slow") < 60
    assert scrape.value("jobs_store_up") == 1


def test_while_the_store_is_away_nothing_is_said_of_what_waits(
    start: Start, own_recorder: Recorder, redis: Place
) -> None:
    daemon = start(redis.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        wait(daemon, hand_in(client, "/slow/echo"))
    assert redis.redis is not None
    redis.redis.kill()
    until(lambda: Scrape(daemon).values("jobs_store_up") == {(): 0}, "the store is away")
    scrape = Scrape(daemon)
    assert [scrape.values(name) for name in GAUGES] == [{}] * 3
    assert scrape.values("jobs_submitted_total") == {SLOW: 1}


def test_a_submission_and_each_run_of_it_have_a_line(
    start: Start, own_recorder: Recorder, place: Place
) -> None:
    answers = iter((503, 200))
    own_recorder.on("/slow/twice", lambda visit: visit.answer(next(answers), b"12345"))
    daemon = start(place.gateway(), slow(own_recorder.port, async_backoff="1ms"))
    with daemon.connect() as client:
        asked = client.ask("PUT", "/slow/twice?a=1", PREFER, body=b"in")
        location = asked.value("location") or ""
        assert wait(daemon, location)["attempts"] == 2
        assert client.get("/slow/echo").status == 200
    job = identity(location)
    lines = {line.get("run", 0): line for line in daemon.all_records(3, job=job, path="/slow/twice")}
    assert lines.keys() == {0, 1, 2}
    assert [lines[run]["status"] for run in (0, 1, 2)] == [202, 503, 200]
    said = ("request_id", "client", "method", "host", "path", "query", "route", "bytes_in")
    for name in said:
        assert len({lines[run][name] for run in (0, 1, 2)}) == 1, name
    last = lines[2]
    assert (last["upstream"], last["attempts"], last["bytes_out"], last["reason"]) == ("main", 1, 5, "")
    assert last["target"].endswith(f":{own_recorder.port}")
    assert 0 < last["first_byte_seconds"] <= last["seconds"] < 25
    assert lines[0]["time"] <= lines[1]["time"] <= last["time"]
    assert daemon.record(job=job, route="_jobs")["path"] == location
    assert "job" not in daemon.record(path="/slow/echo")


def test_callbacks_are_counted_by_what_became_of_them(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/hook/gone", lambda visit: visit.answer(410))
    own_recorder.on("/hook/busy", lambda visit: visit.answer(503))
    daemon = start(slow(own_recorder.port, async_callback_hosts="127.0.0.1", **CALLBACKS))
    with daemon.connect() as client:
        for path in ("well", "gone", "busy"):
            hook = f"Callback-URL: http://127.0.0.1:{own_recorder.port}/hook/{path}"
            wait(daemon, hand_in(client, "/slow/x", hook))

    def look() -> dict[tuple[str, ...], float]:
        counted = Scrape(daemon).values("job_callbacks_total")
        return counted if sum(counted.values()) >= 3 else {}

    counted = until(look, "three tries are counted")
    assert counted.pop(("retried",)) >= 1
    assert counted == {("delivered",): 1, ("unwanted",): 1, ("given-up",): 0}


def test_a_gateway_without_jobs_says_nothing_of_them(start: Start) -> None:
    daemon = start(section("gateway", access_log="-"), route("word", "/word", respond='200 "hello"'))
    with daemon.connect() as client:
        client.get("/word")
    assert not [name for name, _ in Scrape(daemon).samples if "job" in name]
    assert json.dumps(daemon.record(path="/word")).count("job") == 0
