from __future__ import annotations

import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import LoggedFailures
from twistedgate.errors import BadMessage, Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.http.hops import Peer
from twistedgate.http.message import Response
from twistedgate.routing.table import RouteTable
from twistedgate.testing import (
    Body,
    Client,
    Clock,
    FakeUpstream,
    Later,
    MemoryGateway,
    Scripted,
    exchange,
    gateway,
)

ROUTES = """
    [route:orders]
    host = api.example.com
    path = /orders/*
    methods = GET, POST
    upstream = orders
    max_requests = 2
    policies = headers:marked
    [route:more]
    path = /orders/*
    methods = DELETE
    respond = 204
    [route:static]
    path = /static
    respond = 200 "static"
    [headers:marked]
    response_set = X-Marked: yes
"""


def serving(*script: Scripted) -> MemoryGateway:
    return gateway(ROUTES, {"orders": FakeUpstream(*script)})


def nothing_left(made: MemoryGateway) -> bool:
    """Whether every gate and every count came back: all that may be under way still is."""
    orders = made.upstreams["orders"]
    late = [Later(), Later()]
    orders._script = [*late, Response(200)]
    clients = [made.begin(exchange()) for _ in late]
    full = made.serve(exchange()).status == 503
    for one in late:
        one.answer(Response(200))
    counts = (orders.gate.under_way, set(orders.in_flight.values()))
    return full and counts == (0, {0}) and all(client.is_done for client in clients)


# which pipeline


def test_the_route_that_matches_answers() -> None:
    made, passing = serving(Response(200, body=b"order 7")), exchange(url="https://api.example.com/orders/7")
    assert made.serve(passing).body == b"order 7"
    assert (passing.route, passing.status, passing.reason) == ("orders", 200, "")
    assert made.serve(exchange(url="https://other.example/static")).body == b"static"


def test_no_route_is_a_404_and_nothing_of_the_request_is_repeated() -> None:
    passing = exchange(url="https://api.example.com/none/script")
    answer = serving().serve(passing)
    assert (answer.status, answer.reason, passing.route) == (404, "no-route", "")
    assert b"script" not in answer.body


def test_no_route_for_the_method_is_a_405_that_says_which_there_are() -> None:
    answer = serving().serve(exchange("PATCH"))
    assert (answer.status, answer.reason) == (405, "method-not-allowed")
    allowed = answer.headers.get(b"allow")
    assert allowed is not None
    assert set(allowed.split(b", ")) == {b"GET", b"HEAD", b"POST", b"DELETE"}


def test_head_is_answered_where_get_is() -> None:
    answer = serving(Response(200, body=b"order")).serve(exchange("HEAD"))
    assert (answer.status, answer.body) == (200, b"")


def test_options_of_the_whole_server_is_the_gateways_own() -> None:
    made, passing = serving(), exchange("OPTIONS", "*")
    answer = made.serve(passing)
    assert (answer.status, answer.body, passing.route) == (204, b"", "")
    assert b"GET" in (answer.headers.get(b"allow") or b"")
    assert made.upstreams["orders"].sent == []


# refusals


def test_a_refusal_is_a_problem_document() -> None:
    answer = serving().serve(exchange(url="https://api.example.com/none"))
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "No route matches this request.",
        "status": 404,
        "reason": "no-route",
        "request_id": "request-1",
    }
    assert answer.headers.get(b"content-type") == b"application/problem+json"
    assert answer.headers.get(b"cache-control") == b"no-store"


def test_what_was_refused_before_the_line_is_answered_and_observed() -> None:
    observed: list[Exchange] = []
    made: Gateway = Gateway(RouteTable([]), observed.append, Clock(7.0))
    unread = Exchange(None, Peer("192.0.2.1", 80, "http", False, "public"), "id-1", 5.0, 0.0)
    replies: list[Response] = []

    class Deaf(Client):
        def reply(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
            replies.append(response)
            return None

    made.refuse(unread, BadMessage(400, "bad-framing", "two lengths"), Deaf(exchange()))
    assert [(reply.status, reply.reason, reply.closes) for reply in replies] == [(400, "bad-framing", True)]
    assert b"two lengths" not in (replies[0].body or b"")  # type: ignore[operator]
    assert [(one.status, one.reason, one.finished) for one in observed] == [(400, "bad-framing", 7.0)]


# ways out


def test_an_exchange_is_observed_once_with_what_became_of_it() -> None:
    made = serving(Response(201, body=b"made"))
    passing = exchange("POST", body=b"order")
    made.clock.advance(5.0)
    made.serve(passing)
    assert made.observed == [passing]
    assert (passing.status, passing.upstream, passing.attempts, passing.bytes_out) == (201, "orders", 1, 4)
    assert passing.finished == made.clock.now


Ending = Callable[[MemoryGateway, Later, Client], None]

ENDINGS: dict[str, Ending] = {
    "an answer": lambda made, late, client: late.answer(Response(200, body=b"a")),
    "an error": lambda made, late, client: late.answer(Response(500)),
    "a failure": lambda made, late, client: late.fail(UpstreamFailure(504, "response-timeout", wrote=True)),
    "a timeout": lambda made, late, client: client.interrupt(Refusal(504, "timeout")),
    "a body too long": lambda made, late, client: client.send(b"x" * (11 << 20)),
    "a client that leaves": lambda made, late, client: client.leave(),
    "half a body": lambda made, late, client: _answer_half(late, Body.fail),
    "a client that leaves the body": lambda made, late, client: _answer_half(
        late, lambda body: client.leave()
    ),
    "a timeout in the body": lambda made, late, client: _answer_half(
        late, lambda body: client.interrupt(Refusal(504, "timeout"))
    ),
}


def _answer_half(late: Later, then: Callable[[Body], None]) -> None:
    body = Body(b"half")
    late.answer(Response(200, body=body))
    then(body)


@pytest.mark.parametrize("way", list(ENDINGS))
def test_on_every_way_out_everything_is_given_back(way: str) -> None:
    late = Later()
    made = serving(late)
    client = made.begin(exchange("POST", body=Body(b"some")))
    assert (client.is_done, client.status) == (False, 0)
    ENDINGS[way](made, late, client)
    assert client.is_done
    assert made.observed == [client.exchange]
    assert client.exchange.finished >= client.exchange.started
    assert nothing_left(made)


def outcome(way: str) -> tuple[int, str, bool]:
    """Return the status that the client saw, the reason that is observed, and whether the client was cut."""
    late = Later()
    client = serving(late).begin(exchange("POST", body=Body(b"some")))
    ENDINGS[way](serving(), late, client)
    return client.status, client.exchange.reason, client.is_cut


def test_every_way_out_is_told_apart() -> None:
    assert {way: outcome(way) for way in ENDINGS} == {
        "an answer": (200, "", False),
        "an error": (500, "", False),
        "a failure": (504, "response-timeout", False),
        "a timeout": (504, "timeout", False),
        "a body too long": (413, "body-too-large", False),
        "a client that leaves": (0, "client-gone", False),
        "half a body": (200, "truncated", True),
        "a client that leaves the body": (200, "client-gone", False),
        "a timeout in the body": (200, "timeout", True),
    }


def test_half_an_answer_is_never_followed_by_another_head() -> None:
    late = Later()
    client = serving(late).begin(exchange())
    _answer_half(late, Body.fail)
    assert client.answer is not None
    assert (client.answer.status, client.answer.body, client.answer.is_whole) == (200, b"half", False)
    assert client.is_cut


def test_a_reason_that_was_found_first_stays() -> None:
    late = Later()
    client = serving(late).begin(exchange())
    client.exchange.reason = "truncated"
    client.leave()
    assert client.exchange.reason == "truncated"


class Broken(Client):
    """A client to which nothing can be sent."""

    def reply(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
        raise OSError("nothing can be sent")


def test_an_answer_that_cannot_be_sent_cuts_the_connection(logged_failures: LoggedFailures) -> None:
    made = serving()
    broken = Broken(exchange())
    broken.start(made.gateway.serve(broken.exchange, broken))
    assert (broken.is_cut, broken.is_done, broken.exchange.reason) == (True, True, "internal")
    assert nothing_left(made)
    assert len(logged_failures.flush(OSError)) == 1


def test_a_policy_of_the_route_dresses_its_refusals_and_no_others() -> None:
    made = serving()
    made.upstreams["orders"].down = {"192.0.2.11:8080", "192.0.2.12:8080"}
    assert made.serve(exchange()).headers.get(b"x-marked") == b"yes"
    assert not made.serve(exchange("PATCH")).headers.has(b"x-marked")


# what is left in memory


@contextmanager
def no_garbage() -> Iterator[None]:
    """Fail if what was done within left anything that only the collector of cycles finds."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    kept = len(gc.garbage)
    try:
        yield
        gc.collect()
        found = [f"{type(one).__name__} {one!r:.100}" for one in gc.garbage[kept:]]
    finally:
        gc.set_debug(0)
        gc.enable()
        del gc.garbage[kept:]
    assert not found, "\n".join(found)


def test_the_check_for_garbage_finds_some() -> None:
    def leave_a_cycle() -> None:
        passing = exchange()
        passing.interim = lambda response: passing.interim and None

    with pytest.raises(AssertionError, match="Exchange"), no_garbage():
        leave_a_cycle()


def _through(made: MemoryGateway, way: str) -> None:
    late = Later()
    made.upstreams["orders"]._script = [late]
    client = made.begin(exchange("POST", body=Body(b"some")))
    ENDINGS[way](made, late, client)
    assert client.is_done
    made.upstreams["orders"]._script = [Response(200)]
    made.upstreams["orders"].sent.clear()
    made.observed.clear()


@pytest.mark.parametrize("way", list(ENDINGS))
def test_an_exchange_leaves_no_cycle_of_references(way: str) -> None:
    made = serving()
    _through(made, way)
    with no_garbage():
        _through(made, way)


@pytest.mark.parametrize("url", ["/static", "/none", "/orders/a%2Fb", "*"])
def test_what_the_gateway_answers_itself_leaves_no_cycle_either(url: str) -> None:
    made, method = serving(), "OPTIONS" if url == "*" else "GET"
    made.serve(exchange(method, url))
    with no_garbage():
        made.serve(exchange(method, url))
        made.observed.clear()


def test_a_retry_leaves_no_cycle() -> None:
    made = serving()
    with no_garbage():
        made.upstreams["orders"]._script = [UpstreamFailure(502, "reset", wrote=True), Response(200)]
        assert made.serve(exchange()).status == 200
        made.observed.clear()
