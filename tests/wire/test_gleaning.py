from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.wire.gleaning import glean

GOOD = b"GET /a/../orders/7?key=1 HTTP/1.1\r\n"
HOST = b"Host: API.example.com:8080\r\n"


def told(head: bytes, max_uri: int = 100) -> tuple[str, str, str, str] | None:
    """Return what is understood of a head: method, host, path, query."""
    request = glean(head, max_uri)
    if request is None:
        return None
    return request.method, request.target.host, request.target.path, request.target.query


def test_a_good_line_and_a_good_host_are_understood_whatever_else_is_wrong() -> None:
    understood = ("GET", "api.example.com", "/orders/7", "?key=1")
    for bad in (b"Content-Length: +5\r\n", b"A b: c\r\n", b"no colon\r\n", b"A: \x00\r\n", b""):
        for head in (GOOD + bad + HOST, GOOD + HOST + bad, b"\r\n" + GOOD + HOST + bad):
            assert told(head + b"\r\nrest\r\nHost: another\r\n") == understood
            assert told(head) == understood


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /orders",
        b"GET /orders HTTP/1.1",
        b"GET /orders HTTP/2.0\r\n",
        b"GET  /orders HTTP/1.1\r\n",
        b"nonsense\r\n" + GOOD,
        b"\x16\x03\x01\x02",
        b"M" * 33 + b" / HTTP/1.1\r\n",
    ],
)
def test_a_line_that_is_none_says_nothing(head: bytes) -> None:
    assert told(head) is None


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/%2e%2e/x?a=1", "", ""),
        (b"/%00", "", ""),
        (b"/x?a=\"<'", "/x", ""),
        (b"/" + b"x" * 100, "", ""),
        (b"*", "", ""),
        (b"nowhere", "", ""),
    ],
)
def test_what_has_no_canonical_form_stays_out(target: bytes, path: str, query: str) -> None:
    head = b"GET " + target + b" HTTP/1.1\r\n" + HOST
    assert told(head) == ("GET", "api.example.com", path, query)


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a b\r\n",
        b"Host:\r\n",
        b"Host: exampl",
        b"X: 1\nHost: a\r\n",
        b"X-Host: a\r\n",
        b"Host : a\r\n",
    ],
)
def test_a_host_that_is_none_stays_out(hosts: bytes) -> None:
    assert told(GOOD + hosts) == ("GET", "", "/orders/7", "?key=1")


def test_an_absolute_target_has_the_last_word() -> None:
    assert told(b"BREW http://Own.example/x HTTP/1.0\r\n" + HOST) == ("BREW", "own.example", "/x", "")


def test_tells_an_old_client() -> None:
    versions = [glean(b"GET / HTTP/1.%d\r\n" % minor, 100) for minor in (0, 1)]
    assert [request is not None and request.is_http10 for request in versions] == [True, False]


@given(st.lists(st.sampled_from([GOOD, HOST, b"\r\n", b"Host: x\n", b"\x00", b" ", b"?%", b"\x80\x1b"])))
def test_nothing_that_is_told_needs_to_be_escaped(pieces: list[bytes]) -> None:
    understood = told(GOOD[:6] + b"".join(pieces))
    assert understood is None or re.fullmatch(r"[!-~]*", "".join(understood)) is not None
