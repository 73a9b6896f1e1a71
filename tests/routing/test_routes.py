from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config import fields, notation
from twistedgate.config.model import Configuration, Respond, RouteConfig
from twistedgate.config.values import Surroundings
from twistedgate.http.headers import Headers
from twistedgate.routing.routes import is_of_jobs, jobs_rule, rule_of, table_of, unreachable, upstream_path
from twistedgate.routing.table import RouteTable

ANSWER = Respond(200, "")


def configuration(*routes: RouteConfig) -> Configuration:
    return Configuration(routes={route.name: route for route in routes})


def test_a_route_becomes_its_rule() -> None:
    route = RouteConfig("r", host=("a",), path="/b", methods=("GET",), headers=(("X-A", None),), priority=3)
    rule = rule_of(route)
    assert (rule.hosts, rule.path, rule.methods, rule.headers, rule.priority) == (
        ("a",),
        "/b",
        ("GET",),
        (("X-A", None),),
        3,
    )


def test_the_table_answers_with_routes() -> None:
    route = RouteConfig("r", path="/a/*", respond=ANSWER)
    assert table_of(configuration(route)).match("GET", "", "/a/b", Headers()) is route


def test_a_route_that_others_leave_nothing_to_is_told_with_their_names() -> None:
    found = list(
        unreachable(
            configuration(
                RouteConfig("all", path="*", priority=1, respond=ANSWER),
                RouteConfig("some", path="/a", respond=ANSWER),
            )
        )
    )
    assert [(fault.section, fault.option) for fault in found] == [("route:some", "path")]
    assert "[route:all] takes all that it would" in found[0].what


def test_a_route_that_is_narrower_and_goes_first_takes_nothing_away() -> None:
    assert not list(
        unreachable(
            configuration(
                RouteConfig("all", path="*", respond=ANSWER),
                RouteConfig("some", path="/a", respond=ANSWER),
                RouteConfig("get", path="/a", methods=("GET",), respond=ANSWER),
            )
        )
    )


@given(st.text(alphabet="/ab%2F7e{}*~;@", max_size=12), st.text(alphabet="ab.*:1", max_size=8))
def test_whatever_the_configuration_accepts_is_a_rule(path: str, host: str) -> None:
    try:
        accepted = fields.route_path.read(f"/{path}", Surroundings())
        hosts = notation.host_pattern.read(host, Surroundings())
    except ValueError:
        return
    rule_of(RouteConfig("r", path=accepted, host=(hosts,)))


@pytest.mark.parametrize(
    ("strip", "add", "path", "sent"),
    [
        ("", "", "/a/b", "/a/b"),
        ("/a", "", "/a/b", "/b"),
        ("/a", "", "/a", "/"),
        ("/a", "", "/a/", "/"),
        ("/a", "/v2", "/a/b", "/v2/b"),
        ("/a", "/v2", "/a", "/v2"),
        ("/a", "/v2", "/a/", "/v2/"),
        ("", "/v2", "/", "/v2/"),
        ("", "/v2", "/a", "/v2/a"),
        ("/a", "", "/ab", "/ab"),
    ],
)
def test_prefixes_are_taken_off_in_whole_segments_and_put_on(
    strip: str, add: str, path: str, sent: str
) -> None:
    assert upstream_path(RouteConfig("r", path="*", strip_prefix=strip, add_prefix=add), path) == sent


@pytest.mark.parametrize(
    ("path", "is_under"),
    [("/_jobs", True), ("/_jobs/", True), ("/_jobs/a/b", True), ("/_jobsite", False), ("/", False)],
)
def test_requests_for_jobs_go_before_the_highest_priority(path: str, is_under: bool) -> None:
    route = RouteConfig("r", path="*", priority=10**15 - 1, async_="always")
    table = RouteTable([(rule_of(route), "route"), (jobs_rule("/_jobs"), "jobs")])
    assert (table.match("GET", "a", path, Headers()) == "jobs") is is_under
    assert is_of_jobs(Configuration(routes={"r": route}), path) is is_under
    assert not is_of_jobs(Configuration(), path)
