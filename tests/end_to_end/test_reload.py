"""A new configuration without a stop: swapped in whole or not at all, and nobody notices."""

from __future__ import annotations

import threading

import pytest

from tests.end_to_end.conftest import Begin, reload
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.harness.configuration import everything_to, ini, listener, route, section, upstream
from tests.end_to_end.harness.process import descriptors
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import accepts
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import PATIENCE, happens, until


def said(client: Client, path: str = "/word") -> bytes:
    return client.get(path).body.strip()


def word(text: str) -> str:
    return route("word", "/word", respond=f'200 "{text}"')


def test_a_valid_configuration_takes_the_place_of_the_old_one(begin: Begin) -> None:
    daemon = begin(word("old"))
    with daemon.connect() as client:
        assert said(client) == b"old"
        reload(daemon, word("new"))
        assert said(client) == b"new"


def test_an_invalid_configuration_changes_nothing_and_every_error_is_logged(begin: Begin) -> None:
    daemon = begin(word("old"))
    with daemon.connect() as client:
        mark = daemon.mark()
        daemon.reload(ini(word("new"), "[route:broken]\npath = broken\nupstrem = nowhere\n"))
        daemon.wait_for_log(r"twistedgate\.ini:\d+: \[route:broken\] path", mark)
        daemon.wait_for_log(r"twistedgate\.ini:\d+: \[route:broken\] upstrem.*upstream", mark)
        assert said(client) == b"old"
        reload(daemon, word("new"))
        assert said(client) == b"new"


def test_a_configuration_that_is_gone_changes_nothing(begin: Begin) -> None:
    daemon = begin(word("old"))
    daemon.file.unlink()
    mark = daemon.mark()
    daemon.reload()
    daemon.wait_for_log(r"twistedgate\.ini", mark)
    with daemon.connect() as client:
        assert said(client) == b"old"


def test_an_exchange_under_way_ends_by_the_configuration_it_began_with(
    begin: Begin, own_recorder: Recorder
) -> None:
    go_on = threading.Event()

    def held(visit: Visit) -> None:
        happens(go_on, "the reload is done")
        visit.answer(200, b"from the old upstream")

    own_recorder.on("/word", held)
    daemon = begin(everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(get("/word"))
        own_recorder.visit("/word")
        reload(daemon, word("new"))
        go_on.set()
        assert client.answer().body == b"from the old upstream"
        assert said(client) == b"new"


def test_an_unchanged_upstream_keeps_its_connections_and_its_counts(
    begin: Begin, own_recorder: Recorder
) -> None:
    daemon = begin(everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert client.get("/before").status == 200
        reload(daemon, everything_to(own_recorder.port), word("new"))
        assert client.get("/after").status == 200
    assert own_recorder.visit("/before").link is own_recorder.visit("/after").link


def test_a_changed_upstream_gives_its_connections_up(begin: Begin, own_recorder: Recorder) -> None:
    daemon = begin(everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert client.get("/before").status == 200
        reload(daemon, everything_to(own_recorder.port, connect_timeout="3s"))
        happens(own_recorder.visit("/before").link.ended, "the old upstream's connection is closed")
        assert client.get("/after").status == 200


def test_listeners_come_and_go(begin: Begin) -> None:
    daemon = begin(word("x"), listener("second"))
    old = daemon.ports["second"]
    with Client(old) as idle:
        assert said(idle) == b"x"
        reload(daemon, word("y"), listener("third"))
        with Client(daemon.ports["third"]) as client:
            assert said(client) == b"y"
        until(lambda: not accepts(old), "the removed listener accepts no more")
        assert idle.rest() == b""
    with daemon.connect() as client:
        assert said(client) == b"y"


def test_a_removed_listener_lets_its_exchanges_end(begin: Begin, own_recorder: Recorder) -> None:
    go_on = threading.Event()

    def held(visit: Visit) -> None:
        happens(go_on, "the listener is gone")
        visit.answer(200, b"in peace")

    own_recorder.on("/held", held)
    daemon = begin(everything_to(own_recorder.port), listener("second"))
    old = daemon.ports["second"]
    with Client(old) as client:
        client.send(get("/held"))
        own_recorder.visit("/held")
        reload(daemon, everything_to(own_recorder.port))
        until(lambda: not accepts(old), "the removed listener accepts no more")
        go_on.set()
        answer = client.answer()
        assert (answer.body, answer.closes) == (b"in peace", True)
        assert client.ends()


def test_a_listener_that_cannot_be_had_changes_nothing(begin: Begin, own_recorder: Recorder) -> None:
    daemon = begin(word("old"))
    mark = daemon.mark()
    taken = section("listener:taken", endpoint=f"tcp:{own_recorder.port}:interface=127.0.0.1")
    daemon.reload(ini(word("new"), taken))
    daemon.wait_for_log(rf"{own_recorder.port}", mark)
    with daemon.connect() as client:
        assert said(client) == b"old"


def test_a_listener_takes_over_its_own_new_limits(begin: Begin) -> None:
    daemon = begin(word("x"))
    with daemon.connect() as client:
        assert said(client) == b"x"
    port = daemon.port
    reload(daemon, word("x"), listener(max_headers=5))
    with Client(port) as client:
        assert client.get("/word", *["X-A: 1"] * 6).status == 431


def test_reloads_under_load_cost_no_request_its_answer(begin: Begin, own_recorder: Recorder) -> None:
    """The short form of a thousand reloads."""
    daemon = begin(everything_to(own_recorder.port))
    stop = threading.Event()
    wrong: list[object] = []
    served = [0, 0]

    def load(place: int) -> None:
        with daemon.connect() as client:
            while not stop.is_set():
                target = f"/load/{place}/{served[place]}"
                answer = client.get(target)
                served[place] += 1
                if (answer.status, answer.value("X-Target")) != (200, target):
                    wrong.append(answer)
                    return

    threads = [threading.Thread(target=load, args=[place]) for place in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            reload(daemon, everything_to(own_recorder.port), word(f"{number}"))
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert wrong == []
    assert min(served) > 0


@pytest.mark.parametrize("changes", ["nothing", "upstream", "listener"])
def test_reloads_leave_no_descriptor_behind(begin: Begin, own_recorder: Recorder, changes: str) -> None:
    daemon = begin(everything_to(own_recorder.port))
    everybody = daemon.everybody
    counts = []
    for number in range(12):
        more = {
            "nothing": [everything_to(own_recorder.port)],
            "upstream": [everything_to(own_recorder.port, connect_timeout=f"{number + 1}s")],
            "listener": [everything_to(own_recorder.port), listener(f"extra-{number}")],
        }[changes]
        reload(daemon, *more)
        with daemon.connect() as client:
            assert client.get("/x", "Connection: close").status == 200
        counts.append(sum(map(descriptors, everybody)))
    # the access log opens when it is first written: one or two more are no leak, one for each reload is
    most = counts[0] + 3 * len(everybody)
    until(lambda: sum(map(descriptors, everybody)) <= most, "no descriptors are left behind")


def test_a_name_that_is_new_is_known_when_the_configuration_is_in_use(
    begin: Begin, own_recorder: Recorder
) -> None:
    daemon = begin(word("x"))
    named = section("upstream:main", targets=f"http://localhost:{own_recorder.port}")
    with daemon.connect() as client:
        reload(daemon, named, route("main", "*"))
        assert client.get("/at-once").status == 200


def test_an_upstream_that_is_removed_is_probed_no_more(begin: Begin, own_recorder: Recorder) -> None:
    checked = upstream("main", own_recorder.port, health_path="/health", health_interval="100ms")
    daemon = begin(checked, route("main", "*"), word("x"))
    own_recorder.visit("/health", 1)
    reload(daemon, word("y"))
    own_recorder.settle()
    until(lambda: "main" not in daemon.status()["upstreams"], "the upstream is gone")
