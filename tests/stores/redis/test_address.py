"""Addresses of a Redis are read as they are written, and a wrong one is told in a sentence."""

from __future__ import annotations

import re

import pytest

from twistedgate.stores.redis.address import RedisAddress, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://cache", RedisAddress((("cache", 6379),))),
        ("redis://cache:6380/3", RedisAddress((("cache", 6380),), database=3)),
        ("redis://gate@cache/0", RedisAddress((("cache", 6379),), user="gate")),
        ("redis://[::1]:6380", RedisAddress((("::1", 6380),))),
        ("redis://[::1]", RedisAddress((("::1", 6379),))),
        ("rediss://cache", RedisAddress((("cache", 6379),), is_tls=True)),
        (
            "rediss://cache?tls_ca=/etc/ca.pem",
            RedisAddress((("cache", 6379),), is_tls=True, tls_ca="/etc/ca.pem"),
        ),
        (
            "redis+sentinel://one:26380,two/main/2",
            RedisAddress((("one", 26380), ("two", 26379)), master="main", database=2),
        ),
        ("rediss+sentinel://one/main", RedisAddress((("one", 26379),), master="main", is_tls=True)),
        ("redis+unix:///run/r.sock?db=4", RedisAddress(path="/run/r.sock", database=4)),
        ("redis+unix://gate@/run/r.sock", RedisAddress(path="/run/r.sock", user="gate")),
        ("redis://a%40b@cache", RedisAddress((("cache", 6379),), user="a@b")),
    ],
)
def test_reads_what_is_written(text: str, expected: RedisAddress) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://cache", "no way to reach a Redis"),
        ("memory:", "no way to reach a Redis"),
        ("redis://user:secret@cache", "state_password"),
        ("redis://:secret@cache", "state_password"),
        ("redis://", "no HOST:PORT"),
        ("redis://cache:port", "no HOST:PORT"),
        ("redis://cache:0", "no HOST:PORT"),
        ("redis://cache:70000", "no HOST:PORT"),
        ("redis://::1", "no HOST:PORT"),
        ("redis://cache/main", "no database"),
        ("redis://cache/1/2", "no database"),
        ("redis://cache/²", "no database"),
        ("redis://cache?tls_ca=x", "'tls_ca' is not known"),
        ("redis://cache?x", "cannot be understood"),
        ("redis://cache#x", "'#'"),
        ("redis+sentinel://one", "name of the master"),
        ("redis+sentinel://one,/main", "no HOST:PORT"),
        ("redis+sentinel://one/main/x", "no database"),
        ("redis+unix://run/r.sock", "begins with a '/'"),
    ],
)
def test_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_says_where_it_is() -> None:
    assert str(parse_address("redis://cache/3")) == "cache:6379"
    assert str(parse_address("redis+unix:///run/r.sock")) == "/run/r.sock"
    assert str(parse_address("redis+sentinel://one,two/main")) == "main by one:26379,two:26379"
