from __future__ import annotations

import pytest

from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.errors import UpstreamFailure
from twistedgate.fakes.body import Body
from twistedgate.fakes.upstream import FakeUpstream, Later, Sent
from twistedgate.http.message import Response
from twistedgate.runtime import TargetPort, UpstreamPort
from twistedgate.testing import exchange

HEAD = b"PUT /a HTTP/1.1\r\nHost: a.example\r\nX-A: 1: 2\r\n\r\n"
REFUSED = UpstreamFailure(502, "connect-failed")
RESET = UpstreamFailure(502, "reset", wrote=True)


def outcome(upstream: FakeUpstream, body: bytes | Body = b"") -> Response | str | None:
    """Send a request; return the answer, the reason of a failure, or ``None`` if it does not come yet."""
    sending = upstream.send(target(upstream), exchange("PUT", body=body), HEAD)
    try:
        sending.send(None)
    except StopIteration as end:
        answer: Response = end.value
        return answer
    except UpstreamFailure as failure:
        return failure.reason
    sending.close()
    return None


def target(upstream: FakeUpstream, *tried: TargetPort) -> TargetPort:
    picked = upstream.pick(exchange(), list(tried))
    assert picked is not None
    return picked


def test_is_an_upstream() -> None:
    upstream: UpstreamPort = FakeUpstream()
    assert upstream.name == upstream.config.name


def test_does_what_the_script_says_and_the_last_of_it_for_ever() -> None:
    upstream = FakeUpstream(REFUSED, RESET, Response(201), lambda sent: Response(200, body=sent.body))
    outcomes = [outcome(upstream, b"x") for _ in range(5)]
    assert outcomes[:2] == ["connect-failed", "reset"]
    assert [answer.status for answer in outcomes[2:] if isinstance(answer, Response)] == [201, 200, 200]
    assert isinstance(outcomes[4], Response)
    assert outcomes[4].body == b"x"


def test_what_is_said_of_one_answer_is_not_said_of_the_next() -> None:
    upstream = FakeUpstream(Response(200))
    first, second = outcome(upstream), outcome(upstream)
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    first.headers.set(b"X-A", b"1")
    assert not second.headers.has(b"x-a")


def test_a_late_answer_comes_or_fails_later() -> None:
    assert outcome(FakeUpstream(Later())) is None
    late, failing = Later(), Later()
    late.answer(Response(204))
    failing.fail(RESET)
    assert isinstance(outcome(FakeUpstream(late)), Response)
    assert outcome(FakeUpstream(failing)) == "reset"


def test_remembers_what_came_to_a_target() -> None:
    upstream = FakeUpstream(REFUSED, RESET, Response(200))
    for _ in range(3):
        outcome(upstream, b"body")
    assert len(upstream.sent) == 2
    sent = upstream.sent[-1]
    assert (sent.target, sent.line, sent.body, sent.is_whole) == (
        "192.0.2.11:8080",
        "PUT /a HTTP/1.1",
        b"body",
        True,
    )
    assert [(name, value) for _, name, value in sent.headers] == [(b"Host", b"a.example"), (b"X-A", b"1: 2")]


def test_takes_a_body_as_it_comes_and_leaves_it_to_the_next_when_it_fails() -> None:
    upstream, body = FakeUpstream(RESET, Response(200)), Body(b"half")
    assert outcome(upstream, body) == "reset"
    body.receive(b" more")
    outcome(upstream, body)
    body.finish()
    assert [(sent.body, sent.is_whole) for sent in upstream.sent] == [(b"half", False), (b"half more", True)]


def test_a_head_without_fields_has_none() -> None:
    assert Sent("a:80", b"GET / HTTP/1.1\r\n\r\n").headers.fields == ()


def test_picks_in_turn_what_is_up_and_was_not_tried() -> None:
    upstream = FakeUpstream()
    one, two = target(upstream), target(upstream)
    assert upstream.picked == ["192.0.2.11:8080", "192.0.2.12:8080"]
    assert target(upstream, one) is two
    assert target(upstream, one, two) is not None
    upstream.down = {one.name}
    assert target(upstream, two) is two
    upstream.down = {one.name, two.name}
    assert upstream.pick(exchange(), []) is None


def test_counts_what_is_in_flight() -> None:
    upstream = FakeUpstream()
    picked = target(upstream)
    assert upstream.in_flight == {"192.0.2.11:8080": 1, "192.0.2.12:8080": 0}
    upstream.release(picked, exchange())
    with pytest.raises(RuntimeError, match="more often"):
        upstream.release(picked, exchange())


def test_takes_its_targets_and_limits_from_a_configuration() -> None:
    config = UpstreamConfig("u", targets=(TargetConfig("https", "a.example", 443),), max_requests=1)
    upstream = FakeUpstream(config=config)
    assert (upstream.name, target(upstream).authority) == ("u", b"a.example")
    assert [upstream.enter(0.0), upstream.enter(0.0)] == [True, False]
    upstream.leave()
    assert upstream.enter(0.0)
    assert [upstream.may_retry(0.0) for _ in range(4)] == [True, True, True, False]
