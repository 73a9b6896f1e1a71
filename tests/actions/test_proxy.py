from __future__ import annotations

import base64

import pytest

from twistedgate.errors import UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.message import CHUNKED, Response
from twistedgate.testing import Body, FakeUpstream, Later, MemoryGateway, Scripted, Sent, exchange, gateway
from twistedgate.wire.framing import judge_request, judge_request_fields

ONE, TWO = "192.0.2.11:8080", "192.0.2.12:8080"
REFUSED = UpstreamFailure(502, "connect-failed")
RESET = UpstreamFailure(502, "reset", wrote=True)
UNTOUCHED = UpstreamFailure(502, "reset", wrote=False)
FINE = Response(200, body=b"fine")


def proxy(*script: Scripted, upstream: str = "", route: str = "") -> MemoryGateway:
    """Return a gateway of one route, with further lines for the two sections."""
    targets = f"http://{ONE}, http://{TWO}" if "targets" not in upstream else ""
    lines = ["[upstream:u]", f"targets = {targets}" if targets else "", upstream]
    lines += ["[route:r]", "path = *", "upstream = u", route]
    return gateway("\n".join(lines), {"u": FakeUpstream(*script)})


def fake(made: MemoryGateway) -> FakeUpstream:
    return made.upstreams["u"]


def nothing_left(made: MemoryGateway) -> bool:
    """Whether every count came back."""
    return fake(made).gate.under_way == 0 and set(fake(made).in_flight.values()) == {0}


# the answer


def test_brings_the_answer_of_a_target_back() -> None:
    made, passing = proxy(FINE), exchange()
    assert made.serve(passing).body == b"fine"
    assert (passing.upstream, passing.target, passing.attempts) == ("u", ONE, 1)
    assert nothing_left(made)


def test_an_error_of_the_target_is_an_answer() -> None:
    made = proxy(Response(503, body=b"busy"))
    answer = made.serve(exchange())
    assert (answer.status, answer.body, answer.reason) == (503, b"busy", "")
    assert len(fake(made).picked) == 1


@pytest.mark.parametrize(
    ("failure", "status"),
    [(REFUSED, 502), (RESET, 502), (UpstreamFailure(504, "response-timeout", wrote=True), 504)],
)
def test_a_failure_is_told_by_its_reason(failure: UpstreamFailure, status: int) -> None:
    made = proxy(failure, upstream="retries = 0")
    answer = made.serve(exchange())
    assert (answer.status, answer.reason) == (status, failure.reason)
    assert nothing_left(made)


def test_without_a_target_that_is_up_the_client_may_come_again() -> None:
    made = proxy()
    fake(made).down = {ONE, TWO}
    answer = made.serve(exchange())
    assert (answer.status, answer.reason) == (503, "no-target")
    assert answer.headers.has(b"retry-after")
    assert nothing_left(made)


def test_past_max_requests_of_the_upstream_nothing_is_sent() -> None:
    made = proxy(Later(), upstream="max_requests = 1")
    first = made.begin(exchange())
    answer = made.serve(exchange())
    assert (answer.status, answer.reason, len(fake(made).sent)) == (503, "too-many", 1)
    assert answer.headers.has(b"retry-after")
    first.leave()
    assert nothing_left(made)


def test_a_client_that_leaves_is_counted_out_and_nothing_is_sent_again() -> None:
    made = proxy(Later())
    client = made.begin(exchange())
    assert fake(made).in_flight == {ONE: 1, TWO: 0}
    client.leave()
    assert nothing_left(made)
    assert len(fake(made).picked) == 1


# what is sent again


def retried(failure: UpstreamFailure, passing: Exchange) -> bool:
    """Whether the request went to another target after ``failure``, and was answered from there."""
    made = proxy(failure, FINE)
    answer = made.serve(passing)
    assert nothing_left(made)
    assert passing.attempts == len(fake(made).picked)
    if passing.attempts == 1:
        assert (answer.status, answer.reason) == (failure.status, failure.reason)
        return False
    assert fake(made).picked == [ONE, TWO]
    assert (answer.status, passing.target) == (200, TWO)
    return True


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "LOCK"])
def test_after_a_connection_that_could_not_be_made_any_method_is_sent_again(method: str) -> None:
    assert retried(REFUSED, exchange(method))
    assert retried(REFUSED, exchange(method, body=b"held"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_after_a_reset_an_idempotent_method_is_sent_again(method: str) -> None:
    assert retried(RESET, exchange(method))
    assert retried(RESET, exchange(method, body=b"held"))


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK", "PROPFIND", "PURGE"])
def test_after_a_reset_any_other_method_is_never_sent_again(method: str) -> None:
    assert not retried(RESET, exchange(method))
    assert not retried(RESET, exchange(method, body=b"held"))


def test_a_reset_before_a_byte_went_out_is_no_more_than_a_failed_connection() -> None:
    assert retried(UNTOUCHED, exchange("POST", body=b"held"))


@pytest.mark.parametrize("reason", ["connect-timeout", "response-timeout", "read-timeout", "bad-response"])
def test_after_a_timeout_or_nonsense_nothing_is_sent_again(reason: str) -> None:
    for wrote in (False, True):
        assert not retried(UpstreamFailure(504, reason, wrote=wrote), exchange())


@pytest.mark.parametrize("failure", [REFUSED, RESET])
def test_a_body_that_is_not_held_any_more_is_not_sent_again(failure: UpstreamFailure) -> None:
    gone, held = Body(b"long"), Body(b"short")
    gone.can_replay = False
    assert not retried(failure, exchange("PUT", body=gone))
    made = proxy(failure, FINE)
    assert made.begin(exchange("PUT", body=held)).answer is not None
    assert fake(made).sent[-1].body == b"short"


def test_a_body_is_sent_again_from_its_first_byte() -> None:
    made = proxy(RESET, lambda sent: Response(200, body=sent.body))
    assert made.serve(exchange("PUT", body=b"whole")).body == b"whole"
    assert [sent.body for sent in fake(made).sent] == [b"whole", b"whole"]


@pytest.mark.parametrize("retries", [0, 1, 2, 3])
def test_no_more_often_than_retries_says(retries: int) -> None:
    made = proxy(RESET, upstream=f"retries = {retries}")
    assert made.serve(exchange()).status == 502
    assert len(fake(made).picked) == 1 + retries


def test_never_to_the_same_target_while_another_is_up() -> None:
    made = proxy(RESET, upstream="retries = 3")
    made.serve(exchange())
    assert fake(made).picked == [ONE, TWO, ONE, TWO]
    alone = proxy(RESET, upstream="retries = 1")
    fake(alone).down = {TWO}
    alone.serve(exchange())
    assert fake(alone).picked == [ONE, ONE]


def test_a_target_that_failed_is_counted_out_before_the_next_is_tried() -> None:
    made = proxy(RESET, Later())
    client = made.begin(exchange())
    assert fake(made).in_flight == {ONE: 0, TWO: 1}
    client.leave()


def test_the_budget_bounds_the_retries_of_all_requests_together() -> None:
    made = proxy(RESET, upstream="retries = 1\nretry_budget = 0%")
    for _ in range(6):
        assert made.serve(exchange()).status == 502
    assert len(fake(made).picked) == 6 + 3
    made.clock.advance(20.0)
    made.serve(exchange())
    assert len(fake(made).picked) == 6 + 3 + 2


# the head that a target sees


def sent(passing: Exchange, upstream: str = "", route: str = "") -> Sent:
    made = proxy(upstream=upstream, route=route)
    assert made.serve(passing).status == 200
    return fake(made).sent[0]


def fields(passing: Exchange) -> list[tuple[bytes, bytes]]:
    return [(name, value) for _, name, value in sent(passing).headers]


def test_a_head_is_written_whole() -> None:
    passing = exchange("GET", "https://a.example/b?c=%2f", {"X-A": "1"})
    assert sent(passing).head == b"GET /b?c=%2f HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\n\r\n"


def test_the_path_goes_out_in_its_one_form_and_the_query_as_it_came() -> None:
    assert sent(exchange(url="https://a.example//b/../%63?%63//..")).line == "GET /c?%63//.. HTTP/1.1"


@pytest.mark.parametrize(
    ("option", "host"),
    [
        ("", b"a.example:81"),
        ("host_header = preserve", b"a.example:81"),
        ("host_header = target", b"one.example:8080"),
        ("host_header = inner.example", b"inner.example"),
    ],
)
def test_host_is_the_clients_the_targets_or_a_literal(option: str, host: bytes) -> None:
    one = sent(exchange(url="https://A.example:81/"), upstream=f"targets = http://one.example:8080\n{option}")
    assert one.headers.get_all(b"host") == [host]


def test_the_targets_own_host_has_no_port_where_it_is_the_usual_one() -> None:
    upstream = "targets = https://one.example:443\nhost_header = target"
    assert sent(exchange(), upstream=upstream).headers.get(b"host") == b"one.example"


def test_an_absolute_target_has_the_last_word_over_host() -> None:
    passing = exchange()
    said = judge_request_fields([(b"Host", b"other.example")], is_http10=False)
    passing.request = judge_request("GET", b"http://A.example:8080/x?y", False, said)
    one = sent(passing)
    assert (one.line, one.headers.get_all(b"host")) == ("GET /x?y HTTP/1.1", [b"a.example:8080"])


def test_a_request_of_http10_without_a_host_gets_the_targets() -> None:
    passing = exchange()
    passing.request = judge_request("GET", b"/", True, judge_request_fields([], is_http10=True))
    assert sent(passing).headers.get_all(b"host") == [ONE.encode()]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("path = /shop/*\nstrip_prefix = /shop", "GET /a?b HTTP/1.1"),
        ("path = /shop/*\nadd_prefix = /v1", "GET /v1/shop/a?b HTTP/1.1"),
        ("path = /shop/*\nstrip_prefix = /shop\nadd_prefix = /v1", "GET /v1/a?b HTTP/1.1"),
    ],
)
def test_prefixes_are_taken_off_and_put_on(options: str, line: str) -> None:
    upstream = FakeUpstream()
    made = gateway(f"[route:r]\nupstream = u\n{options}\n", {"u": upstream})
    made.serve(exchange(url="https://a.example/shop/a?b"))
    assert upstream.sent[0].line == line


def test_what_strip_prefix_leaves_is_a_path() -> None:
    upstream = FakeUpstream()
    made = gateway("[route:r]\npath = /a/*\nstrip_prefix = /a\nupstream = u\n", {"u": upstream})
    made.serve(exchange(url="https://a.example/a"))
    assert upstream.sent[0].line == "GET / HTTP/1.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_of_nothing_is_announced_where_a_body_is_usual(method: str) -> None:
    assert fields(exchange(method))[1:] == [(b"Content-Length", b"0")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_no_body_is_not_announced_elsewhere(method: str) -> None:
    assert fields(exchange(method))[1:] == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_a_body_goes_with_its_length_whatever_the_method(method: str) -> None:
    one = sent(exchange(method, body=b"abc"))
    assert (one.headers.get_all(b"content-length"), one.body) == ([b"3"], b"abc")
    assert not one.headers.has(b"transfer-encoding")


def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    body = Body(b"a", length=CHUNKED)
    body.finish()
    one = sent(exchange("POST", body=body))
    assert one.headers.get_all(b"transfer-encoding") == [b"chunked"]
    assert not one.headers.has(b"content-length")


def test_an_expectation_is_passed_on() -> None:
    passing = exchange("POST", headers={"Expect": "100-Continue"}, body=b"a")
    assert (b"Expect", b"100-continue") in fields(passing)
    assert (b"Expect", b"100-continue") not in fields(exchange("POST", body=b"a"))


def test_a_client_that_takes_trailers_is_spoken_for_hop_by_hop() -> None:
    passing = exchange(headers={"TE": "trailers, gzip", "Connection": "TE, close"})
    assert fields(passing)[1:] == [(b"Connection", b"TE"), (b"TE", b"trailers")]


def test_a_websocket_is_asked_for_and_nothing_else_of_the_hop() -> None:
    headers = {
        "Connection": "keep-alive, Upgrade",
        "Upgrade": "WebSocket",
        "TE": "trailers",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    one = sent(exchange(headers=headers)).headers
    assert one.get_all(b"connection") == [b"Upgrade"]
    assert one.get_all(b"upgrade") == [b"websocket"]
    assert not one.has(b"te")
    assert not one.has(b"content-length")


def test_another_protocol_is_not_asked_for() -> None:
    one = sent(exchange(headers={"Connection": "Upgrade", "Upgrade": "h2c"})).headers
    assert not one.has(b"upgrade")
    assert not one.has(b"connection")
