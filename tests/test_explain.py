from __future__ import annotations

from pathlib import Path

import pytest

from twistedgate.config.model import Configuration
from twistedgate.explain import Explanation, explain, table
from twistedgate.units import Units

FILE = """
[gateway]
policies = headers:all
[listener:a]
endpoint = tcp:0
[upstream:orders]
targets = http://10.0.0.1:8080 weight=2, http://10.0.0.2:8080
[headers:all]
[headers:some]
[key-auth:k]
[route:all]
path = *
respond = 404 "nothing"
[route:orders]
host = api.example.com
path = /orders/*
strip_prefix = /orders
add_prefix = /v2
upstream = orders
policies = headers:some, key-auth:k
[route:new]
host = api.example.com
path = /orders/new
methods = GET
headers = X-Version=2
redirect = 302 /orders/1
[route:posts]
path = /posts
methods = POST
priority = 5
respond = 200
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "a.ini").write_text(FILE)
    return Units().load(str(tmp_path / "a.ini"), {})


def explained(configuration: Configuration, method: str, url: str, *headers: str) -> Explanation:
    return explain(configuration, Units(), (method, url), headers)


def test_the_table_is_in_the_order_that_routes_are_asked(configuration: Configuration) -> None:
    lines = table(configuration, Units()).splitlines()
    assert lines[0].split() == [
        "PRIORITY",
        "HOST",
        "PATH",
        "METHODS",
        "HEADERS",
        "ROUTE",
        "ACTION",
        "POLICIES",
    ]
    assert [line.split()[5] for line in lines[1:]] == ["posts", "new", "orders", "all"]
    assert "redirect 302 /orders/1" in lines[2]
    assert lines[3].endswith("  headers:all headers:some key-auth:k")
    assert "  upstream orders  " in lines[3]


def test_says_which_route_answers_and_where_the_request_goes(configuration: Configuration) -> None:
    assert explained(configuration, "GET", "https://API.example.com/orders/7?x=1") == Explanation(
        """\
GET /orders/7?x=1 of the host api.example.com
  passed over [route:posts]: the path is not /posts
  passed over [route:new]: the path is not /orders/new
answered by [route:orders]
  policy key-auth:k (IDENTIFY)
  policy headers:all (TRANSFORM)
  policy headers:some (TRANSFORM)
  sent to upstream orders (round-robin) as /v2/7?x=1
    target http://10.0.0.1:8080 weight 2
    target http://10.0.0.2:8080 weight 1""",
        "orders",
    )


def test_headers_count(configuration: Configuration) -> None:
    new = "http://api.example.com/orders/new"
    assert explained(configuration, "GET", new).route == "orders"
    found = explained(configuration, "GET", new, "X-Version: 2")
    assert found.route == "new"
    assert "redirects: 302 to /orders/1" in found.text


def test_a_path_alone_is_of_the_host_that_a_header_names(configuration: Configuration) -> None:
    assert explained(configuration, "GET", "/orders/7").route == "all"
    assert explained(configuration, "GET", "/orders/7", "Host: api.example.com:80").route == "orders"
    assert explained(configuration, "GET", "http://api.example.com").route == "all"


def test_another_method_is_answered_405() -> None:
    only = Configuration()
    assert explain(only, Units(), ("GET", "/"), ()).text.endswith("no route answers: 404")


def test_another_method_than_any_routes_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text(
        "[listener:a]\nendpoint = tcp:0\n[route:a]\npath = /a\nmethods = PUT\nrespond = 200\n"
    )
    found = explained(Units().load(str(tmp_path / "a.ini"), {}), "GET", "/a")
    assert found.text.endswith("no route answers: 405 with Allow: PUT")
    assert found.route == ""


def test_what_is_refused_before_any_route_says_so(configuration: Configuration) -> None:
    for url in ("/a/../..", "/%00", "http://a_b!/"):
        found = explained(configuration, "GET", url)
        assert found.text.startswith("refused before any route: 400 bad-")
        assert found.route == ""


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("TRACE", "405 method-not-allowed"),
        ("CONNECT", "501 unknown-method"),
        ("get", "501 unknown-method"),
        ("G T", "400 bad-request"),
        ("GÉT", "400 bad-request"),
        ("", "400 bad-request"),
    ],
)
def test_a_method_that_no_route_is_asked_about_is_refused(
    configuration: Configuration, method: str, answer: str
) -> None:
    found = explained(configuration, method, "/orders")
    assert found.text.startswith(f"refused before any route: {answer}")
    assert found.route == ""


def test_an_encoded_slash_is_refused_by_the_route(configuration: Configuration) -> None:
    assert explained(configuration, "GET", "http://api.example.com/orders/a%2fb").text.endswith(
        "answered by [route:orders]\n  refused: 400 bad-path, as encoded_slashes = reject"
    )


def test_an_asterisk_is_answered_by_the_gateway(configuration: Configuration) -> None:
    assert "by the gateway itself" in explained(configuration, "OPTIONS", "*").text


@pytest.mark.parametrize(
    ("url", "header"), [("ftp://a/", "A: b"), ("http:///a", "A: b"), ("/", "A"), ("/", "A b: c")]
)
def test_what_is_no_request_is_refused(configuration: Configuration, url: str, header: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        explained(configuration, "GET", url, header)


JOBS = """
[gateway]
jobs_path = /tasks
[listener:a]
endpoint = tcp:0
[upstream:u]
targets = http://10.0.0.1:8080
[key-auth:k]
[route:asked]
path = /asked
upstream = u
policies = key-auth:k
async = optional
[route:every]
path = /every
respond = 200
async = always
priority = 9
"""


@pytest.fixture
def with_jobs(tmp_path: Path) -> Configuration:
    (tmp_path / "j.ini").write_text(JOBS)
    return Units().load(str(tmp_path / "j.ini"), {})


def test_the_table_begins_with_jobs_and_says_what_becomes_one(with_jobs: Configuration) -> None:
    lines = table(with_jobs, Units()).splitlines()
    assert [line.split()[5] for line in lines[1:]] == ["_jobs", "every", "asked"]
    assert lines[1].split()[:3] == ["first", "any", "/tasks/*"]
    assert lines[1].endswith("key-auth:k")
    assert "  job: respond 200  " in lines[2]
    assert "  job, if asked: upstream u  " in lines[3]


@pytest.mark.parametrize("path", ["/tasks", "/tasks/", "/tasks/x/result", "/x/../tasks//x"])
def test_jobs_are_asked_for_before_all_routes(with_jobs: Configuration, path: str) -> None:
    found = explained(with_jobs, "GET", path)
    assert found.route == "_jobs"
    assert "before all routes" in found.text
    assert found.text.endswith("policy key-auth:k, if it is the first with credentials")


@pytest.mark.parametrize("path", ["/tasksy", "/task"])
def test_what_only_looks_like_jobs_is_a_routes(with_jobs: Configuration, path: str) -> None:
    assert explained(with_jobs, "GET", path).route == ""


def test_nobody_asks_for_jobs_where_there_are_none(configuration: Configuration) -> None:
    assert explained(configuration, "GET", "/_jobs/x").route == "all"


def test_says_which_calls_become_jobs(with_jobs: Configuration) -> None:
    asked, every = (explained(with_jobs, "POST", path).text for path in ("/asked", "/every"))
    assert "  becomes a job if it asks so by Prefer: respond-async, asked for at /tasks" in asked
    assert "  becomes a job, asked for at /tasks" in every
