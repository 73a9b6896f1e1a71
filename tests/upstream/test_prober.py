from __future__ import annotations

import dataclasses

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from tests.conftest import LoggedFailures
from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.upstream.prober import HealthCheck, Prober, Probers, Probing

CHECK = HealthCheck(
    name="192.0.2.1:8080",
    scheme="http",
    address="192.0.2.1",
    port=8080,
    host="orders.example.com:8080",
    path="/health",
    interval=10.0,
    timeout=2.0,
    statuses=((200, 299), (304, 304)),
)


class Targets:
    """A probe whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancelled = 0
        self.at_once: int | None = None
        self._waiting: list[Deferred[int]] = []

    def __call__(self, check: HealthCheck) -> Deferred[int]:
        self.asked.append(check.name)
        if self.at_once is not None:
            return succeed(self.at_once)
        self._waiting.append(Deferred(self._cancel))
        return self._waiting[-1]

    def _cancel(self, asking: Deferred[int]) -> None:
        self.cancelled += 1

    def answer(self, status: int) -> None:
        self._waiting.pop(0).callback(status)

    def fail(self, error: Exception) -> None:
        self._waiting.pop(0).errback(error)


class Chance:
    """Says what the test wants by chance."""

    value = 0.5

    def __call__(self) -> float:
        return self.value


class Heard:
    """What was told about targets."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool, str, float]] = []

    def __call__(self, name: str, is_good: bool, detail: str, now: float) -> None:
        self.told.append((name, is_good, detail, now))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def targets() -> Targets:
    return Targets()


@pytest.fixture
def chance() -> Chance:
    return Chance()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def probing(clock: Clock, targets: Targets, chance: Chance) -> Probing:
    return Probing(clock, clock.seconds, chance, targets)


def test_asks_at_once_and_again_an_interval_after_it_began(
    clock: Clock, probing: Probing, targets: Targets, heard: Heard
) -> None:
    prober = Prober(CHECK, probing, heard)
    prober.start()
    assert len(targets.asked) == 1
    clock.advance(1.5)
    targets.answer(200)
    assert heard.told == [(CHECK.name, True, "status 200", 1.5)]
    clock.advance(8.4)
    assert len(targets.asked) == 1
    clock.advance(0.1)
    assert len(targets.asked) == 2
    prober.stop()
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(("value", "due"), [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)])
def test_comes_early_or_late_by_a_tenth(
    *,
    value: float,
    due: float,
    clock: Clock,
    probing: Probing,
    targets: Targets,
    chance: Chance,
    heard: Heard,
) -> None:
    chance.value = value
    prober = Prober(CHECK, probing, heard)
    prober.start()
    targets.answer(200)
    assert [call.getTime() for call in clock.getDelayedCalls()] == [pytest.approx(due)]
    prober.stop()


@pytest.mark.parametrize(
    ("status", "is_good"), [(199, False), (200, True), (299, True), (300, False), (304, True), (503, False)]
)
def test_judges_by_the_status(
    status: int, is_good: bool, probing: Probing, targets: Targets, heard: Heard
) -> None:
    prober = Prober(CHECK, probing, heard)
    prober.start()
    targets.answer(status)
    assert heard.told == [(CHECK.name, is_good, f"status {status}", 0.0)]
    prober.stop()


def test_no_answer_in_time_is_a_bad_one(
    clock: Clock, probing: Probing, targets: Targets, heard: Heard
) -> None:
    prober = Prober(CHECK, probing, heard)
    prober.start()
    clock.advance(2.0)
    assert targets.cancelled == 1
    assert heard.told == [(CHECK.name, False, "no answer within 2 s", 2.0)]
    clock.advance(8.0)
    assert len(targets.asked) == 2
    prober.stop()


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (Refused("nobody there"), "Connection was refused by other side: nobody there."),
        (ResponseNeverReceived([Failure(ValueError("what a\x1b[2J\nmess"))]), "what a\\x1b[2J\\nmess"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), "x" * 200),
    ],
)
def test_a_failure_is_a_bad_answer_told_on_one_line(
    error: Exception, detail: str, probing: Probing, targets: Targets, heard: Heard
) -> None:
    prober = Prober(CHECK, probing, heard)
    prober.start()
    targets.fail(error)
    assert heard.told == [(CHECK.name, False, detail, 0.0)]
    prober.stop()


def test_a_check_longer_than_the_interval_is_followed_at_once_and_never_joined(
    clock: Clock, probing: Probing, targets: Targets, heard: Heard
) -> None:
    prober = Prober(dataclasses.replace(CHECK, interval=1.0), probing, heard)
    prober.start()
    clock.advance(1.9)
    assert len(targets.asked) == 1
    targets.answer(200)
    clock.advance(0)
    assert len(targets.asked) == 2
    prober.stop()


def test_a_stop_gives_up_what_is_under_way_and_tells_nothing(
    clock: Clock, probing: Probing, targets: Targets, heard: Heard
) -> None:
    prober = Prober(CHECK, probing, heard)
    prober.start()
    prober.stop()
    assert targets.cancelled == 1
    assert heard.told == []
    assert not clock.getDelayedCalls()


def test_may_be_stopped_by_what_it_tells(clock: Clock, probing: Probing, targets: Targets) -> None:
    prober = Prober(CHECK, probing, lambda *told: prober.stop())
    prober.start()
    targets.answer(200)
    assert not clock.getDelayedCalls()


def test_whoever_cannot_hear_does_not_end_the_checks(
    clock: Clock, probing: Probing, targets: Targets, logged_failures: LoggedFailures
) -> None:
    def refuse(*told: object) -> None:
        raise RuntimeError(told)

    prober = Prober(CHECK, probing, refuse)
    prober.start()
    targets.answer(200)
    assert len(logged_failures.flush(RuntimeError)) == 1
    clock.advance(10)
    assert len(targets.asked) == 2
    prober.stop()


def test_answers_may_come_at_once(clock: Clock, probing: Probing, targets: Targets, heard: Heard) -> None:
    targets.at_once = 204
    prober = Prober(CHECK, probing, heard)
    prober.start()
    clock.advance(10)
    assert [now for _, _, _, now in heard.told] == [0.0, 10.0]
    prober.stop()
    assert not clock.getDelayedCalls()


def test_shows_what_it_does(probing: Probing, targets: Targets, heard: Heard) -> None:
    prober = Prober(CHECK, probing, heard)
    prober.start()
    assert repr(prober) == "<Prober 192.0.2.1:8080 asking>"
    targets.answer(200)
    assert repr(prober) == "<Prober 192.0.2.1:8080 waiting>"
    prober.stop()
    assert repr(prober) == "<Prober 192.0.2.1:8080 stopped>"


def test_an_update_leaves_equal_checks_alone(
    clock: Clock, probing: Probing, targets: Targets, heard: Heard
) -> None:
    other = dataclasses.replace(CHECK, name="192.0.2.2:8080", address="192.0.2.2")
    third = dataclasses.replace(CHECK, name="192.0.2.3:8080", address="192.0.2.3")
    probers = Probers(probing, heard)
    probers.update([CHECK, other])
    targets.answer(200)
    targets.answer(200)
    clock.advance(5)
    changed = dataclasses.replace(other, path="/other")
    probers.update([dataclasses.replace(CHECK), changed, third])
    assert targets.asked == [CHECK.name, other.name, other.name, third.name]
    assert [call.getTime() for call in clock.getDelayedCalls()] == [7.0, 7.0, 10.0]
    probers.update([third])
    assert targets.cancelled == 1
    probers.stop()
    assert not clock.getDelayedCalls()
    assert repr(probers) == "<Probers []>"


def upstream(target: TargetConfig, health_host: str = "") -> UpstreamConfig:
    return UpstreamConfig(
        "orders",
        targets=(target,),
        health_path="/health?full",
        health_interval=7.0,
        health_timeout=3.0,
        health_status=((200, 204),),
        health_host=health_host,
    )


@pytest.mark.parametrize(
    ("scheme", "host", "port", "address", "own", "name"),
    [
        ("http", "orders.example.com", 8080, "192.0.2.1", "orders.example.com:8080", "192.0.2.1:8080"),
        ("http", "orders.example.com", 80, "2001:db8::1", "orders.example.com", "[2001:db8::1]:80"),
        ("https", "2001:db8::1", 443, "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"),
        ("https", "192.0.2.1", 80, "192.0.2.1", "192.0.2.1:80", "192.0.2.1:80"),
    ],
)
def test_a_check_is_made_from_the_configuration(
    *, scheme: str, host: str, port: int, address: str, own: str, name: str
) -> None:
    target = TargetConfig(scheme, host, port)
    check = HealthCheck.of(upstream(target), target, address)
    assert check == HealthCheck(name, scheme, address, port, own, "/health?full", 7.0, 3.0, ((200, 204),))
    assert HealthCheck.of(upstream(target, "health.example"), target, address).host == "health.example"


def test_a_probe_that_fails_at_once_is_a_bad_answer(clock: Clock, chance: Chance, heard: Heard) -> None:
    probing = Probing(clock, clock.seconds, chance, lambda check: fail(Refused("nobody there")))
    prober = Prober(CHECK, probing, heard)
    prober.start()
    assert [is_good for _, is_good, _, _ in heard.told] == [False]
    prober.stop()
    assert not clock.getDelayedCalls()


def test_another_may_be_told_of_what_is_under_way(clock: Clock, probing: Probing, targets: Targets) -> None:
    before, after = Heard(), Heard()
    probers = Probers(probing, before)
    probers.update([CHECK])
    probers.tell(after)
    targets.answer(200)
    clock.advance(10.0)
    targets.answer(500)
    assert before.told == []
    assert [(is_good, detail) for _, is_good, detail, _ in after.told] == [
        (True, "status 200"),
        (False, "status 500"),
    ]
    assert (probers.find(CHECK.name), probers.find("192.0.2.9:80")) == (CHECK, None)
    probers.stop()


@pytest.mark.parametrize(
    ("change", "is_alike"),
    [
        ({"interval": 1.0}, True),
        ({"path": "/other"}, False),
        ({"timeout": 9.0}, False),
        ({"host": "x"}, False),
    ],
)
def test_two_checks_ask_alike_however_often(change: dict[str, object], is_alike: bool) -> None:
    changed = dataclasses.replace(CHECK, **change)  # type: ignore[arg-type]
    assert (CHECK.question == changed.question) is is_alike
