"""One canonical target for every spelling, and a refusal for what has no single meaning."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twistedgate.errors import BadMessage
from twistedgate.http import target as target_module
from twistedgate.http.target import RequestTarget, canonical_path, parse_host, parse_target

CANONICAL = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@\[\]/]|%[0-9A-F]{2})*")


def parsed(raw: bytes, host: bytes = b"example.com") -> RequestTarget:
    return parse_target("GET", raw, host, False)


def refused(raw: bytes, host: bytes | None = b"example.com", method: str = "GET") -> str:
    with pytest.raises(BadMessage) as caught:
        parse_target(method, raw, host, False)
    assert caught.value.status == 400
    assert caught.value.closes
    return caught.value.reason


# The path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/orders/7", "/orders/7"),
        (b"/orders/", "/orders/"),
        (b"/Orders", "/Orders"),
        (b"/%7euser/%41%2d%2E%5f", "/~user/A-._"),
        (b"/caf%c3%a9", "/caf%C3%A9"),
        (b"/a%3bb/%40me", "/a%3Bb/%40me"),
        (b"/a//b///c", "/a/b/c"),
        (b"//example.org/a", "/example.org/a"),
        (b"/a/./b", "/a/b"),
        (b"/a/../b", "/b"),
        (b"/a/b/..", "/a/"),
        (b"/a/.", "/a/"),
        (b"/a/..", "/"),
        (b"/.", "/"),
        (b"/a//../b", "/b"),
        (b"/a/%2e%2E/b", "/b"),
        (b"/a/.%2e/b", "/b"),
        (b"/a/%2e/b", "/a/b"),
        (b"/.well-known/x", "/.well-known/x"),
        (b"/a/...", "/a/..."),
        (b"/a..b/.c", "/a..b/.c"),
        (b"/a;v=1/b;", "/a;v=1/b;"),
        (b"/%252e%252e/a", "/%252e%252e/a"),
        (b"/a%0d%0aX:1", "/a%0D%0AX:1"),
        (b"/[1]", "/[1]"),
        (b"/*", "/*"),
    ],
)
def test_gives_a_path_its_one_spelling(raw: bytes, path: str) -> None:
    assert parsed(raw).path == path


@pytest.mark.parametrize("raw", [b"/..", b"/../a", b"/a/../../b", b"/%2e%2e/a", b"//../a", b"/./.."])
def test_refuses_what_is_above_the_root(raw: bytes) -> None:
    assert refused(raw) == "bad-path"


@pytest.mark.parametrize(
    "raw", [b"/%", b"/%4", b"/%zz", b"/a%2", b"/%%32%65", b"/%u0041", b"/a%2/%2e", b"/%00", b"/a%00.txt"]
)
def test_refuses_broken_escapes_and_nul(raw: bytes) -> None:
    assert refused(raw) == "bad-path"


@pytest.mark.parametrize(
    "raw",
    [b"/%c0%af", b"/%C0%AE%c0%ae/a", b"/%c1%9c", b"/%e0%80%af", b"/%f0%80%80%af", b"/%fc%80%80%80%80%af"],
)
def test_refuses_overlong_utf8(raw: bytes) -> None:
    assert refused(raw) == "bad-path"


@pytest.mark.parametrize("raw", [b"/a/..;/b", b"/..;v=1/b", b"/.;/b", b"/a/%2e%2e;/b"])
def test_refuses_dot_segments_with_parameters(raw: bytes) -> None:
    assert refused(raw) == "bad-path"


@pytest.mark.parametrize("code", [*range(0x21), *b'"#<>\\^`{|}', *range(0x7F, 0x100)])
def test_refuses_what_must_be_escaped(code: int) -> None:
    odd = bytes([code])
    assert refused(b"/a" + odd + b"b") in ("bad-path", "bad-request")
    assert refused(b"/a?b" + odd + b"c") == "bad-request"
    assert refused(b"http://example.com/a" + odd) in ("bad-path", "bad-request")


@pytest.mark.parametrize(
    ("raw", "path"), [(b"/a%2fb", "/a%2Fb"), (b"/a%5cb", "/a%5Cb"), (b"/%2F..%2fa", "/%2F..%2Fa")]
)
def test_reports_encoded_slashes_and_never_separates_at_them(raw: bytes, path: str) -> None:
    target = parsed(raw)
    assert target.path == path
    assert target.has_encoded_slash


def test_an_encoded_slash_in_the_query_is_none_of_the_path() -> None:
    assert not parsed(b"/a%41?b=%2F").has_encoded_slash


# The query


@pytest.mark.parametrize(
    "query", ["", "?", "?a=1&b=%2f..%2F//../", "??a?", "?a[]=1", "?100%", "?%00", "?a=/./b"]
)
def test_the_query_goes_on_untouched(query: str) -> None:
    assert parsed(b"/a" + query.encode()) == RequestTarget("/a", query, "example.com", "example.com", False)
    assert parsed(b"/b/../a" + query.encode()).query == query


# The forms of a target


@pytest.mark.parametrize(
    ("raw", "path", "query", "authority"),
    [
        (b"http://other.example/a/../b?c", "/b", "?c", "other.example"),
        (b"HTTPS://Other.Example:8443/", "/", "", "other.example:8443"),
        (b"http://other.example", "/", "", "other.example"),
        (b"http://other.example?a=/b", "/", "?a=/b", "other.example"),
        (b"http://[::1]:80/a", "/a", "", "[::1]:80"),
    ],
)
def test_the_authority_of_an_absolute_target_wins_over_host(
    raw: bytes, path: str, query: str, authority: str
) -> None:
    target = parsed(raw, b"example.com")
    assert (target.path, target.query, target.authority) == (path, query, authority)
    assert authority.startswith(target.host)


@pytest.mark.parametrize(
    "raw", [b"http:///a", b"http://user@example.com/", b"http://user:secret@example.com/", b"http://a b/"]
)
def test_refuses_an_absolute_target_without_a_plain_authority(raw: bytes) -> None:
    assert refused(raw) == "bad-host"


def test_an_absolute_target_does_not_excuse_a_bad_host() -> None:
    assert refused(b"http://example.com/", b"a,b") == "bad-host"
    assert refused(b"http://example.com/", None) == "bad-host"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a",
        b"a/b",
        b"?a",
        b"example.com:443",
        b"ftp://example.com/",
        b"http:/a",
        b"http:a",
        b"*",
        b"*/a",
        b"./a",
        b" /a",
        b"%2Fa",
    ],
)
def test_refuses_every_other_form(raw: bytes) -> None:
    assert refused(raw) == "bad-request"


def test_an_asterisk_is_the_target_of_options_only() -> None:
    assert parse_target("OPTIONS", b"*", b"example.com", False).path == "*"
    assert parse_target("OPTIONS", b"http://example.com", b"example.com", False).path == "*"
    assert parse_target("OPTIONS", b"http://example.com/", b"example.com", False).path == "/"
    assert refused(b"*", method="POST") == "bad-request"
    assert refused(b"*a", method="OPTIONS") == "bad-request"


# The host


@pytest.mark.parametrize(
    ("raw", "host", "authority"),
    [
        (b"example.com", "example.com", "example.com"),
        (b"EXAMPLE.com:8080", "example.com", "example.com:8080"),
        (b"example.com.", "example.com", "example.com."),
        (b"a_b.x-y.example:1", "a_b.x-y.example", "a_b.x-y.example:1"),
        (b"127.0.0.1:80", "127.0.0.1", "127.0.0.1:80"),
        (b"[::1]", "[::1]", "[::1]"),
        (b"[2001:DB8:0:0::1]:443", "[2001:db8::1]", "[2001:db8:0:0::1]:443"),
    ],
)
def test_takes_host_and_port_apart(raw: bytes, host: str, authority: str) -> None:
    target = parse_target("GET", b"/", raw, False)
    assert (target.host, target.authority) == (host, authority)


BAD_HOSTS = (
    rb"a,b a/b user@a a: a:x a:123456 a:65536 a:80:80 a:+8 :80 . .a a..b a.. a%2eb a# a?b a\b http://a *.a",
    rb"::1 [::1 [] [::1]a [:::] [fe80::1%25eth0] [v1.a] [1.2.3.4]",
)


@pytest.mark.parametrize("host", b" ".join(BAD_HOSTS).split())
def test_refuses_every_other_host(host: bytes) -> None:
    assert refused(b"/", host) == "bad-host"
    assert refused(b"/a/../b", host) == "bad-host"


@pytest.mark.parametrize("host", [b"", b" ", b"a b", b"a\x00", b"a\n", b"\xe9", "\u212a".encode()])
def test_refuses_a_host_of_odd_bytes(host: bytes) -> None:
    assert refused(b"/", host) == "bad-host"


def test_refuses_names_longer_than_dns_allows() -> None:
    assert parsed(b"/", b"x" * 63 + b".example").host
    assert refused(b"/", b"x" * 64) == "bad-host"
    assert refused(b"/", b"x." * 127 + b"xx") == "bad-host"


def test_http11_needs_a_host_and_http10_does_not() -> None:
    assert refused(b"/", None) == "bad-host"
    assert parse_target("GET", b"/", None, True) == RequestTarget("/", "", "", "", False)
    assert parse_target("GET", b"/", b"", True) == RequestTarget("/", "", "", "", False)
    assert parse_target("GET", b"/", b"a", True).host == "a"
    with pytest.raises(BadMessage):
        parse_target("GET", b"/", b"a b", True)


def test_keeps_a_bounded_number_of_hosts() -> None:
    for number in range(3000):
        parse_host(b"h%d.example" % number)
    assert parse_host.cache_info().currsize == 1024


# The value


def test_a_target_is_frozen_and_can_be_replaced() -> None:
    target = parsed(b"/a?b")
    with pytest.raises(FrozenInstanceError):
        target.path = "/b"  # type: ignore[misc]
    assert replace(target, path="/b") == RequestTarget("/b", "?b", "example.com", "example.com", False)


# Properties

PIECES = b"/ . .. %2e %2E %2f %5c %41 %c3%a9 %25 %3b ; a B ~ % 0 @".split()
raw_paths = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: b"/" + b"".join(pieces))


@given(raw_paths)
@example(b"/a/..//../b")
def test_a_canonical_path_stays_as_it_is(raw: bytes) -> None:
    try:
        path = parsed(raw).path
    except BadMessage:
        return
    assert canonical_path(path) == path
    assert parsed(path.encode()).path == path
    assert CANONICAL.fullmatch(path)
    assert not {".", ".."} & set(path.split("/"))
    assert "//" not in path


@given(
    raw_paths | st.binary(max_size=12).map(lambda raw: b"/" + raw),
    st.sampled_from([b"", b"?", b"?a=%2e/../"]),
)
def test_the_short_way_and_the_long_way_agree(raw: bytes, query: bytes) -> None:
    short, long = (outcome(parse, raw + query) for parse in (parse_target, target_module._parse_unusual))
    assert short == long


def outcome(parse: Callable[[str, bytes, bytes, bool], RequestTarget], raw: bytes) -> RequestTarget | str:
    try:
        return parse("GET", raw, b"a.example:1", False)
    except BadMessage as refusal:
        return refusal.reason


def other_spelling(path: str, draw: st.DataObject) -> bytes:
    """Write a canonical path in another way that means the same."""
    written = ""
    for character in path:
        choice = draw.draw(st.integers(0, 5))
        if character == "/":
            written += ("/", "//", "/./", "/x/../", "/%2e/", "/%78/.%2E/")[choice]
        elif character in "!$&'()*+,;=:@[]%":
            written += character
        else:
            escape = f"%{ord(character):02x}"
            written += (character, character, character, character, escape, escape.upper())[choice]
    return written.encode()


@given(
    st.lists(
        st.text("aZ9-._~@;!", min_size=1, max_size=4).filter(lambda text: not re.match(r"\.\.?(;|$)", text)),
        max_size=4,
    ),
    st.booleans(),
    st.data(),
)
def test_every_spelling_of_a_path_has_the_same_canonical_form(
    segments: list[str], has_slash: bool, data: st.DataObject
) -> None:
    path = "/" + "/".join(segments) + ("/" if has_slash and segments else "")
    assert parsed(other_spelling(path, data)).path == path


@given(st.text("aZ9.-_:[]@%/ ,", max_size=12).map(str.encode) | st.binary(max_size=10))
def test_a_host_is_lower_case_and_without_surprises(raw: bytes) -> None:
    try:
        host, authority = parse_host(raw)
    except BadMessage:
        return
    assert authority == raw.decode().lower()
    assert re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\]", host)
