from __future__ import annotations

import json

import pytest

from twistedgate.errors import TITLES, BadMessage, Refusal, UpstreamFailure
from twistedgate.http.message import Response
from twistedgate.problem import complete, from_failure, from_refusal, refuse
from twistedgate.testing import Body, exchange


def completed(response: Response) -> Response:
    complete(response, exchange())
    return response


def document(response: Response) -> dict[str, object]:
    body = completed(response).body
    assert isinstance(body, bytes)
    read: dict[str, object] = json.loads(body)
    return read


@pytest.mark.parametrize("reason", sorted(TITLES))
def test_a_document_says_in_a_sentence_what_the_reason_is(reason: str) -> None:
    assert document(refuse(400, reason)) == {
        "type": "about:blank",
        "title": TITLES[reason],
        "status": 400,
        "reason": reason,
        "request_id": "request-1",
    }


def test_a_reason_of_somebody_elses_policy_has_the_phrase_of_its_status() -> None:
    assert document(refuse(429, "quota-used-up"))["title"] == "Too Many Requests"
    assert document(refuse(499, "odd"))["title"] == ""


def test_a_document_is_one_line_of_the_length_that_is_announced() -> None:
    response = completed(refuse(404, "no-route"))
    assert isinstance(response.body, bytes)
    assert (response.body.count(b"\n"), response.length) == (1, len(response.body))


def test_a_document_is_neither_kept_nor_guessed_at() -> None:
    headers = completed(refuse(404, "no-route")).headers
    assert headers.get(b"content-type") == b"application/problem+json"
    assert headers.get(b"cache-control") == b"no-store"
    assert headers.get(b"x-content-type-options") == b"nosniff"


def test_with_a_503_the_client_may_come_again() -> None:
    assert refuse(503, "too-many").headers.get_all(b"retry-after") == [b"1"]
    given = refuse(503, "too-many", fields=((b"Retry-After", b"9"),))
    assert given.headers.get_all(b"retry-after") == [b"9"]
    assert not refuse(502, "reset").headers.has(b"retry-after")


def test_a_refusal_that_has_its_own_body_keeps_it() -> None:
    own, source = refuse(403, "no"), Body()
    own.body = b"<p>no</p>"
    assert completed(own).body == b"<p>no</p>"
    streamed = Response(403, body=source, reason="no")
    assert completed(streamed).body is source


def test_an_answer_is_no_refusal_and_has_no_document() -> None:
    assert completed(Response(404)).body == b""


def test_what_was_raised_is_told_without_its_detail() -> None:
    secret = "10.0.0.7 said no"
    answers = [
        from_refusal(Refusal(403, "no", secret, fields=((b"X-Why", b"1"),))),
        from_refusal(BadMessage(400, "bad-framing", secret)),
        from_failure(UpstreamFailure(503, "no-target", secret)),
    ]
    assert [(one.status, one.reason, one.closes) for one in answers] == [
        (403, "no", False),
        (400, "bad-framing", True),
        (503, "no-target", False),
    ]
    assert answers[0].headers.get(b"x-why") == b"1"
    assert answers[2].headers.has(b"retry-after")
    for answer in answers:
        assert "10.0.0.7" not in repr(completed(answer).body)
