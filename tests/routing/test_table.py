"""The table answers what a search through every rule would, whatever the spelling of the request."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.routing.rules import METHODS, Request, request_sets, requests, rules
from twistedgate.http.headers import Headers
from twistedgate.http.target import parse_target
from twistedgate.routing.match import Precedence, Rule, covers_host, matches, shadows
from twistedgate.routing.table import Miss, RouteTable, Shadowed

NO_HEADERS = Headers()


def table(*entries: Rule) -> RouteTable[int]:
    return RouteTable([(rule, number) for number, rule in enumerate(entries)])


def found(routes: RouteTable[int], path: str, method: str = "GET", host: str = "a.example") -> int | Miss:
    return routes.match(method, host, path, NO_HEADERS)


tables = st.sampled_from(((0,), (0, 1), (2, 1, 0, -1))).flatmap(
    lambda some: st.lists(rules(some), max_size=12)
)


def naive(entries: list[Rule], request: Request) -> int | Miss:
    """Search as the configuration's page says it."""
    method, host, path, headers = request

    def place(number: int) -> tuple[Precedence, int]:
        fitting = (pattern for pattern in entries[number].host_patterns if covers_host(pattern, host))
        return min(entries[number].precedence(pattern) for pattern in fitting), number

    answering = [number for number, rule in enumerate(entries) if matches(rule, method, host, path, headers)]
    if answering:
        return min(answering, key=place)
    others = {other for rule in entries for other in METHODS if matches(rule, other, host, path, headers)}
    return Miss(tuple(sorted(others)))


@given(tables, request_sets)
@example([Rule(path="/{x}"), Rule(path="/a/*"), Rule(path="/*")], [("GET", "", "/a/", NO_HEADERS)])
@example([Rule(path="/{x}/*"), Rule(path="/@"), Rule(path="*")], [("GET", "", "/", NO_HEADERS)])
def test_the_index_equals_the_naive_search(entries: list[Rule], some: list[Request]) -> None:
    routes = table(*entries)
    for request in some:
        assert routes.match(*request) == naive(entries, request)


@given(tables, requests)
def test_explains_what_it_does(entries: list[Rule], request: Request) -> None:
    considered = table(*entries).explain(*request)
    answering = [entry.answer for entry in considered if not entry.passed_over]
    answer = table(*entries).match(*request)
    assert sorted(entry.answer for entry in considered) == list(range(len(entries)))
    assert answering == ([] if isinstance(answer, Miss) else [answer])


@given(tables, request_sets)
def test_what_is_shadowed_never_answers(entries: list[Rule], some: list[Request]) -> None:
    routes = table(*entries)
    never = {shadowed.answer for shadowed in routes.shadowed()}
    assert never.isdisjoint(routes.match(*request) for request in some)


@given(tables)
def test_everything_that_one_rule_shadows_is_found(entries: list[Rule]) -> None:
    never = {shadowed.answer for shadowed in table(*entries).shadowed()}
    for number, rule in enumerate(entries):
        if any(shadows(earlier, rule) for earlier in entries[:number]):
            assert number in never


@given(
    st.lists(rules(), min_size=1, max_size=8),
    st.lists(st.sampled_from(("a", "b", "@", "A", "~")), max_size=3),
    st.data(),
)
def test_every_spelling_of_a_path_gets_the_same_route(
    entries: list[Rule], segments: list[str], data: st.DataObject
) -> None:
    routes = table(*entries)
    spelled = ""
    for segment in segments:
        lead = data.draw(st.sampled_from(("/", "//", "/./", "/x/../", "/%2e/", "/x/%2E./")))
        escape = f"%{ord(segment):02x}"
        spelled += lead + data.draw(st.sampled_from((segment, escape, escape.upper())))
    plain = "/" + "/".join(segments)
    target = parse_target("GET", (spelled or "/.").encode(), b"B.example.:80", False)
    assert routes.match("GET", target.host, target.path, NO_HEADERS) == found(routes, plain, host="b.example")


def test_what_is_remembered_of_places_is_bounded_and_right() -> None:
    rules = [Rule(path="/a/{name}", hosts=("a.example",)), Rule(path="/a/*"), Rule(path="/b")]
    routes = table(*rules)
    for number in [*range(5000), *range(5000)]:
        assert found(routes, f"/a/{number}") == 0
        assert found(routes, f"/a/{number}", host="b.example") == 1
    assert len(routes._seen) <= 4096
    assert found(routes, "/b") == 2
    assert found(routes, "/a/" + "x" * 200) == 0


def test_an_empty_table_has_no_route() -> None:
    assert found(table(), "/") == Miss(())


def test_says_which_methods_would_be_answered() -> None:
    routes = table(
        Rule(path="/a", methods=("GET",)),
        Rule(path="/{x}", methods=("PUT", "DELETE")),
        Rule(("b.example",), "/a", ("PATCH",)),
        Rule(path="/a", methods=("POST",), headers=(("X-A", None),)),
    )
    assert found(routes, "/a", "BREW") == Miss(("DELETE", "GET", "HEAD", "PUT"))
    assert found(routes, "/b", "GET") == Miss(("DELETE", "PUT"))
    assert found(routes, "/b/c", "GET") == Miss(())
    assert found(routes, "/a", "DELETE") == 1


def test_goes_on_past_a_more_specific_rule_that_does_not_hold() -> None:
    routes = table(
        Rule(("a.example",), "/a/b", ("POST",)),
        Rule(("a.example",), "/a/{x}", (), (("X-A", None),)),
        Rule(("*.example",), "/a/*", ("PUT",)),
        Rule(("*.example",)),
    )
    assert found(routes, "/a/b") == 3
    assert found(routes, "/a/b", "PUT") == 2
    assert found(routes, "/a/b", "POST") == 0


def test_the_order_of_the_file_settles_what_nothing_else_does() -> None:
    assert found(table(Rule(path="/{x}"), Rule(path="/{y}"), Rule(path="/*"), Rule()), "/a") == 0
    assert found(table(Rule(), Rule(path="/*")), "/a") == 0


def test_a_longer_suffix_goes_first() -> None:
    routes = table(Rule(("*.example",)), Rule(("*.b.example",)), Rule(("a.b.example",)), Rule())
    hosts = ("a.b.example", "c.b.example", "x.a.b.example", "b.example", "example", "b.org", "")
    assert [found(routes, "/", host=host) for host in hosts] == [2, 1, 1, 0, 3, 3, 3]


def test_a_very_long_path_is_matched_like_any_other() -> None:
    routes = table(Rule(path="/a/a"), Rule(path="/a/a/a/*"), Rule(path="/a/a/a/{x}"))
    assert found(routes, "/a" * 2000) == 1
    assert found(routes, "/a" * 4) == 2
    assert found(routes, "/a" * 2 + "/" * 1) == Miss(())


def test_says_why_each_was_passed_over() -> None:
    routes = table(Rule(path="/b"), Rule(path="*"), Rule(path="/a", methods=("POST",)), Rule(path="/{x}"))
    assert [(entry.answer, entry.passed_over) for entry in routes.explain("GET", "h", "/a", NO_HEADERS)] == [
        (2, "the method is not POST"),
        (0, "the path is not /b"),
        (3, ""),
        (1, "one before it answers"),
    ]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([Rule(path="/{x}", priority=1), Rule(path="/"), Rule(path="/a/")], []),
        ([Rule(path="/a", priority=1), Rule(path="/a/*")], []),
        ([Rule(headers=(("X-A", None),)), Rule(headers=(("X-B", None),))], []),
        ([Rule(headers=(("X-A", None),)), Rule(headers=(("X-A", "1"),))], [Shadowed(1, (0,))]),
        ([Rule(path="/a"), Rule(path="/a")], [Shadowed(1, (0,))]),
        ([Rule(path="/a"), Rule(path="/a", priority=1)], [Shadowed(0, (1,))]),
        ([Rule(path="/a/*"), Rule(path="/a/b")], []),
        ([Rule(path="/a/b"), Rule(path="/*", priority=1)], [Shadowed(0, (1,))]),
        (
            [Rule(methods=("GET",)), Rule(methods=("POST",)), Rule(methods=("GET", "POST"))],
            [Shadowed(2, (0, 1))],
        ),
        ([Rule(methods=("GET",)), Rule(methods=("GET", "POST"))], []),
        (
            [Rule(("a.example",)), Rule(("*.b.example",)), Rule(("a.example", "*.b.example"))],
            [Shadowed(2, (0, 1))],
        ),
        ([Rule(("a.example",)), Rule(("a.example", "b.example"))], []),
        ([Rule(path="/{x}/*", priority=1), Rule(path="/a/{y}"), Rule(path="/*")], [Shadowed(1, (0,))]),
    ],
)
def test_knows_entries_that_can_never_answer(entries: list[Rule], expected: list[Shadowed[int]]) -> None:
    assert table(*entries).shadowed() == expected


class AskedHeaders(Headers):
    """Counts how often a rule asks for one."""

    __slots__ = ("asked",)

    def has(self, key: bytes) -> bool:
        self.asked: int = getattr(self, "asked", 0) + 1
        return super().has(key)


def test_a_large_table_is_not_searched() -> None:
    many = [Rule((f"h{n % 40}.example",), f"/r{n}/*", (), (("X-A", None),), n % 7) for n in range(2000)]
    headers = AskedHeaders([(b"x-a", b"X-A", b"1")])
    assert table(*many, Rule()).match("GET", "h17.example", "/r1977/x", headers) == 1977
    assert headers.asked == 1
