"""Jobs outlive what happens to processes: deaths, stops, reloads, upgrades, and a Redis that goes away."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start, reload
from tests.end_to_end.harness.configuration import everything_to, ini
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.jobs import (
    CALLERS,
    KEYS,
    PREFER,
    Place,
    hand_in,
    look,
    make_place,
    result,
    slow,
    wait,
)
from tests.end_to_end.harness.processes import is_alive
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import until
from tests.end_to_end.harness.workers import carrier, serving

REPEAT = {"async_delivery": "at-least-once", "async_backoff": "10ms"}


def sender(daemon: Daemon, visit: Visit, port: int) -> int:
    """Return the process that made a call."""
    return carrier(daemon, visit.link.socket.getpeername()[1], port)


# deaths


@pytest.mark.parametrize("delivery", [({}, ("failed", "interrupted", 1)), (REPEAT, ("succeeded", None, 2))])
def test_a_call_whose_worker_dies_goes_as_its_delivery_says(
    start: Start,
    own_recorder: Recorder,
    slow_held: Held,
    tmp_path: Path,
    delivery: tuple[dict[str, str], tuple[str, str | None, int]],
) -> None:
    options, ends = delivery
    with ExitStack() as stack:
        place = make_place("sqlite", tmp_path, stack)
        daemon = start(place.gateway(), slow(own_recorder.port, **options))
        with daemon.connect() as client:
            location = hand_in(client, "/slow/held")
        os.kill(sender(daemon, own_recorder.visit("/slow/held"), own_recorder.port), signal.SIGKILL)
        slow_held.go_on.set()
        document = wait(daemon, location)
    assert (document["state"], document["reason"], document["attempts"]) == ends
    assert len(own_recorder.visits_to("/slow/held")) == document["attempts"]


def test_what_was_accepted_is_done_after_everybody_was_killed(
    start: Start, own_recorder: Recorder, slow_held: Held, lasting: Place
) -> None:
    options = {"async_concurrency": 1, **REPEAT}
    daemon = start(lasting.gateway(), slow(own_recorder.port, **options))
    with daemon.connect() as client:
        locations = [hand_in(client, "/slow/held"), hand_in(client, "/slow/next", body=b"waits")]
        own_recorder.visit("/slow/held")
    everybody = daemon.everybody
    for pid in everybody:
        os.kill(pid, signal.SIGKILL)
    daemon.wait()
    until(lambda: not any(map(is_alive, everybody)), "all are gone")
    assert lasting.redis is None or forget_runners(lasting)
    slow_held.go_on.set()
    successor = start(lasting.gateway(), slow(own_recorder.port, **options))
    documents = [wait(successor, location) for location in locations]
    assert [document["state"] for document in documents] == ["succeeded", "succeeded"]
    assert result(successor, locations[1]).body == b"waits"
    assert len(own_recorder.visits_to("/slow/next")) == 1


def forget_runners(place: Place) -> bool:
    """Let the leases of those that were killed be over: a minute is long for a test."""
    assert place.redis is not None
    place.redis.ask("EVAL", _AGE, 0)
    return True


_AGE = """
for _, key in ipairs(redis.call('KEYS', '*:runners')) do
  for _, runner in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZADD', key, 1, runner) end
end
"""


# a stop, a reload, an upgrade


def test_a_stop_waits_for_calls_under_way(
    start: Start, own_recorder: Recorder, slow_held: Held, lasting: Place
) -> None:
    daemon = start(lasting.gateway(async_drain_timeout="30s"), slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held")
    own_recorder.visit("/slow/held")
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_log("shutting down")
    slow_held.go_on.set()
    assert daemon.wait() == 0
    successor = start(lasting.gateway(), slow(own_recorder.port))
    document = wait(successor, location)
    assert (document["state"], document["attempts"]) == ("succeeded", 1)
    assert result(successor, location).body == b"in peace"


@pytest.mark.parametrize("delivery", [({}, "failed"), (REPEAT, "succeeded")])
def test_a_stop_waits_no_longer_than_it_may(
    start: Start,
    own_recorder: Recorder,
    slow_held: Held,
    lasting: Place,
    delivery: tuple[dict[str, str], str],
) -> None:
    options, state = delivery
    daemon = start(lasting.gateway(async_drain_timeout="100ms"), slow(own_recorder.port, **options))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held")
    own_recorder.visit("/slow/held")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    slow_held.go_on.set()
    document = wait(start(lasting.gateway(), slow(own_recorder.port, **options)), location)
    assert (document["state"], document["reason"]) == (state, None if state == "succeeded" else "interrupted")


def test_a_reload_ends_what_waits_for_a_route_that_is_gone(
    start: Start, own_recorder: Recorder, slow_held: Held, place: Place
) -> None:
    other = slow(own_recorder.port).replace("slow", "other").partition("\n\n")[0]
    other = other[other.index("[route:") :]
    both = slow(own_recorder.port, async_concurrency=1)
    daemon = start(place.gateway(), both, other)
    with daemon.connect() as client:
        running, waiting = hand_in(client, "/slow/held"), hand_in(client, "/slow/next")
        own_recorder.visit("/slow/held")
        reload(daemon, place.gateway(), both[: both.index("[route:")], other)
        document = wait(daemon, waiting)
        assert (document["state"], document["reason"]) == ("failed", "route-gone")
        assert look(client, running)["state"] == "running"
    slow_held.go_on.set()
    assert wait(daemon, running)["state"] == "succeeded"
    assert own_recorder.visits_to("/slow/next") == []


def test_a_reload_begins_to_run_jobs(start: Start, own_recorder: Recorder, place: Place) -> None:
    daemon = start(place.gateway(), everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert client.ask("POST", "/slow/x", PREFER).status == 200
    reload(daemon, place.gateway(), slow(own_recorder.port))
    with daemon.connect() as client:
        location = hand_in(client, "/slow/x")
    assert wait(daemon, location)["state"] == "succeeded"


def test_an_upgrade_loses_no_call_and_doubles_none(
    start: Start, own_recorder: Recorder, slow_held: Held, lasting: Place
) -> None:
    daemon = start(lasting.gateway(async_drain_timeout="30s"), slow(own_recorder.port, async_concurrency=1))
    with daemon.connect() as client:
        locations = [hand_in(client, "/slow/held"), hand_in(client, "/slow/next")]
    own_recorder.visit("/slow/held")
    old, mark = serving(daemon), daemon.mark()
    daemon.signal(signal.SIGUSR2)
    daemon.wait_for_log(r"\bready\b", mark)
    serving(daemon, *old)
    with daemon.connect() as client:
        assert look(client, locations[0])["state"] == "running"
    slow_held.go_on.set()
    assert [wait(daemon, location)["state"] for location in locations] == ["succeeded", "succeeded"]
    for path in ("/slow/held", "/slow/next"):
        assert len(own_recorder.visits_to(path)) == 1


# one Redis


def test_two_gateways_on_one_redis_are_one(
    start: Start, own_recorder: Recorder, slow_held: Held, redis: Place, tmp_path: Path
) -> None:
    sections = redis.gateway(workers=1), slow(own_recorder.port, async_concurrency=1)
    first = start(*sections)
    (tmp_path / "second").mkdir()
    with Daemon(tmp_path / "second", ini(*sections)) as second:
        with first.connect() as one, second.connect() as other:
            held_up, cancelled = hand_in(one, "/slow/held"), hand_in(one, "/slow/never")
            assert look(other, held_up)["state"] == "running"
            assert other.ask("DELETE", cancelled).status == 204
            assert look(one, cancelled)["state"] == "cancelled"
            # cut by the other one, though the call is the first one's
            assert other.ask("DELETE", held_up).status == 204
            first.wait_until_idle()
            slow_held.go_on.set()
            moved = hand_in(one, "/slow/moved", body=b"there")
        assert wait(second, moved)["state"] == "succeeded"
        assert result(second, moved).body == b"there"
    assert own_recorder.visits_to("/slow/never") == []


def test_what_one_gateway_took_the_other_does_and_lists(
    start: Start, own_recorder: Recorder, slow_held: Held, redis: Place, tmp_path: Path
) -> None:
    route = slow(own_recorder.port, async_concurrency=1, policies="key-auth:who", **REPEAT)
    sections = redis.gateway(workers=1), CALLERS, route
    ann = f"X-API-Key: {KEYS['ann']}"
    first = start(*sections)
    (tmp_path / "second").mkdir()
    with Daemon(tmp_path / "second", ini(*sections)) as second:
        with first.connect() as client:
            locations = [hand_in(client, path, ann) for path in ("/slow/held", "/slow/next")]
        own_recorder.visit("/slow/held")
        # it was claimed as it was handed in: by the first one
        first.process.kill()
        first.wait()
        forget_runners(redis)
        slow_held.go_on.set()
        assert [wait(second, location, ann)["state"] for location in locations] == ["succeeded"] * 2
        with second.connect() as client:
            listed = json.loads(client.get("/_jobs", ann).body)["jobs"]
        assert [job["links"]["self"] for job in listed] == locations[::-1]
    assert len(own_recorder.visits_to("/slow/held")) == 2


def test_a_redis_that_goes_away_and_comes_back(
    start: Start, own_recorder: Recorder, slow_held: Held, redis: Place
) -> None:
    daemon = start(redis.gateway(), slow(own_recorder.port))
    server, before = redis.redis, daemon.everybody
    assert server is not None
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held")
        own_recorder.visit("/slow/held")
        server.kill()
        for answer in (client.ask("POST", "/slow/x", PREFER), client.get(location)):
            assert (answer.status, json.loads(answer.body)["reason"]) == (503, "store-away")
        assert client.ask("POST", "/slow/x", body=b"plain").body == b"plain"
    slow_held.go_on.set()
    server.start()
    until(lambda: accepts_jobs(daemon), "jobs are accepted again")
    assert wait(daemon, location)["state"] == "succeeded"
    assert result(daemon, location).body == b"in peace"
    assert daemon.everybody == before
    assert len(own_recorder.visits_to("/slow/held")) == 1


def test_a_redis_that_comes_back_empty(
    start: Start, own_recorder: Recorder, slow_held: Held, redis: Place
) -> None:
    daemon = start(redis.gateway(), slow(own_recorder.port))
    server, before = redis.redis, daemon.everybody
    assert server is not None
    with daemon.connect() as client:
        location = hand_in(client, "/slow/held")
    own_recorder.visit("/slow/held")
    server.kill()
    for path in Path(server.path).parent.glob("appendonlydir/*"):
        path.unlink()
    slow_held.go_on.set()
    server.start()
    until(lambda: accepts_jobs(daemon), "jobs are accepted again")
    with daemon.connect() as client:
        assert client.get(location).status == 404
        again = hand_in(client, "/slow/again")
    assert wait(daemon, again)["state"] == "succeeded"
    assert daemon.everybody == before


def accepts_jobs(daemon: Daemon) -> bool:
    """Whether every worker takes jobs: four connections reach both."""
    for _ in range(4):
        with daemon.connect() as client:
            if client.ask("POST", "/slow/probe", PREFER).status != 202:
                return False
    return True


def test_a_client_that_takes_too_long_is_cut_while_calls_of_jobs_go_on(
    start: Start, own_recorder: Recorder, slow_held: Held, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        place = make_place("sqlite", tmp_path, stack)
        daemon = start(
            place.gateway(workers=1, drain_timeout="100ms", async_drain_timeout="30s"),
            slow(own_recorder.port),
        )
        with daemon.connect() as client, daemon.connect() as other:
            hand_in(client, "/slow/held")
            own_recorder.visit("/slow/held")
            other.send(b"POST /slow/never-whole HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n")
            own_recorder.visit("/slow/never-whole")
            daemon.signal(signal.SIGTERM)
            assert other.rest() == b""
            assert daemon.process.poll() is None
        slow_held.go_on.set()
        assert daemon.wait() == 0
