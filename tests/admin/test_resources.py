from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

Converse = Callable[..., Any]


def test_a_gateway_that_runs_is_alive(converse: Converse) -> None:
    answer = converse().ask("/live")
    assert (answer.status, answer.document) == (200, {"live": True})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_a_gateway_with_nothing_against_it_is_ready(converse: Converse) -> None:
    answer = converse().ask("/ready")
    assert (answer.status, answer.document) == (200, {"ready": True, "reasons": []})


def test_a_route_without_a_target_makes_it_unready_but_not_dead(converse: Converse, view: Any) -> None:
    view.reasons = ["route orders: no target of upstream orders is up"]
    conversation = converse()
    answer = conversation.ask("/ready")
    assert answer.status == 503
    assert answer.document == {"ready": False, "reasons": view.reasons}
    assert conversation.ask("/live").status == 200


def test_a_gateway_that_drains_is_not_ready(converse: Converse, view: Any) -> None:
    view.is_draining = True
    view.reasons = ["something else"]
    answer = converse().ask("/ready")
    assert answer.status == 503
    assert answer.document["reasons"] == ["the gateway is shutting down", "something else"]


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What a view may tell as a dataclass."""

    name: str
    in_flight: int


def test_the_status_is_what_the_gateway_tells(converse: Converse, view: Any) -> None:
    view.document = {"version": "1.2.3", "upstreams": {"orders": [TargetReport("192.0.2.1:80", 3)]}}
    answer = converse().ask("/status")
    assert answer.status == 200
    assert answer.document == {
        "version": "1.2.3",
        "upstreams": {"orders": [{"name": "192.0.2.1:80", "in_flight": 3}]},
    }


@pytest.mark.parametrize("path", ["/live", "/ready", "/status", "/metrics", "/nothing"])
def test_head_has_the_head_of_get(path: str, converse: Converse) -> None:
    conversation = converse()
    expected, answer = conversation.ask(path), conversation.ask(path, "HEAD")
    assert answer.body == b""
    assert (answer.status, answer.headers["content-length"]) == (
        expected.status,
        expected.headers["content-length"],
    )


@pytest.mark.parametrize(
    "path",
    ["/", "/live/", "/live/x", "/LIVE", "/%6cive", "//live", "/live;a", "/nothing", "http://localhost/live"],
)
def test_there_is_one_spelling_of_each_path(path: str, converse: Converse) -> None:
    answer = converse().ask(path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.document == {
        "type": "about:blank",
        "title": "No route matches this request.",
        "status": 404,
        "reason": "no-route",
    }


def test_a_query_changes_nothing(converse: Converse) -> None:
    assert converse().ask("/live?a=b&a=c").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"])
def test_only_reading_is_allowed(method: str, converse: Converse) -> None:
    answer = converse().ask("/status", method)
    assert (answer.status, answer.document["reason"]) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "get, head"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("field", ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: none"])
def test_nothing_but_reading_for_a_web_page(method: str, field: str, converse: Converse) -> None:
    name, _, value = field.partition(": ")
    answer = converse().ask("/status", method, **{name: value})
    assert (answer.status, answer.document["reason"]) == (403, "cross-site")
    assert converse().ask("/status", **{name: value}).status == 200
