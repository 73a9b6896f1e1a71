"""Routes and their actions, as a client and an upstream see them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.harness.client import request
from tests.end_to_end.harness.configuration import ini, route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway with a route of every kind."""
    text = ini(
        upstream("main", shared_recorder.port),
        route("main", "*"),
        route("shop", "/shop/*", upstream="main", strip_prefix="/shop"),
        route("old", "/old/*", upstream="main", strip_prefix="/old", add_prefix="/new/v2"),
        route("added", "/added", upstream="main", add_prefix="/below"),
        route("closed", "/closed/*", respond='503 "back at noon"'),
        route("empty", "/empty", respond="204"),
        route("moved", "/moved/*", redirect="308 https://new.test/here"),
        route("exact", "/exact", respond='200 "exact"'),
        route("literal", "/users/me", respond='200 "literal"'),
        route("parameter", "/users/{id}", respond='200 "parameter"'),
        route("below", "/users/*", respond='200 "below"'),
        route("host", "/users/*", host="api.test", respond='200 "host"'),
        route("suffix", "/users/*", host="*.test", respond='200 "suffix"'),
        route("debug", "/exact", headers=["X-Debug"], respond='200 "debug"'),
        route("version", "/exact", headers=["X-Version=2"], respond='200 "version 2"'),
        route("first", "/users/vip", priority=1, host="*.test", respond='200 "priority"'),
        route("write", "/write-only", methods="POST, PUT", host="write.test", respond='200 "written"'),
    )
    with Daemon(tmp_path_factory.mktemp("routing"), text) as daemon:
        yield daemon


def said(daemon: Daemon, path: str, *fields: str) -> str:
    with daemon.connect() as client:
        return client.get(path, *fields).body.decode().strip()


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("/exact", [], "exact"),
        ("/exact", ["X-Debug: whatever"], "debug"),
        ("/exact", ["X-Version: 2"], "version 2"),
        ("/exact", ["X-Version: 3"], "exact"),
        ("/users/me", [], "literal"),
        ("/users/7", [], "parameter"),
        ("/users/7/cart", [], "below"),
        ("/users", [], "below"),
        ("/users/me", ["Host: api.test"], "host"),
        ("/users/me", ["Host: API.test:8080"], "host"),
        ("/users/me", ["Host: www.shop.test"], "suffix"),
        ("/users/vip", ["Host: api.test"], "priority"),
        ("/%75sers/%6de", [], "literal"),
        ("/users//./me", [], "literal"),
    ],
)
def test_the_route_that_answers(routing: Daemon, path: str, fields: list[str], words: str) -> None:
    host = [] if any(line.startswith("Host:") for line in fields) else ["Host: elsewhere.invalid"]
    assert said(routing, path, *host, *fields) == words


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/shop", "/"),
        ("/shop/", "/"),
        ("/shop/cart?a=%2F", "/cart?a=%2F"),
        ("/shop/../shop/cart", "/cart"),
        ("/shopping", "/shopping"),
        ("/old/thing", "/new/v2/thing"),
        ("/added", "/below/added"),
        ("/unchanged", "/unchanged"),
    ],
)
def test_prefixes_are_taken_off_and_put_on(routing: Daemon, asked: str, sent: str) -> None:
    with routing.connect() as client:
        assert client.get(asked, "Host: elsewhere.invalid").value("X-Target") == sent


def test_a_route_may_answer_by_itself(routing: Daemon) -> None:
    with routing.connect() as client:
        answer = client.get("/closed/x")
        assert (answer.status, answer.body.strip()) == (503, b"back at noon")
        assert (answer.value("Content-Type") or "").startswith("text/plain")
        assert client.get("/empty").status == 204


def test_a_route_may_send_elsewhere(routing: Daemon) -> None:
    with routing.connect() as client:
        answer = client.get("/moved/anything?x=1")
    assert (answer.status, answer.value("Location")) == (308, "https://new.test/here")


def test_a_route_that_answers_by_itself_leaves_the_connection_in_order(routing: Daemon) -> None:
    with routing.connect() as client:
        answer = client.ask("POST", "/exact", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.body.strip() == b"exact"
        assert client.ends() if answer.closes else client.get("/empty").status == 204


def test_head_is_admitted_where_get_is(routing: Daemon) -> None:
    with routing.connect() as client:
        answer = client.ask("HEAD", "/exact")
        assert (answer.status, answer.body) == (200, b"")
        assert client.get("/exact").body.strip() == b"exact"


def test_a_method_of_another_route_falls_through_to_the_catch_all(routing: Daemon) -> None:
    with routing.connect() as client:
        client.send(request("GET", "/write-only", "Host: write.test"))
        assert client.answer().value("X-Target") == "/write-only"
        client.send(request("PUT", "/write-only", "Host: write.test"))
        assert client.answer().body.strip() == b"written"
