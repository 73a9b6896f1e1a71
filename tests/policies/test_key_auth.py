from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config.model import ConsumerConfig
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.hops import Peer
from twistedgate.http.message import Request, Response
from twistedgate.http.target import RequestTarget
from twistedgate.policies.key_auth import KeyAuth
from twistedgate.policy import Stage
from twistedgate.runtime import Runtime

PEER = Peer(address="192.0.2.1", port=80, scheme="http", is_trusted=False, listener="public")


def digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


ALICE = ConsumerConfig("alice", keys=(digest(b"key-a"), digest(b"key-a2")), groups=("gold", "beta"))
BOB = ConsumerConfig("bob", keys=(digest(b"key-b"),))


def policy(**options: Any) -> KeyAuth:
    return KeyAuth(KeyAuth.Config("k", **options), Runtime(now=lambda: 0.0, consumers=(ALICE, BOB)))


def exchange(*fields: tuple[bytes, bytes], query: str = "") -> Exchange:
    target = RequestTarget("/a", query, "example.com", "example.com", False)
    return Exchange(Request("GET", target, Headers.of(*fields)), PEER, "id-1", 0.0, 0.0)


def refused(response: Response | None) -> str:
    assert response is not None
    assert response.status == 401
    assert response.headers.get(b"www-authenticate") is not None
    return response.reason


def test_stands_first_in_the_line() -> None:
    assert KeyAuth.stage is Stage.IDENTIFY


@pytest.mark.parametrize(("key", "consumer"), [(b"key-a", "alice"), (b"key-a2", "alice"), (b"key-b", "bob")])
def test_tells_who_calls_by_the_key(key: bytes, consumer: str) -> None:
    passing = exchange((b"x-api-key", key), (b"Other", b"1"))
    assert policy().on_request(passing) is None
    assert passing.consumer == consumer
    assert passing.request.headers.get(b"x-consumer") == consumer.encode()


def test_says_who_calls_and_who_says_so() -> None:
    passing = exchange((b"X-API-Key", b"key-a"))
    assert passing.identity == ""
    policy().on_request(passing)
    assert passing.identity == "key-auth:k/alice"


def test_who_was_identified_first_stays_so() -> None:
    passing = exchange((b"X-API-Key", b"key-a"), query="?key=key-b")
    policy().on_request(passing)
    policy(header=None, query="key").on_request(passing)
    assert (passing.identity, passing.consumer) == ("key-auth:k/alice", "bob")


@pytest.mark.parametrize(
    ("fields", "query", "has"),
    [
        ((), "", False),
        (((b"X-API-Key", b"wrong"),), "", True),
        ((), "?k%65y=wrong", True),
        ((), "?keys=key-a", False),
        (((b"X-Other", b"key-a"),), "?a=key-a", False),
    ],
)
def test_tells_whether_there_is_a_key_right_or_wrong(
    fields: tuple[tuple[bytes, bytes], ...], query: str, has: bool
) -> None:
    assert policy(query="key").has_credentials(exchange(*fields, query=query)) is has


def test_tells_the_groups_too() -> None:
    passing = exchange((b"X-API-Key", b"key-a"))
    policy().on_request(passing)
    assert passing.groups == ("gold", "beta")


def test_the_upstream_does_not_see_the_key() -> None:
    passing = exchange((b"X-API-Key", b"key-a"))
    policy().on_request(passing)
    assert not passing.request.headers.has(b"x-api-key")


def test_the_upstream_sees_the_key_if_it_is_kept() -> None:
    passing = exchange((b"X-API-Key", b"key-a"))
    policy(keep=True).on_request(passing)
    assert passing.request.headers.get(b"x-api-key") == b"key-a"


@pytest.mark.parametrize(
    "key", [b"", b"key", b"key-a ", b"KEY-A", b"key-\xff", digest(b"key-a").hex().encode()]
)
def test_another_key_is_refused(key: bytes) -> None:
    passing = exchange()
    passing.request.headers = Headers([(b"x-api-key", b"X-API-Key", key)])
    assert refused(policy().on_request(passing)) == "bad-credentials"
    assert passing.consumer == ""
    assert not passing.request.headers.has(b"x-consumer")


def test_no_key_is_refused() -> None:
    assert refused(policy().on_request(exchange())) == "no-credentials"
    assert refused(policy().on_request(exchange(query="?key=key-a"))) == "no-credentials"


def test_two_keys_are_refused_even_if_both_are_right() -> None:
    twice = exchange((b"X-API-Key", b"key-a"), (b"x-api-key", b"key-a"))
    assert refused(policy().on_request(twice)) == "bad-credentials"
    both = exchange((b"X-API-Key", b"key-a"), query="?key=key-a")
    assert refused(policy(query="key").on_request(both)) == "bad-credentials"
    queries = exchange(query="?key=key-a&key=key-a")
    assert refused(policy(query="key").on_request(queries)) == "bad-credentials"


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("?key=key-a", ""),
        ("?a=1&key=key-a&b=%20x", "?a=1&b=%20x"),
        ("?%6Bey=key%2Da&b", "?b"),
        ("?k%65y=key-a", ""),
        ("?keys=1&key=key-a&ke=", "?keys=1&ke="),
        ("?&key=key-a&", "?&"),
    ],
)
def test_finds_the_key_in_the_query_however_it_is_spelled_and_takes_it_out(query: str, rest: str) -> None:
    passing = exchange(query=query)
    assert policy(query="key").on_request(passing) is None
    assert passing.consumer == "alice"
    assert passing.request.target.query == rest
    assert passing.request.target.path == "/a"


def test_leaves_the_query_alone_if_the_key_is_kept_or_in_the_header() -> None:
    kept = exchange(query="?key=key-a")
    assert policy(query="key", keep=True).on_request(kept) is None
    assert kept.request.target.query == "?key=key-a"
    beside = exchange((b"X-API-Key", b"key-a"), query="?a=b")
    assert policy(query="key").on_request(beside) is None
    assert beside.request.target.query == "?a=b"


def test_the_header_may_be_looked_for_nowhere_or_elsewhere() -> None:
    assert (
        refused(policy(header=None, query="key").on_request(exchange((b"X-API-Key", b"key-a"))))
        == "no-credentials"
    )
    assert policy(header=b"Authorization").on_request(exchange((b"authorization", b"key-a"))) is None


@given(st.text(alphabet="ke y=&%+6Bb-a;", max_size=30))
def test_no_query_is_more_than_admitted_or_refused(query: str) -> None:
    passing = exchange(query=f"?{query}")
    response = policy(query="key").on_request(passing)
    if response is None:
        assert passing.consumer in ("alice", "bob")
        assert "key-a" not in passing.request.target.query
    else:
        refused(response)


def test_a_policy_that_looks_nowhere_is_a_mistake() -> None:
    assert [concerned[0] for concerned, _ in KeyAuth.Config("k", header=None).check()] == ["header"]
    assert KeyAuth.Config("k").check() == []
