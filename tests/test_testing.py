from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from twisted.internet.defer import Deferred

from twistedgate import testing
from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.model import Configuration
from twistedgate.config.schema import REQUIRED, option
from twistedgate.config.values import Rate, rate
from twistedgate.errors import BadMessage
from twistedgate.exchange import Exchange
from twistedgate.http.message import CHUNKED, Response
from twistedgate.policies.key_auth import KeyAuth
from twistedgate.policy import Policy, Stage
from twistedgate.problem import refuse
from twistedgate.runtime import Runtime
from twistedgate.testing import (
    Body,
    Clock,
    FakeUpstream,
    Later,
    admit,
    consumer,
    dress,
    exchange,
    gateway,
    make_policy,
    runtime,
)


class CallQuota(Policy):
    """Allows so many calls in each period."""

    stage = Stage.LIMIT

    @dataclass(frozen=True, slots=True)
    class Config:
        """The options of ``[call-quota:NAME]``."""

        name: str
        calls: Rate = option(rate, REQUIRED, "Calls in a period.")

    def __init__(self, config: Config, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self._calls = config.calls
        self._now = runtime.now
        self._begun = runtime.now()
        self._count = 0

    def on_request(self, exchange: Exchange) -> Response | None:
        """Count the call."""
        if self._now() - self._begun >= self._calls.seconds:
            self._begun, self._count = self._now(), 0
        self._count += 1
        return refuse(429, "too-often") if self._count > self._calls.count else None

    async def on_response(self, exchange: Exchange, response: Response) -> None:
        """Say how many are left."""
        response.headers.set(b"X-Calls-Left", b"%d" % max(self._calls.count - self._count, 0))


class Reader(Policy):
    """Refuses a body that says no, and waits for a verdict on one that says perhaps."""

    needs_request_body = True
    verdict: Deferred[Response | None]

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    async def on_request(self, exchange: Exchange) -> Response | None:
        """Look at the body."""
        if exchange.request.body == b"perhaps":
            return await self.verdict
        return refuse(403, "no") if exchange.request.body == b"no" else None


def test_the_public_names_stay() -> None:
    assert testing.__all__ == [
        "Answer",
        "Body",
        "Client",
        "Clock",
        "FakeUpstream",
        "Later",
        "MemoryGateway",
        "Scripted",
        "Sent",
        "admit",
        "consumer",
        "dress",
        "exchange",
        "gateway",
        "make_policy",
        "runtime",
    ]
    assert all(hasattr(testing, name) for name in testing.__all__)


# exchanges


def test_an_exchange_is_a_get_unless_said_otherwise() -> None:
    request = exchange().request
    assert (request.method, request.target.authority, request.target.path) == (
        "GET",
        "api.example.com",
        "/orders",
    )
    assert (request.body, request.length) == (b"", 0)
    assert exchange().client == "192.0.2.1"
    assert exchange().scheme == "https"


def test_an_exchange_is_what_was_asked_for() -> None:
    made = exchange(
        "POST", "http://a.example:8080/x/../y?q=1", {"X-A": "1"}, body=b"ab", client="2001:db8::1"
    )
    assert (made.request.method, made.request.target.path, made.request.target.query) == (
        "POST",
        "/y",
        "?q=1",
    )
    assert (made.request.target.host, made.request.target.authority) == ("a.example", "a.example:8080")
    assert (made.scheme, made.peer.port, made.client) == ("http", 80, "2001:db8::1")
    assert (made.request.headers.get(b"x-a"), made.request.length, made.request.body) == (b"1", 2, b"ab")


@pytest.mark.parametrize(("url", "path"), [("/a", "/a"), ("http://a.example", "/"), ("*", "*")])
def test_a_url_may_be_short(url: str, path: str) -> None:
    assert exchange("OPTIONS", url).request.target.path == path


def test_headers_may_stand_twice() -> None:
    made = exchange(headers=[("X-A", "1"), ("x-a", "2")])
    assert made.request.headers.get_all(b"x-a") == [b"1", b"2"]


def test_a_policy_sees_no_more_of_a_request_than_in_the_daemon() -> None:
    made = exchange(
        "POST",
        headers={
            "Connection": "X-Private",
            "X-Private": "1",
            "X-Forwarded-For": "203.0.113.9",
            "X-Consumer": "root",
            "Expect": "100-continue",
            "TE": "trailers",
        },
        body=Body(b"a"),
    )
    assert [key for key, _, _ in made.request.headers] == [b"host"]
    assert made.request.expects_continue
    assert made.request.accepts_trailers
    assert made.request.length == CHUNKED


@pytest.mark.parametrize(
    ("headers", "url"),
    [({"Host": "b"}, "/"), ({"Content-Length": "x"}, "/"), ({}, "/%zz"), ({}, "http://a b/")],
)
def test_what_the_daemon_would_refuse_is_refused(headers: dict[str, str], url: str) -> None:
    with pytest.raises(BadMessage):
        exchange("POST", url, headers)


def test_a_header_that_cannot_be_written_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="control character"):
        exchange(headers={"X-A": "1\r\nX-B: 2"})


# one policy


def test_three_lines_try_a_policy() -> None:
    quota = make_policy(CallQuota, calls="1/h")
    assert admit(quota, exchange()) is None
    assert admit(quota, exchange()).status == 429  # type: ignore[union-attr]


def test_time_passes_when_the_test_says_so() -> None:
    clock = Clock()
    quota = make_policy(CallQuota, runtime(now=clock), calls="1/h")
    statuses = []
    for seconds in (0.0, 3599.0, 1.0):
        clock.advance(seconds)
        answer = admit(quota, exchange())
        statuses.append(answer and answer.status)
    assert statuses == [None, 429, None]


def test_a_policy_dresses_the_response_that_is_given_or_a_plain_one() -> None:
    quota = make_policy(CallQuota, calls="3/h")
    admit(quota, exchange())
    assert dress(quota, exchange()).headers.get(b"x-calls-left") == b"2"
    given = Response(404)
    assert dress(quota, exchange(), given) is given
    assert given.headers.has(b"x-calls-left")


def test_options_are_read_as_in_the_file_and_every_error_is_told() -> None:
    with pytest.raises(ConfigurationErrors) as raised:
        make_policy(CallQuota, calls="many", call="1/s")
    assert {error.option for error in raised.value.errors} == {"calls", "call"}
    with pytest.raises(ConfigurationErrors, match=r"\[call-quota:memory\] calls: is missing"):
        make_policy(CallQuota)


def test_consumers_bring_their_keys() -> None:
    auth = make_policy(KeyAuth, runtime(consumers=[consumer("alice", "key-a", "key-b", groups=("gold",))]))
    passing = exchange(headers={"X-API-Key": "key-b"})
    assert admit(auth, passing) is None
    assert (passing.consumer, passing.groups) == ("alice", ("gold",))


@pytest.mark.parametrize(("body", "status"), [(b"yes", None), (b"no", 403)])
def test_a_body_that_comes_is_read_for_a_policy_that_needs_it(body: bytes, status: int | None) -> None:
    coming = Body(body)
    coming.finish()
    reader = make_policy(Reader)
    for passing in (exchange("POST", body=body), exchange("POST", body=coming)):
        answer = admit(reader, passing)
        assert (answer and answer.status) == status


def test_a_policy_that_waits_for_ever_is_a_mistake_of_the_test() -> None:
    reader = make_policy(Reader)
    with pytest.raises(RuntimeError, match="waits for what the test has not given"):
        admit(reader, exchange("POST", body=Body(b"half")))
    reader.verdict = Deferred()
    with pytest.raises(RuntimeError, match="waits for what the test has not given"):
        admit(reader, exchange("POST", body=b"perhaps"))


# the gateway in memory

ORDERS = """
    [route:orders]
    path = /orders/*
    upstream = orders
    policies = call-quota:q
    [call-quota:q]
    calls = 1/h
"""


def test_a_gateway_serves_from_an_ini_text() -> None:
    upstream = FakeUpstream(Response(200, body=b"here"))
    orders = gateway(ORDERS, {"orders": upstream}, [CallQuota])
    answer = orders.serve(exchange())
    assert (answer.status, answer.body, answer.is_whole) == (200, b"here", True)
    assert answer.headers.get(b"x-calls-left") == b"0"
    assert [sent.line for sent in upstream.sent] == ["GET /orders HTTP/1.1"]
    assert [ended.status for ended in orders.observed] == [200]


def test_its_time_is_the_tests() -> None:
    orders = gateway(ORDERS, {"orders": FakeUpstream()}, [CallQuota])
    assert [orders.serve(exchange()).status for _ in range(2)] == [200, 429]
    orders.clock.advance(3600.0)
    later = exchange()
    assert orders.serve(later).status == 200
    assert later.started == later.first_byte == later.finished == orders.clock.now


def test_an_upstream_of_the_text_is_a_fake_too() -> None:
    made = gateway("[upstream:u]\ntargets = http://a.example\n[route:r]\npath = *\nupstream = u\n")
    assert made.serve(exchange()).status == 200
    assert made.upstreams["u"].picked == ["a.example:80"]


def test_a_configuration_will_do_too() -> None:
    text = '[listener:l]\nendpoint = tcp:0\n[route:r]\npath = *\nrespond = 200 "hello"\n'
    configuration = gateway(text).configuration
    assert gateway(replace(configuration)).serve(exchange()).body == b"hello"
    assert gateway(Configuration()).serve(exchange()).status == 404


def test_every_error_of_the_text_is_told() -> None:
    with pytest.raises(ConfigurationErrors) as raised:
        gateway("[route:r]\npath = /x\nupstream = u\npolicies = call-quota:q\n")
    assert [error.option for error in raised.value.errors] == ["upstream", "policies"]
    assert [error.place.line for error in raised.value.errors] == [3, 4]


def test_an_exchange_may_go_on_while_the_test_looks() -> None:
    late = Later()
    orders = gateway(ORDERS, {"orders": FakeUpstream(late)}, [CallQuota])
    client = orders.begin(exchange())
    assert (client.is_done, client.status) == (False, 0)
    assert orders.upstreams["orders"].in_flight == {"192.0.2.11:8080": 1, "192.0.2.12:8080": 0}
    late.answer(Response(202))
    assert (client.is_done, client.status) == (True, 202)


def test_an_answer_that_does_not_come_at_once_is_a_mistake_of_the_test() -> None:
    orders = gateway(ORDERS, {"orders": FakeUpstream(Later())}, [CallQuota])
    with pytest.raises(RuntimeError, match=r"use begin\(\)"):
        orders.serve(exchange())
    assert orders.upstreams["orders"].gate.under_way == 0


async def _awaited(deferred: Deferred[Response | None]) -> int:
    reader = make_policy(Reader)
    reader.verdict = deferred
    answer = await reader.on_request(exchange("POST", body=b"perhaps"))
    return 0 if answer is None else answer.status


def test_a_test_may_await_a_hook_and_a_client() -> None:
    verdict: Deferred[Response | None] = Deferred()
    ended: list[int] = []
    Deferred.fromCoroutine(_awaited(verdict)).addCallback(ended.append)
    verdict.callback(refuse(403, "no"))
    assert ended == [403]

    async def asked() -> int:
        answer = await gateway("[route:r]\npath = *\nrespond = 204\n").begin(exchange())
        return 0 if answer is None else answer.status

    Deferred.fromCoroutine(asked()).addCallback(ended.append)
    assert ended == [403, 204]
