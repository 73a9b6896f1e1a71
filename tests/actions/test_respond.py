from __future__ import annotations

import pytest

from twistedgate.actions.respond import Respond
from twistedgate.config.model import RouteConfig
from twistedgate.testing import Answer, Body, exchange, gateway, runtime


def respond(text: str, method: str = "GET") -> Answer:
    return gateway(f"[route:r]\npath = *\nrespond = {text}\n").serve(exchange(method))


def test_answers_with_a_status_and_a_text() -> None:
    answer = respond('200 "Grüß Gott, all"')
    assert (answer.status, answer.body.decode(), answer.reason) == (200, "Grüß Gott, all", "")
    assert answer.headers.get(b"content-type") == b"text/plain; charset=utf-8"
    assert answer.headers.get(b"x-content-type-options") == b"nosniff"


@pytest.mark.parametrize("status", [200, 204, 404, 503])
def test_answers_with_a_status_alone(status: int) -> None:
    answer = respond(str(status))
    assert (answer.status, answer.body, answer.headers.fields) == (status, b"", ())


def test_a_head_has_the_same_fields_and_no_body() -> None:
    assert respond('200 "a"', "HEAD").body == b""
    assert respond('200 "a"', "HEAD").headers.fields == respond('200 "a"').headers.fields


def test_does_not_wait_for_a_body() -> None:
    made = gateway('[route:r]\npath = *\nrespond = 503 "closed"\n')
    assert made.serve(exchange("POST", body=Body(b"half"))).status == 503


def test_one_answer_is_not_the_next_ones() -> None:
    made = gateway('[route:r]\npath = *\nrespond = 200 "a"\n')
    made.serve(exchange()).headers.set(b"X-A", b"1")
    assert not made.serve(exchange()).headers.has(b"x-a")


def test_a_route_without_an_answer_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="route r has nothing"):
        Respond(RouteConfig("r", path="*"), runtime())
