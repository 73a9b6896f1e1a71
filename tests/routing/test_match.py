"""What a rule matches, which of two goes first, and what a rule may not be."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.rules import PATHS, Request, paths, requests, rules
from twistedgate.http.headers import Headers
from twistedgate.routing.match import PathPattern, Rule, matches, segments_of, shadows, why_not

NO_HEADERS = Headers()


def is_match(rule: Rule, method: str = "GET", host: str = "example.com", path: str = "/a") -> bool:
    return matches(rule, method, host, path, NO_HEADERS)


# Paths


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*", "/", True),
        ("*", "*", True),
        ("/*", "/a/b", True),
        ("/", "/", True),
        ("/", "/a", False),
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/A", False),
        ("/a", "/a;v=1", False),
        ("/a", "/ab", False),
        ("/a/", "/a/", True),
        ("/a/", "/a", False),
        ("/a/*", "/a", True),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/c", True),
        ("/a/*", "/ab", False),
        ("/a/*", "/a;v=1/b", False),
        ("/a/*", "/a%2Fb", False),
        ("/a/*", "*", False),
        ("/users/{id}/cart", "/users/7/cart", True),
        ("/users/{id}/cart", "/users/7;v=1/cart", True),
        ("/users/{id}/cart", "/users/7%2F8/cart", True),
        ("/users/{id}/cart", "/users/7/8/cart", False),
        ("/users/{id}/cart", "/users//cart", False),
        ("/users/{id}", "/users/", False),
        ("/users/{id}", "/users", False),
        ("/users/{id}/*", "/users/7", True),
        ("/users/{id}/*", "/users/", False),
        ("/users/{id}/*", "/users/7/cart/1", True),
        ("/caf%C3%A9", "/caf%C3%A9", True),
        ("/@me", "/%40me", True),
        ("/%40me", "/@me", True),
        ("/a;b", "/a%3Bb", True),
        ("/a%2Ab", "/a*b", True),
        ("/a%25", "/a%25", True),
        ("/a%2540", "/a%2540", True),
        ("/a@", "/a%2540", False),
        ("/a%2Fb", "/a%2Fb", True),
    ],
)
def test_matches_paths_by_whole_segments(pattern: str, path: str, expected: bool) -> None:
    assert is_match(Rule(path=pattern), path=path) is expected


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("", "begins with a slash"),
        ("a", "begins with a slash"),
        ("a/*", "begins with a slash"),
        ("/a*", "only at the end"),
        ("/*/a", "only at the end"),
        ("/a/**", "only at the end"),
        ("/*/*", "only at the end"),
        ("/a{id}", "a whole segment"),
        ("/{}", "a whole segment"),
        ("/{a-b}", "a whole segment"),
        ("/{id", "a whole segment"),
        ("/{id}x/a", "a whole segment"),
        ("/a//b", "canonical form is /a/b"),
        ("//*", "canonical form is /*"),
        ("/a/../{id}", "canonical form is /{id}"),
        ("/%7euser", "canonical form is /~user"),
        ("/caf%c3%a9", "canonical form is /caf%C3%A9"),
        ("/café", "must be escaped"),
        ("/a b", "must be escaped"),
        ("/a?b", "must be escaped"),
        ("/%zz", "a broken escape"),
        ("/..", "above the root"),
    ],
)
def test_refuses_paths_that_never_match(path: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)) as caught:
        Rule(path=path)
    assert f"'{path}'" in str(caught.value)


# Hosts


@pytest.mark.parametrize(
    ("hosts", "host", "expected"),
    [
        ((), "example.com", True),
        ((), "", True),
        (("example.com",), "example.com", True),
        (("EXAMPLE.com.",), "example.com", True),
        (("example.com",), "a.example.com", False),
        (("example.com",), "", False),
        (("*.example.com",), "a.example.com", True),
        (("*.example.com",), "a.b.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "badexample.com", False),
        (("a.example", "*.example.com"), "b.example.com", True),
        (("[0:0::1]",), "[::1]", True),
    ],
)
def test_matches_hosts(hosts: tuple[str, ...], host: str, expected: bool) -> None:
    assert is_match(Rule(hosts), host=host) is expected


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("", "is not a host"),
        ("*", "is not a host"),
        ("*.", "is not a host"),
        ("a.*", "is not a host"),
        ("*.*.a", "is not a host"),
        ("*a.example", "is not a host"),
        ("http://a", "is not a host"),
        ("a,b", "is not a host"),
        ("é.example", "is not a host"),
        ("::1", "is not a host"),
        ("*.[::1]", "before an address"),
        ("a:80", "has a port"),
        ("[::1]:80", "has a port"),
        ("*.a.example:80", "has a port"),
    ],
)
def test_refuses_hosts_that_never_match(host: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        Rule((host,))


# Methods and headers


def test_get_admits_head_and_nothing_else_is_added() -> None:
    rule = Rule(methods=("GET", "POST"))
    assert [is_match(rule, method) for method in ("GET", "HEAD", "POST", "PUT", "get")] == [True] * 3 + [
        False
    ] * 2
    assert not is_match(Rule(methods=("POST",)), "HEAD")
    assert is_match(Rule(), "BREW")


@pytest.mark.parametrize("method", ["", "get", "G T", "GET,POST"])
def test_refuses_methods_that_are_none(method: str) -> None:
    with pytest.raises(ValueError, match="is not a method"):
        Rule(methods=(method,))


def test_a_header_is_there_or_has_exactly_the_value() -> None:
    sent = Headers.of((b"X-Version", b"1"), (b"x-version", b"2"), (b"X-Debug", b""))
    for condition, expected in [
        (("x-VERSION", "2"), True),
        (("X-Version", "1"), True),
        (("X-Version", "1, 2"), False),
        (("X-Version", None), True),
        (("X-Debug", None), True),
        (("X-Debug", ""), True),
        (("X-Debug", "1"), False),
        (("X-Other", None), False),
    ]:
        assert matches(Rule(headers=(condition,)), "GET", "a", "/", sent) is expected
    assert not matches(Rule(headers=(("X-Version", "1"), ("X-Other", None))), "GET", "a", "/", sent)


@pytest.mark.parametrize(
    "condition", [("", None), ("a b", None), ("X-A", "é"), ("X-A", " a"), ("X-A", "a\n")]
)
def test_refuses_headers_that_cannot_be(condition: tuple[str, str | None]) -> None:
    with pytest.raises(ValueError, match=r"cannot be the value|not the name"):
        Rule(headers=(condition,))


def test_says_what_does_not_match() -> None:
    rule = Rule(("a.example", "*.b.example"), "/a/*", ("GET",), (("X-A", "1"),))
    sent = Headers.of((b"X-A", b"1"))
    assert why_not(rule, "GET", "c.example", "/a", sent) == "the host is not a.example or *.b.example"
    assert why_not(rule, "GET", "a.example", "/b", sent) == "the path is not /a/*"
    assert why_not(rule, "GET", "a.example", "/a", NO_HEADERS) == "there is no header x-a: 1"
    assert why_not(rule, "POST", "a.example", "/a", sent) == "the method is not GET"
    assert why_not(rule, "HEAD", "a.example", "/a", sent) == ""


# Which goes first


def test_rules_go_by_priority_host_path_and_other_conditions() -> None:
    ordered = [
        Rule(priority=2),
        Rule(("a.b.example",), "*", priority=1),
        Rule(("a.b.example",), "/a"),
        Rule(("a.b.example",)),
        Rule(("*.b.example",), "/a"),
        Rule(("*.example",), "/a", ("GET",)),
        Rule((), "/a/b/c", ("GET",), (("X-A", None), ("X-B", None))),
        Rule((), "/a/b/c", ("GET", "POST"), (("X-A", None),)),
        Rule((), "/a/b/c", (), (("X-A", None),)),
        Rule((), "/a/b/c"),
        Rule((), "/a/b/c/*", ("GET",)),
        Rule((), "/a/b/{x}"),
        Rule((), "/a/b/*"),
        Rule((), "/a/{x}/c"),
        Rule((), "/a/{x}/*"),
        Rule((), "/a/*", ("GET",), (("X-A", None),)),
        Rule((), "/{x}/b/c"),
        Rule((), "/*", ("GET",)),
        Rule((), "*"),
        Rule(("a.b.example",), "/a", priority=-1),
    ]
    places = [rule.precedence(rule.host_patterns[0]) for rule in ordered]
    for before, after in pairwise(places):
        assert before < after


# What can never answer


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (Rule(path="/a"), Rule(path="/a"), True),
        (Rule(path="/*"), Rule(path="*"), True),
        (Rule(path="/{x}"), Rule(path="/{y}"), True),
        (Rule(path="/a/*"), Rule(path="/a/b"), False),
        (Rule(path="/a/*", priority=1), Rule(path="/a/b"), True),
        (Rule(path="/a/*", priority=1), Rule(path="/a"), True),
        (Rule(path="/a/*", priority=1), Rule(path="/a/{x}/*"), True),
        (Rule(path="/a/{x}", priority=1), Rule(path="/a/"), False),
        (Rule(path="/a/{x}", priority=1), Rule(path="/a/b"), True),
        (Rule(path="/a", priority=1), Rule(path="/a/*"), False),
        (Rule(path="/@a"), Rule(path="/%40a"), True),
        (Rule(methods=("GET",)), Rule(methods=("HEAD",)), True),
        (Rule(methods=("GET", "POST")), Rule(methods=("GET",)), True),
        (Rule(methods=("GET",)), Rule(methods=("GET", "POST")), False),
        (Rule(methods=("GET",)), Rule(), False),
        (Rule(), Rule(methods=("GET",)), False),
        (Rule(priority=1), Rule(methods=("GET",)), True),
        (Rule(headers=(("X-A", None),)), Rule(headers=(("x-a", "1"),)), True),
        (Rule(headers=(("X-A", "1"),)), Rule(headers=(("x-a", None),)), False),
        (Rule(("a.example",)), Rule(("a.example",)), True),
        (Rule(), Rule(("a.example",)), False),
        (Rule(priority=1), Rule(("a.example",)), True),
        (Rule(("*.example",), priority=1), Rule(("a.example", "*.b.example")), True),
        (Rule(("*.example",), priority=1), Rule(("a.example", "b.org")), False),
        (Rule(("*.example",), priority=1), Rule(("example",)), False),
        (Rule(("*.example",), priority=1), Rule(), False),
    ],
)
def test_knows_a_rule_that_takes_all_of_another(earlier: Rule, later: Rule, expected: bool) -> None:
    assert shadows(earlier, later) is expected


@given(rules(), rules(), requests)
def test_what_is_shadowed_is_matched_by_the_one_before(earlier: Rule, later: Rule, request: Request) -> None:
    if shadows(earlier, later) and matches(later, *request):
        assert matches(earlier, *request)


@given(st.sampled_from(PATHS), st.sampled_from(PATHS), paths)
def test_a_pattern_covers_only_what_it_matches(one: str, other: str, path: str) -> None:
    first, second = PathPattern.parse(one), PathPattern.parse(other)
    if first.covers(second) and second.matches(segments_of(path)):
        assert first.matches(segments_of(path))


@given(rules())
def test_every_rule_shadows_itself(rule: Rule) -> None:
    assert shadows(rule, rule)
