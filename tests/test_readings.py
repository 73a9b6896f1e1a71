from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.running import FRONT, WORD, Running, orders
from tests.upstream.conversation import OK
from twistedgate import __version__
from twistedgate.net.signals import install_signals
from twistedgate.observers.exposition import Families, Format, render
from twistedgate.readings import WORKER_STATES, reading
from twistedgate.view import View

Make = Callable[..., Running]
Labels = frozenset[tuple[str, str]]

PLACE = {"upstream": "orders", "target": "192.0.2.1:80"}
SECOND = {"upstream": "orders", "target": "192.0.2.2:80"}


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


class Scrape:
    """What a gateway shows, by Prometheus' own reader."""

    def __init__(self, running: Running) -> None:
        shown: list[Families] = []
        View(running).families().addCallback(shown.append)
        text = "".join(render(shown[0], Format.OPENMETRICS))
        self.samples: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample, ``None`` if there is none."""
        return self.samples.get((f"twistedgate_{name}", frozenset(labels.items())))


def test_requests_are_counted_as_they_end(make: Make) -> None:
    running = make(FRONT, orders(), WORD.format("here"))
    line = running.connect()
    running.ask("/word", line)
    running.ask("/word", line)
    running.ask("/nowhere", line)
    scrape = Scrape(running)
    assert scrape.value("requests_total", route="word", method="GET", status="200") == 2
    assert scrape.value("requests_total", route="", method="GET", status="404") == 1
    assert scrape.value("failures_total", route="", reason="no-route") == 1
    assert scrape.value("request_duration_seconds_count", route="word") == 2
    assert scrape.value("response_size_bytes_sum", route="word") == 2 * len("here")
    assert scrape.value("connections") == 1
    assert scrape.value("connections_accepted_total") == 1


def test_what_is_under_way_is_shown_by_upstream_and_target(make: Make) -> None:
    running = make(FRONT, orders())
    line = running.connect()
    running.ask("/orders/7", line)
    running.reactor.attempts[-1].succeed()
    during = Scrape(running)
    running.reactor.attempts[-1].connection.dataReceived(OK)
    after = Scrape(running)
    for scrape, under_way in ((during, 1), (after, 0)):
        assert scrape.value("upstream_in_flight", upstream="orders") == under_way
        assert scrape.value("target_in_flight", **PLACE) == under_way
        assert scrape.value("target_requests_total", **PLACE) == 1
    assert after.value("upstream_duration_seconds_count", route="orders") == 1


def test_how_targets_stand(make: Make) -> None:
    running = make(FRONT, orders("http://192.0.2.1, http://192.0.2.2", health_path="/health"))
    running.probe.answer("192.0.2.1:80", 500)
    running.probe.answer("192.0.2.2:80", 200)
    scrape = Scrape(running)
    assert scrape.value("target_up", **PLACE) == 0
    assert scrape.value("target_up", **SECOND) == 1
    assert scrape.value("upstream_available_targets", upstream="orders") == 1
    assert scrape.value("target_probes_total", **PLACE, outcome="failed") == 1
    assert scrape.value("target_probes_total", **SECOND, outcome="passed") == 1


def test_all_that_are_down_are_down_even_where_they_are_tried(make: Make) -> None:
    running = make(FRONT, orders(health_path="/health", when_all_down="try"))
    running.probe.answer("192.0.2.1:80", 500)
    scrape = Scrape(running)
    assert scrape.value("target_up", **PLACE) == 0
    assert scrape.value("upstream_available_targets", upstream="orders") == 1


def test_ejections_and_failures(make: Make) -> None:
    running = make(FRONT, orders("http://192.0.2.1, http://192.0.2.2", eject_after=1, retries=0))
    running.ask("/orders/7")
    attempt = running.reactor.attempts[-1]
    attempt.succeed().dataReceived(OK.replace(b"200", b"503"))
    name = attempt.place
    scrape = Scrape(running)
    assert scrape.value("target_ejections_total", upstream="orders", target=name) == 1
    assert scrape.value("target_failures_total", upstream="orders", target=name) == 1
    assert scrape.value("target_up", upstream="orders", target=name) == 0


def test_a_target_that_goes_takes_its_series_along(make: Make) -> None:
    running = make(FRONT, orders("http://192.0.2.1, http://192.0.2.2"))
    running.reload_with(FRONT, orders("http://192.0.2.2, http://192.0.2.3"))
    shown = {dict(labels)["target"] for name, labels in Scrape(running).samples if "target_requests" in name}
    assert shown == {"192.0.2.2:80", "192.0.2.3:80"}


def test_reloads_are_counted_by_what_came_of_them(make: Make) -> None:
    running = make(FRONT, WORD.format("old"))
    before = Scrape(running)
    assert before.value("last_reload_successful") == 1
    assert before.value("last_reload_timestamp_seconds") == running.opened
    running.reload_with(FRONT, WORD.format("new"))
    assert Scrape(running).value("last_reload_successful") == 1
    running.reload_with(FRONT, "[route:x]\npath = x\n")
    scrape = Scrape(running)
    assert scrape.value("last_reload_successful") == 0
    assert scrape.value("reloads_total", result="applied") == 1
    assert scrape.value("reloads_total", result="refused") == 1
    told = scrape.value("last_reload_timestamp_seconds")
    assert told is not None
    assert running.opened < told <= time.time()


def test_counts_outlive_a_reload(make: Make) -> None:
    running = make(FRONT, orders(), WORD.format("old"))
    running.ask("/word")
    running.ask("/orders/7")
    running.reactor.attempts[-1].succeed().dataReceived(OK)
    changed = orders(connect_timeout="3s")
    running.reload_with(FRONT, changed, WORD.format("new"))
    scrape = Scrape(running)
    assert scrape.value("requests_total", route="word", method="GET", status="200") == 1
    assert scrape.value("target_requests_total", **PLACE) == 1


def test_an_address_that_has_its_share_is_a_limit_hit(make: Make) -> None:
    running = make(FRONT.replace("[listener", "max_connections_per_ip = 1\n[listener"), WORD.format("x"))
    lines = [running.port(8080).connect("192.0.2.7") for _ in range(3)]
    assert [line is None for line in lines] == [False, True, True]
    scrape = Scrape(running)
    assert scrape.value("limits_hit_total", limit="max_connections_per_ip") == 2
    assert scrape.value("connections_accepted_total") == 1


def test_the_gateway_itself(make: Make) -> None:
    running = make(FRONT, WORD.format("x"))
    told = reading(running)
    assert told.workers == {"starting": 0, "serving": 1, "draining": 0, "ending": 0}
    assert tuple(told.workers) == WORKER_STATES
    assert told.wanted_workers == 1
    assert told.versions["version"] == __version__
    assert told.process.resident_bytes > 1 << 20
    assert told.process.open_descriptors <= len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a number
    running.shut_down()
    assert Scrape(running).value("draining") == 1
