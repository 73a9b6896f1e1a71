from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from tests.conftest import LoggedFailures
from tests.upstream.network import Names, Network
from twistedgate.admin.view import Outcome
from twistedgate.config.errors import ConfigurationError, ConfigurationErrors, Place
from twistedgate.config.model import Configuration, GatewayConfig, TargetConfig, UpstreamConfig
from twistedgate.downstream.listeners import CannotListen
from twistedgate.reloading import Reloading, names_of
from twistedgate.upstream.resolver import Resolver
from twistedgate.upstream.settling import Settling


def configured(**options: Any) -> Configuration:
    return Configuration(GatewayConfig(**options))


def with_target(host: str) -> Configuration:
    upstream = UpstreamConfig("orders", targets=(TargetConfig("http", host, 80),))
    return Configuration(upstreams={"orders": upstream})


class House:
    """A gateway that takes configurations; what the file says, and what using it comes to, is the test's."""

    def __init__(self) -> None:
        self.network = Network()
        self.names = Names()
        self.present = configured()
        self.file: Configuration | Exception = self.present
        self.answer: Deferred[None] | Exception | None = None
        self.used: list[Configuration] = []
        self.resolver = Resolver(self.network, self.names)
        settling = Settling(self.resolver)
        self.reloading = Reloading("a.ini", settling, self._load, lambda: self.present, self._use)

    def _load(self) -> Configuration:
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def _use(self, configuration: Configuration) -> Deferred[None] | None:
        self.used.append(configuration)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer.addCallback(lambda _: self._swap(configuration))
        self._swap(configuration)
        return None

    def _swap(self, configuration: Configuration) -> None:
        self.present = configuration

    def ask(self, file: Configuration | Exception) -> list[Outcome]:
        """Ask for a reload of what the file says; the list gets what became of it."""
        self.file = file
        outcomes: list[Outcome] = []
        self.reloading.ask().addCallback(outcomes.append)
        return outcomes


@pytest.fixture
def house() -> House:
    return House()


def test_tells_what_changed_and_logs_the_same(house: House) -> None:
    with capturedLogs() as logged:
        (outcome,) = house.ask(configured(drain_delay=3.0))
    assert (outcome.is_done, outcome.said) == (True, "changed gateway (drain_delay)")
    assert [str(change) for change in outcome.changes] == ["changed gateway (drain_delay)"]
    assert [formatEvent(event) for event in logged] == ["reloaded a.ini: changed gateway (drain_delay)"]
    assert house.present.gateway.drain_delay == 3.0


def test_what_is_equal_is_taken_all_the_same(house: House) -> None:
    """Certificates are read again, although their paths are the same."""
    (outcome,) = house.ask(configured())
    assert (outcome.said, outcome.changes, len(house.used)) == ("nothing changed", (), 1)


def test_every_error_is_told(house: House) -> None:
    wrong = [ConfigurationError(Place("a.ini", line), "route:x", "path", "is wrong") for line in (7, 8)]
    with capturedLogs() as logged:
        (outcome,) = house.ask(ConfigurationErrors(wrong))
    told = [f"a.ini:{line}: [route:x] path: is wrong" for line in (7, 8)]
    assert (outcome.is_done, outcome.errors) == (False, tuple(told))
    said = [formatEvent(event) for event in logged]
    assert said == [
        *(f"reload refused: {error}" for error in told),
        "the configuration stays as it was: 2 errors",
    ]
    assert house.used == []


@pytest.mark.parametrize("options", [{"workers": 2}, {"state": "sqlite:x"}])
def test_what_wants_a_start_is_refused_and_nothing_is_applied(house: House, options: Any) -> None:
    (outcome,) = house.ask(configured(drain_delay=3.0, **options))
    assert len(outcome.errors) == 1
    assert "restart" in outcome.errors[0]
    assert house.used == []


def test_an_address_that_cannot_be_had_is_told(house: House) -> None:
    house.answer = CannotListen("[listener:x] endpoint: in use")
    (outcome,) = house.ask(configured(drain_delay=3.0))
    assert outcome.errors == ("[listener:x] endpoint: in use",)
    assert house.present.gateway.drain_delay == 0


def test_of_an_unknown_failure_only_the_log_has_the_text(
    house: House, logged_failures: LoggedFailures
) -> None:
    house.answer = RuntimeError("s3cret")
    (outcome,) = house.ask(configured())
    assert not outcome.is_done
    assert "s3cret" not in repr(outcome)
    assert len(logged_failures.flush(RuntimeError)) == 1


def test_waits_for_names_and_says_so(house: House) -> None:
    with capturedLogs() as logged:
        outcomes = house.ask(with_target("name.test"))
    assert [formatEvent(event) for event in logged] == [
        "the reload waits until it is known where name.test is"
    ]
    assert repr(house.reloading) == "<Reloading a.ini, waits for name.test>"
    waited = list(outcomes)
    house.names.answer("name.test", "192.0.2.1")
    assert (waited, outcomes[0].said) == ([], "added upstream:orders")
    assert repr(house.reloading) == "<Reloading a.ini, waits for nothing>"


@pytest.mark.parametrize("is_sound", [True, False])
def test_one_that_waits_is_given_up_for_another(house: House, is_sound: bool) -> None:
    outcomes = house.ask(with_target("name.test"))
    later = house.ask(configured(drain_delay=3.0) if is_sound else CannotListen("x"))
    assert outcomes[0].errors == ("given up while it waited for names: there is another",)
    assert later[0].is_done is is_sound
    house.names.answer("name.test", "192.0.2.1")
    assert len(outcomes) == len(later) == 1
    assert len(house.used) == is_sound


def test_one_that_waits_ends_with_the_gateway(house: House) -> None:
    outcomes = house.ask(with_target("name.test"))
    house.reloading.stop("the gateway is shutting down")
    house.reloading.stop("the gateway is shutting down")
    assert [outcome.is_done for outcome in outcomes] == [False]
    assert "the gateway is shutting down" in outcomes[0].errors[0]
    assert house.used == []


def test_one_that_is_being_put_to_use_is_waited_for(house: House) -> None:
    first: Deferred[None] = Deferred()
    house.answer = first
    outcomes = house.ask(configured(drain_delay=3.0))
    house.answer = None
    later = house.ask(configured(drain_delay=3.0, max_connections=7))
    begun = (list(outcomes), list(later), len(house.used))
    first.callback(None)
    assert begun == ([], [], 1)
    assert [outcome.said for outcome in (*outcomes, *later)] == [
        "changed gateway (drain_delay)",
        "changed gateway (max_connections)",
    ]


def test_names_are_not_forgotten_while_a_configuration_is_put_to_use(house: House) -> None:
    house.answer = Deferred()
    outcomes = house.ask(with_target("name.test"))
    house.names.answer("name.test", "192.0.2.1")
    assert (outcomes, repr(house.resolver)) == ([], "<Resolver [<name.test 192.0.2.1>]>")
    house.answer.callback(None)
    assert (outcomes[0].said, repr(house.resolver)) == ("added upstream:orders", "<Resolver []>")


def test_the_names_of_a_configuration_are_the_hosts_of_its_targets() -> None:
    assert names_of(with_target("name.test")) == {"name.test"}
    assert names_of(configured()) == set()
