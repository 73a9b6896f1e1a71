from __future__ import annotations

from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.hops import Peer
from twistedgate.http.message import Request, Response
from twistedgate.http.target import RequestTarget
from twistedgate.policies.headers import Headers as Policy
from twistedgate.policy import Stage
from twistedgate.runtime import Runtime

PEER = Peer(address="192.0.2.1", port=80, scheme="http", is_trusted=False, listener="public")


def exchange(*fields: tuple[bytes, bytes]) -> Exchange:
    target = RequestTarget("/a", "", "api.example.com", "api.example.com", False)
    return Exchange(Request("GET", target, Headers.of(*fields)), PEER, "id-1", 0.0, 0.0)


def policy(**options: tuple[object, ...]) -> Policy:
    return Policy(Policy.Config("h", **options), Runtime(now=lambda: 0.0))  # type: ignore[arg-type]


def requested(made: Policy, *fields: tuple[bytes, bytes], consumer: str = "") -> list[tuple[bytes, bytes]]:
    passing = exchange(*fields)
    passing.consumer = consumer
    assert made.on_request(passing) is None
    return [(name, value) for _, name, value in passing.request.headers]


def responded(made: Policy, *fields: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    response = Response(200, Headers.of(*fields))
    made.on_response(exchange(), response)
    return [(name, value) for _, name, value in response.headers]


def test_changes_are_made_after_who_and_whether() -> None:
    assert Policy.stage is Stage.TRANSFORM


def test_sets_in_the_place_of_what_was_there() -> None:
    made = policy(request_set=((b"X-A", b"new"),))
    assert requested(made, (b"x-a", b"1"), (b"B", b"2"), (b"X-A", b"3")) == [(b"X-A", b"new"), (b"B", b"2")]
    assert requested(made, (b"B", b"2")) == [(b"B", b"2"), (b"X-A", b"new")]


def test_adds_beside_what_was_there() -> None:
    made = policy(request_add=((b"X-A", b"new"),))
    assert requested(made, (b"X-A", b"1")) == [(b"X-A", b"1"), (b"X-A", b"new")]


def test_removes_every_field_of_a_name() -> None:
    made = policy(request_remove=(b"X-A", b"X-B"))
    assert requested(made, (b"x-a", b"1"), (b"C", b"2"), (b"X-A", b"3"), (b"X-b", b"4")) == [(b"C", b"2")]


def test_renames_and_leaves_values_and_places() -> None:
    made = policy(request_rename=((b"Old", b"New"),))
    assert requested(made, (b"old", b"1"), (b"B", b"2")) == [(b"New", b"1"), (b"B", b"2")]


def test_removes_then_renames_then_sets_then_adds() -> None:
    made = policy(
        request_add=((b"A", b"added"),),
        request_set=((b"A", b"set"),),
        request_rename=((b"B", b"A"),),
        request_remove=(b"A",),
    )
    assert requested(made, (b"A", b"1"), (b"B", b"2"), (b"C", b"3")) == [
        (b"A", b"set"),
        (b"C", b"3"),
        (b"A", b"added"),
    ]


def test_fills_values_of_the_exchange_in() -> None:
    made = policy(
        request_set=((b"X-Set", b"{client}/{host}"),),
        request_add=((b"X-Add", b"<{request_id}> {consumer}:{route}"),),
    )
    assert requested(made, consumer="alice") == [
        (b"X-Set", b"192.0.2.1/api.example.com"),
        (b"X-Add", b"<id-1> alice:"),
    ]


def test_leaves_other_braces_alone() -> None:
    assert requested(policy(request_set=((b"A", b'{"a": 1} {}'),))) == [(b"A", b'{"a": 1} {}')]


def test_dresses_responses_the_same_way() -> None:
    made = policy(
        response_set=((b"A", b"set for {client}"),),
        response_add=((b"Set-Cookie", b"b"),),
        response_remove=(b"Server",),
        response_rename=((b"X-Old", b"X-New"),),
    )
    assert responded(made, (b"server", b"x"), (b"Set-Cookie", b"a"), (b"x-old", b"1")) == [
        (b"Set-Cookie", b"a"),
        (b"X-New", b"1"),
        (b"A", b"set for 192.0.2.1"),
        (b"Set-Cookie", b"b"),
    ]


def test_one_side_leaves_the_other_alone() -> None:
    made = policy(response_set=((b"A", b"1"),))
    assert requested(made, (b"B", b"2")) == [(b"B", b"2")]


def test_what_is_always_the_same_is_not_shared_between_exchanges() -> None:
    made = policy(request_add=((b"A", b"1"),))
    assert requested(made) == requested(made) == [(b"A", b"1")]
