"""Targets that fall ill and recover, seen by clients, by the operator and in the log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.end_to_end.conftest import Begin, reload
from tests.end_to_end.harness.client import get
from tests.end_to_end.harness.configuration import everything_to, route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import free_port
from tests.end_to_end.harness.targets import target, wait_until
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import until

CHECKED = {
    "health_path": "/health",
    "health_interval": "100ms",
    "health_rise": 2,
    "health_fall": 2,
    "eject_after": 0,
}


@dataclass
class Patient:
    """An upstream whose health can be set; it says its name."""

    name: bytes
    recorder: Recorder
    status: int = 200
    breaks: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.recorder.on("/health", lambda visit: visit.answer(self.status))
        self.recorder.otherwise(self.serve)

    def serve(self, visit: Visit) -> None:
        """Answer with the name, or break."""
        visit.read_body()
        if self.breaks.is_set():
            visit.reset()
        else:
            visit.answer(200, self.name)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.recorder.port


@pytest.fixture
def two() -> Iterator[list[Patient]]:
    """Two upstreams, both well."""
    with ExitStack() as stack:
        yield [Patient(name, stack.enter_context(Recorder())) for name in (b"one", b"two")]


def answered_by(daemon: Daemon, times: int = 6) -> set[bytes]:
    """Return who answers some requests in a row, all of them well."""
    with daemon.connect() as client:
        answers = [client.get("/x") for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return {answer.body for answer in answers}


def test_a_target_that_fails_its_checks_gets_nothing_until_it_passes_them(
    begin: Begin, two: list[Patient]
) -> None:
    daemon = begin(upstream("main", two[0].port, two[1].port, **CHECKED), route("main", "*"))
    for patient in two:
        wait_until(daemon, "main", patient.port, "up")
    assert answered_by(daemon) == {b"one", b"two"}
    two[0].status = 503
    wait_until(daemon, "main", two[0].port, "down")
    until(lambda: answered_by(daemon) == {b"two"}, "everybody who serves knows")
    assert daemon.wait_for_log(rf"127\.0\.0\.1:{two[0].port}.*503")
    two[0].status = 204
    wait_until(daemon, "main", two[0].port, "up")
    assert answered_by(daemon) == {b"one", b"two"}


def returned(begin: Begin, two: list[Patient], slow_start: str) -> Daemon:
    """Return a gateway whose first target was down, and is back."""
    options = {**CHECKED, "slow_start": slow_start}
    daemon = begin(upstream("main", two[0].port, two[1].port, **options), route("main", "*"))
    wait_until(daemon, "main", two[1].port, "up")
    for status, state in ((503, "down"), (204, "up")):
        two[0].status = status
        wait_until(daemon, "main", two[0].port, state)
    return daemon


def test_a_target_that_returns_begins_with_a_tenth_of_its_weight(begin: Begin, two: list[Patient]) -> None:
    """Over a week, so that the time a test takes adds nothing that could be seen."""
    daemon = returned(begin, two, "7d")
    assert [target(daemon, "main", patient.port)["weight"] for patient in two] == [0.1, 1]
    with daemon.connect() as client:
        answered = [client.get("/x").body for _ in range(40)]
    assert 0 < answered.count(b"one") < 8


def test_and_grows_into_all_of_it(begin: Begin, two: list[Patient]) -> None:
    daemon = returned(begin, two, "200ms")
    until(lambda: target(daemon, "main", two[0].port)["weight"] == 1, "it has all of its weight")
    until(lambda: answered_by(daemon, 4) == {b"one", b"two"}, "it has its share again")


def test_a_check_asks_as_it_is_told(begin: Begin, two: list[Patient]) -> None:
    patient = two[0]
    patient.status = 418
    begin(
        upstream("main", patient.port, **{**CHECKED, "health_host": "checked.test", "health_status": "418"}),
        route("main", "*"),
    )
    visit = patient.recorder.visit("/health", 2)
    assert (visit.method, visit.value("Host")) == ("GET", "checked.test")


def test_a_check_that_gets_no_answer_fails(begin: Begin, two: list[Patient]) -> None:
    two[0].recorder.on("/health", lambda visit: visit.link.wait_for_end())
    options = {**CHECKED, "health_timeout": "500ms"}
    daemon = begin(upstream("main", two[0].port, two[1].port, **options), route("main", "*"))
    wait_until(daemon, "main", two[0].port, "down")
    assert answered_by(daemon) == {b"two"}


def test_checks_of_a_target_that_does_not_listen_fail(begin: Begin, two: list[Patient]) -> None:
    dead = free_port()
    daemon = begin(upstream("main", dead, two[1].port, **CHECKED), route("main", "*"))
    wait_until(daemon, "main", dead, "down")
    assert answered_by(daemon) == {b"two"}


def test_with_every_target_down_clients_are_told_at_once(begin: Begin, two: list[Patient]) -> None:
    daemon = begin(upstream("main", two[0].port, **CHECKED), route("main", "*"))
    until(lambda: daemon.admin("/ready").status == 200, "the gateway is ready")
    two[0].status = 500
    wait_until(daemon, "main", two[0].port, "down")
    with daemon.connect() as client:
        answer = client.get("/x")
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "no-target")
    assert answer.value("Retry-After")
    ready = daemon.admin("/ready")
    assert ready.status == 503
    assert b"main" in ready.body


def test_with_every_target_down_it_is_tried_where_the_operator_says_so(
    begin: Begin, two: list[Patient]
) -> None:
    options = {**CHECKED, "when_all_down": "try"}
    daemon = begin(upstream("main", two[0].port, **options), route("main", "*"))
    two[0].status = 500
    wait_until(daemon, "main", two[0].port, "down")
    assert answered_by(daemon) == {b"one"}


def test_a_target_that_fails_in_traffic_is_ejected_and_comes_back_by_a_trial(
    begin: Begin, two: list[Patient]
) -> None:
    daemon = begin(
        upstream("main", two[0].port, two[1].port, eject_after=2, eject_for="200ms", retry_budget="100%"),
        route("main", "*"),
    )
    two[0].breaks.set()
    assert answered_by(daemon, 12) == {b"two"}
    assert daemon.wait_for_log(rf"127\.0\.0\.1:{two[0].port}.*eject")
    two[0].breaks.clear()
    until(lambda: b"one" in answered_by(daemon), "the ejected target is back")
    assert target(daemon, "main", two[0].port)["state"] == "up"


def test_who_is_down_or_ejected_is_so_after_a_change_of_something_else(
    begin: Begin, two: list[Patient]
) -> None:
    ports = [patient.port for patient in two]
    options = {**CHECKED, "eject_after": 1, "eject_for": "300s", "max_ejected": "100%"}
    with Recorder() as third:
        third.otherwise(lambda visit: visit.answer(200, b"three"))
        daemon = begin(upstream("main", *ports, third.port, **options), route("main", "*"))
        two[0].status = 503
        wait_until(daemon, "main", ports[0], "down")
        two[1].breaks.set()
        answered_by(daemon)
        wait_until(daemon, "main", ports[1], "ejected")
        reload(daemon, upstream("main", *ports, third.port, retries=0, **options), route("main", "*"))
        assert answered_by(daemon, 6) == {b"three"}
        assert [target(daemon, "main", port)["state"] for port in ports] == ["down", "ejected"]


def test_the_last_target_is_never_ejected(begin: Begin, two: list[Patient]) -> None:
    daemon = begin(everything_to(two[0].port, eject_after=1, eject_for="5m", retries=0))
    two[0].breaks.set()
    with daemon.connect() as client:
        assert [client.get("/x").status for _ in range(5)] == [502] * 5
    two[0].breaks.clear()
    assert answered_by(daemon) == {b"one"}


def test_a_target_that_dies_and_returns_costs_no_idempotent_request_its_answer(
    begin: Begin, two: list[Patient]
) -> None:
    """The short form of killing one of the upstreams under load."""
    daemon = begin(
        upstream("main", two[0].port, two[1].port, eject_after=2, eject_for="100ms", retry_budget="100%"),
        route("main", "*"),
    )
    with daemon.connect() as client:
        statuses = []
        for number in range(90):
            if number == 30:
                two[0].breaks.set()
            if number == 60:
                two[0].breaks.clear()
            client.send(get(f"/x/{number}"))
            statuses.append(client.answer().status)
    assert statuses == [200] * 90
