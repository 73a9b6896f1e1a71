from __future__ import annotations

import pytest

from twistedgate.testing import exchange
from twistedgate.upstream.keys import compile_key

CLIENT = b"192.0.2.1"


@pytest.mark.parametrize(
    ("hash_key", "key"),
    [
        ("ip", CLIENT),
        ("path", b"/orders/7"),
        ("header:X-Tenant", b"acme"),
        ("header:x-tenant", b"acme"),
        ("header:X-Other", CLIENT),
        ("header:X-Empty", CLIENT),
        ("cookie:session", b"s1"),
        ("cookie:theme", b"dark=ish"),
        ("cookie:sess", CLIENT),
        ("cookie:bare", CLIENT),
        ("cookie:Session", CLIENT),
        ("query:user", b"u1"),
        ("query:na me", b"n%201"),
        ("query:flag", CLIENT),
        ("query:use", CLIENT),
    ],
)
def test_a_key_is_what_was_asked_for_or_else_the_client(hash_key: str, key: bytes) -> None:
    asked = exchange(
        url="/orders/7?user=u1&user=u2&na%20me=n%201&flag",
        headers=[
            ("X-Tenant", "acme"),
            ("X-Tenant", "second"),
            ("X-Empty", ""),
            ("Cookie", "bare; session=s1;session=s2"),
            ("Cookie", " theme=dark=ish "),
        ],
    )
    assert compile_key(hash_key)(asked) == key


@pytest.mark.parametrize("hash_key", ["header:X-Tenant", "cookie:session", "query:user"])
def test_a_request_that_has_nothing_is_its_clients(hash_key: str) -> None:
    asked = exchange(client="2001:db8::1")
    assert compile_key(hash_key)(asked) == b"2001:db8::1"


def test_the_client_is_the_one_that_is_believed() -> None:
    asked = exchange()
    asked.client = "198.51.100.9"
    assert compile_key("ip")(asked) == b"198.51.100.9"
