from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.web.test.requesthelper import DummyRequest

from twistedgate.admin.answers import answer, refuse
from twistedgate.errors import Refusal


def asked(method: bytes = b"GET") -> Any:
    request = DummyRequest([b""])
    request.method = method
    return request


def head(request: Any) -> dict[str, str]:
    fields = request.responseHeaders.getAllRawHeaders()
    return {name.decode().lower(): value.decode() for name, (value,) in fields}


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
def test_an_answer_is_json_that_nothing_stores(method: bytes) -> None:
    request = asked(method)
    body = answer(request, 200, {"live": True})
    assert body == (b"" if method == b"HEAD" else b'{\n  "live": true\n}\n')
    assert request.responseCode == 200
    assert head(request) == {
        "content-type": "application/json",
        "content-length": "19",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }


def test_a_refusal_is_a_problem_document() -> None:
    request = asked()
    refusal = Refusal(404, "no-route", fields=((b"Allow", b"GET"),))
    document = json.loads(refuse(request, refusal))
    assert document == {
        "type": "about:blank",
        "title": "No route matches this request.",
        "status": 404,
        "reason": "no-route",
    }
    assert (head(request)["content-type"], head(request)["allow"]) == ("application/problem+json", "GET")


def test_a_refusal_says_more_to_the_operator() -> None:
    document = json.loads(refuse(asked(), Refusal(409, "command-refused", "there is a"), {"errors": ["b"]}))
    assert (document["detail"], document["errors"]) == ("there is a", ["b"])
