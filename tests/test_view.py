from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import ADMIN, FRONT, WORD, Running, orders
from tests.upstream.conversation import OK
from twistedgate import __version__
from twistedgate.net.signals import install_signals
from twistedgate.view import LONGEST_TOLD, View

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

Make = Callable[..., Running]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a gateway that runs."""
    made: list[Running] = []

    def run(*sections: str, **known: tuple[str, ...]) -> Running:
        made.append(Running(tmp_path, *sections, **known))
        made[-1].privilegedStartService()
        made[-1].startService()
        made[-1].reactor.run(but=install_signals)
        return made[-1]

    yield run
    for running in made:
        running.stopService()


def status(running: Running) -> Any:
    """Return what the operator is told, as JSON has it."""
    return json.loads(json.dumps(View(running).status()))


# readiness


def test_is_ready_when_its_targets_are_there(make: Make) -> None:
    running = make(FRONT, orders())
    view = View(running)
    assert view.unready_reasons() == []
    assert not view.is_draining


def test_is_not_before_they_are_found(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    assert View(running).unready_reasons() == [
        "the targets are being looked up",
        "upstream orders has no target that may be picked: no address is known",
    ]
    running.names.answer("name.test", "192.0.2.1")
    assert View(running).unready_reasons() == []


def test_is_not_without_a_target_of_an_upstream_that_a_route_leads_to(make: Make) -> None:
    unused = "[upstream:unused]\ntargets = http://192.0.2.9 weight=0\n"
    running = make(FRONT, orders(health_path="/health"), unused)
    running.probe.answer("192.0.2.1:80", 500)
    assert View(running).unready_reasons() == [
        "upstream orders has no target that may be picked: 192.0.2.1:80 is down (status 500)"
    ]


def test_says_what_is_wrong_with_a_few_targets_in_a_few_words(make: Make) -> None:
    targets = ["http://192.0.2.9 weight=0", *(f"http://192.0.2.{number}" for number in range(1, 5))]
    running = make(FRONT, orders(", ".join(targets), health_path="/health"))
    for number, status in ((1, 500), (2, 502), (3, 503), (4, 504)):
        running.probe.answer(f"192.0.2.{number}:80", status)
    first = running.server.upstreams.upstreams["orders"].targets
    first.failed(first.by_name["192.0.2.1:80"], "x" * 1000, 0.0)
    (told,) = View(running).unready_reasons()
    assert told.partition(": ")[2] == (
        f"192.0.2.9:80 is drained, 192.0.2.1:80 is down ({'x' * LONGEST_TOLD}...), "
        "192.0.2.2:80 is down (status 502), and 2 more"
    )


def test_says_that_it_drains(make: Make) -> None:
    running = make(FRONT, orders())
    running.shut_down()
    assert View(running).is_draining
    assert status(running)["draining"] is True


# status


def test_tells_everything_in_jsons_own_types(make: Make) -> None:
    running = make(FRONT, ADMIN, orders(), WORD.format("here"))
    told = status(running)
    assert told["version"] == __version__
    assert MOMENT.fullmatch(told["started"])
    assert told["draining"] is told["accepting_paused"] is False
    assert (told["connections"], told["requests"], told["access_log_dropped"]) == (0, 0, 0)
    assert told["unready"] == []
    assert told["workers"] == [{"pid": os.getpid(), "state": "serving", "connections": 0, "requests": 0}]
    assert told["listeners"] == {
        "public": {"serve": "proxy", "address": "tcp:127.0.0.1:8080", "connections": 0},
        "admin": {"serve": "admin", "address": "tcp:127.0.0.1:9000", "connections": 0},
    }
    assert told["routes"] == {
        "orders": {"host": [], "path": "/orders/*", "upstream": "orders", "in_flight": 0},
        "word": {"host": [], "path": "/word", "upstream": None, "in_flight": 0},
    }


def test_counts_what_is_under_way(make: Make) -> None:
    running = make(FRONT, orders())
    line = running.connect()
    running.ask("/orders/7", line)
    running.reactor.attempts[-1].succeed()
    during = status(running)
    running.reactor.attempts[-1].connection.dataReceived(OK)
    after = status(running)
    for told, under_way in ((during, 1), (after, 0)):
        upstream = told["upstreams"]["orders"]
        (target,) = upstream["targets"]
        counts = [upstream["in_flight"], target["in_flight"], told["routes"]["orders"]["in_flight"]]
        assert counts == [under_way] * 3
        assert (upstream["connections"], upstream["idle_connections"]) == (1, 1 - under_way)
        assert (upstream["requests"], target["requests"], target["failed"]) == (1, 1, 0)
        assert told["connections"] == told["listeners"]["public"]["connections"] == 1
        assert told["requests"] == 1 - under_way
        assert told["workers"][0]["requests"] == told["requests"]
        assert told["workers"][0]["connections"] == 1
    assert after["clock"] >= during["clock"]


def test_says_what_the_process_does(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    states = [status(running)["workers"][0]["state"]]
    assert status(running)["unready"] == View(running).unready_reasons()
    running.names.answer("name.test", "192.0.2.1")
    states.append(status(running)["workers"][0]["state"])
    running.shut_down()
    states.append(status(running)["workers"][0]["state"])
    assert states == ["starting", "serving", "draining"]


def test_says_how_each_target_stands_since_when_and_why(make: Make) -> None:
    running = make(FRONT, orders("http://192.0.2.1, http://192.0.2.2 weight=3", health_path="/health"))
    running.probe.answer("192.0.2.1:80", 500)
    running.probe.answer("192.0.2.2:80", 200)
    upstream = status(running)["upstreams"]["orders"]
    down, up = upstream["targets"]
    assert (upstream["balance"], upstream["available"]) == ("round-robin", 1)
    assert MOMENT.fullmatch(down.pop("since"))
    assert MOMENT.fullmatch(up.pop("since"))
    assert down == {
        "name": "192.0.2.1:80",
        "url": "http://192.0.2.1:80",
        "state": "down",
        "weight": 1,
        "in_flight": 0,
        "requests": 0,
        "failed": 0,
        "last_error": "status 500",
    }
    assert (up["state"], up["weight"], up["last_error"]) == ("up", 3, None)


def test_tells_of_the_configuration_of_now(make: Make) -> None:
    running = make(FRONT, orders(), WORD.format("old"))
    front = FRONT.replace("public", "front")
    running.reload_with(front, orders("http://192.0.2.7:81", balance="random-two"))
    told = status(running)
    assert list(told["routes"]) == ["orders"]
    assert told["listeners"]["front"]["address"] == "tcp:127.0.0.1:8080"
    assert told["upstreams"]["orders"]["balance"] == "random-two"
    assert [target["name"] for target in told["upstreams"]["orders"]["targets"]] == ["192.0.2.7:81"]


def test_a_refused_reload_changes_nothing_of_it(make: Make) -> None:
    running = make(FRONT, orders())
    before = status(running)
    running.reload_with(FRONT, "[route:x]\npath = x\n")
    assert {**status(running), "clock": before["clock"]} == before


def test_each_address_of_a_name_is_told(make: Make) -> None:
    running = make(FRONT, orders("http://name.test:8080"), name=("192.0.2.1", "2001:db8::1"))
    told = status(running)["upstreams"]["orders"]["targets"]
    assert [(target["name"], target["url"]) for target in told] == [
        ("192.0.2.1:8080", "http://name.test:8080"),
        ("[2001:db8::1]:8080", "http://name.test:8080"),
    ]


# what is not to be shown

KEYS = """\
[key-auth:staff]
header = X-Acme
[key-auth:guests]
header =
query = ticket
[headers:x]
request_set = X-Y: z
"""


def test_where_clients_show_their_keys_is_known(make: Make) -> None:
    running = make(FRONT, WORD.format("here"), KEYS)
    assert View(running).credential_names == ["X-Acme", "ticket"]
