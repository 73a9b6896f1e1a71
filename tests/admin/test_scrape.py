from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.admin.conftest import Converse, StaticView
from tests.conftest import LoggedFailures
from twistedgate.admin import scrape
from twistedgate.observers.exposition import Family, Format, render

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.fixture
def view(view: StaticView) -> StaticView:
    """Return a gateway with three metrics."""
    view.metrics = [Family(f"gate_{name}", "gauge", "A number.", [((), 1)]) for name in ("a", "b", "c")]
    return view


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each turn of the reactor write one piece."""
    monkeypatch.setattr(scrape, "SLICE", 0.0)


def shown(body: bytes) -> list[str]:
    return [line for line in body.decode().splitlines() if not line.startswith("# HELP")]


def test_metrics_are_told_as_text(converse: Converse, view: StaticView) -> None:
    answer = converse().ask("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "accept"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert shown(answer.body)[:2] == ["# TYPE gate_a gauge", "gate_a 1"]


def test_or_in_openmetrics_for_who_wants_that(converse: Converse, view: StaticView) -> None:
    answer = converse().ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"] == OPENMETRICS
    assert shown(answer.body)[-1] == "# EOF"


def test_several_fields_of_accept_are_one(converse: Converse, view: StaticView) -> None:
    conversation = converse()
    conversation.begin(
        "/metrics", "Accept: text/plain;q=0.1", "Accept: application/openmetrics-text;q=0.2", method="GET"
    )
    assert conversation.answered().headers["content-type"] == OPENMETRICS


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_takes_long_is_answered_in_a_later_turn(
    converse: Converse, view: StaticView, clock: Clock, method: str
) -> None:
    conversation = converse()
    conversation.begin("/metrics", method=method)
    assert conversation.transport.value() == b""
    clock.advance(0)
    answer = conversation.answered()
    expected = "".join(render(view.metrics, Format.TEXT)).encode()
    assert int(answer.headers["content-length"]) == len(expected)
    assert answer.body == (b"" if method == "HEAD" else expected)


def test_what_has_to_be_asked_for_first_is_waited_for(converse: Converse, view: StaticView) -> None:
    view.looking = Deferred()
    conversation = converse()
    conversation.begin("/metrics", method="GET")
    assert conversation.transport.value() == b""
    view.looking.callback(view.metrics)
    assert shown(conversation.answered().body)[:2] == ["# TYPE gate_a gauge", "gate_a 1"]


def test_where_that_fails_who_waits_is_told(
    converse: Converse, view: StaticView, logged_failures: LoggedFailures
) -> None:
    view.looking = Deferred()
    conversation = converse()
    conversation.begin("/metrics", method="GET")
    view.looking.errback(ZeroDivisionError())
    assert conversation.answered().status == 500
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


@pytest.mark.parametrize("is_well", [True, False])
def test_who_has_left_by_then_is_not_answered(
    converse: Converse, view: StaticView, logged_failures: LoggedFailures, is_well: bool
) -> None:
    looking = view.looking = Deferred()
    conversation = converse()
    conversation.begin("/metrics", method="GET")
    conversation.close()
    looking.callback(view.metrics) if is_well else looking.errback(ZeroDivisionError())
    assert conversation.transport.value() == b""
    assert len(logged_failures.flush(ZeroDivisionError)) == int(not is_well)


@pytest.mark.usefixtures("slowly")
def test_nothing_is_written_for_who_has_left(converse: Converse, view: StaticView, clock: Clock) -> None:
    conversation = converse()
    conversation.begin("/metrics", method="GET")
    conversation.close()
    clock.advance(0)
    assert conversation.transport.value() == b""


@pytest.mark.usefixtures("slowly")
def test_who_waits_is_told_of_a_failure(
    converse: Converse, view: StaticView, clock: Clock, logged_failures: LoggedFailures
) -> None:
    def breaks() -> Iterator[Any]:
        yield (), 1
        raise ZeroDivisionError

    view.metrics = [Family("gate_a", "gauge", "A number.", breaks())]
    conversation = converse()
    conversation.begin("/metrics", method="GET")
    clock.advance(0)
    answer = conversation.answered()
    assert (answer.status, answer.document["reason"]) == (500, "internal")
    assert len(logged_failures.flush(ZeroDivisionError)) == 1
