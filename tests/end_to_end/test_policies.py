"""Policies, end to end: headers, keys and consumers, and one that another distribution brings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.distribution import distribute
from tests.end_to_end.harness.recorder import Recorder

KEY = "correct-horse-battery-staple"

RULES = '''\
"""A policy of a third party."""

from __future__ import annotations

from dataclasses import dataclass

from twistedgate.config.schema import option
from twistedgate.config.values import count
from twistedgate.policy import Policy, Stage
from twistedgate.problem import refuse


class TeaTime(Policy):
    """Refuses every request after so many."""

    stage = Stage.LIMIT

    @dataclass(frozen=True, slots=True)
    class Config:
        """The options of ``[tea-time:NAME]``."""

        name: str
        cups: int = option(count, "1", "Requests that pass.")

    def __init__(self, config, runtime):
        super().__init__(config, runtime)
        self._left = config.cups
        self._under_way = 0

    def on_request(self, exchange):
        """Count down."""
        self._under_way += 1
        self._left -= 1
        return None if self._left >= 0 else refuse(429, "too-many")

    def on_response(self, exchange, response):
        """Say how many are under way."""
        response.headers.add(b"X-Under-Way", b"%d" % self._under_way)

    def on_finish(self, exchange):
        """Count out."""
        self._under_way -= 1
        print("the tea is over")
'''


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway with policies on its routes, one of them from another distribution."""
    folder = tmp_path_factory.mktemp("ruled")
    distribute(folder / "elsewhere", "tea-time", RULES)
    text = ini(
        upstream("main", shared_recorder.port),
        route("dressed", "/dressed", upstream="main", policies="headers:dress"),
        route("by-header", "/by-header", upstream="main", policies="key-auth:header"),
        route("by-query", "/by-query", upstream="main", policies="key-auth:query"),
        route("kept", "/kept", upstream="main", policies="key-auth:kept"),
        route("both", "/both", upstream="main", policies="headers:who, key-auth:header"),
        route("tea", "/tea", upstream="main", policies="tea-time:afternoon"),
        section(
            "headers:dress",
            request_set=["X-Client: {client}", "X-Route: {route}"],
            request_add=["X-Tag: gateway"],
            request_remove="X-Secret",
            request_rename=["X-Old: X-New"],
            response_set=["Server: gateway"],
            response_add=["X-Id: {request_id}"],
            response_remove="X-Powered-By",
            response_rename=["X-Before: X-After"],
        ),
        section("headers:who", response_set=["X-Caller: {consumer}"]),
        section("key-auth:header", header="X-API-Key"),
        section("key-auth:query", header="", query="api_key"),
        section("key-auth:kept", header="X-API-Key", keep="yes"),
        section("consumer:alice", keys=f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"),
        section("tea-time:afternoon", cups=2),
    )
    launch = Launch(environment={"PYTHONPATH": str(folder / "elsewhere")})
    with Daemon(folder, text, launch) as daemon:
        yield daemon


def test_headers_are_changed_on_the_way_to_the_upstream(ruled: Daemon, recorder: Recorder) -> None:
    with ruled.connect() as client:
        client.get("/dressed", "X-Tag: mine", "X-Secret: 1", "X-Old: 2", "X-Client: spoofed")
    visit = recorder.visit("/dressed")
    assert visit.values("X-Client") == ["127.0.0.1"]
    assert visit.values("X-Route") == ["dressed"]
    assert visit.values("X-Tag") == ["mine", "gateway"]
    assert visit.values("X-Secret") + visit.values("X-Old") == []
    assert visit.values("X-New") == ["2"]


def test_headers_are_changed_on_the_way_back(ruled: Daemon, recorder: Recorder) -> None:
    recorder.on(
        "/dressed",
        lambda visit: visit.answer(200, b"", "Server: upstream", "X-Powered-By: tea", "X-Before: 3"),
    )
    with ruled.connect() as client:
        answer = client.get("/dressed")
    assert answer.values("Server") == ["gateway"]
    assert answer.values("X-Powered-By") + answer.values("X-Before") == []
    assert answer.values("X-After") == ["3"]
    assert answer.value("X-Id") == answer.value("X-Request-Id")


@pytest.mark.parametrize(
    ("path", "fields", "reason"),
    [
        ("/by-header", [], "no-credentials"),
        ("/by-header", ["X-API-Key: wrong"], "bad-credentials"),
        ("/by-header", [f"X-API-Key: {KEY}", f"X-API-Key: {KEY}"], "bad-credentials"),
        ("/by-query", [f"X-API-Key: {KEY}"], "no-credentials"),
        ("/by-query?api_key=wrong", [], "bad-credentials"),
    ],
)
def test_without_the_key_there_is_no_way(
    ruled: Daemon, recorder: Recorder, path: str, fields: list[str], reason: str
) -> None:
    before = len(recorder.visits)
    with ruled.connect() as client:
        answer = client.get(path, *fields)
        assert (answer.status, json.loads(answer.body)["reason"]) == (401, reason)
        assert answer.value("WWW-Authenticate")
        assert not answer.closes
    assert len(recorder.visits) == before


def test_with_the_key_the_upstream_learns_who_calls_and_never_the_key(
    ruled: Daemon, recorder: Recorder
) -> None:
    with ruled.connect() as client:
        assert client.get("/by-header", f"X-API-Key: {KEY}", "X-Consumer: mallory").status == 200
        assert client.get(f"/by-query?a=1&api_key={KEY}&b=2").status == 200
        assert client.get("/kept", f"X-API-Key: {KEY}").status == 200
    by_header, by_query = recorder.visit("/by-header"), recorder.visit("/by-query")
    assert by_header.values("X-Consumer") == by_query.values("X-Consumer") == ["alice"]
    assert KEY.encode() not in by_header.head + by_query.head
    assert by_query.target == "/by-query?a=1&b=2"
    assert recorder.visit("/kept").value("X-API-Key") == KEY


def test_the_log_knows_the_consumer_and_not_the_key(ruled: Daemon) -> None:
    with ruled.connect() as client:
        client.get(f"/by-query?api_key={KEY}&seen=1")
        client.get(f"/by-query?api_key={KEY}wrong")
    assert ruled.record(path="/by-query", status=200)["consumer"] == "alice"
    ruled.record(path="/by-query", status=401)
    assert KEY not in json.dumps(ruled.records)
    assert KEY not in "\n".join(ruled.log)


def test_who_calls_is_known_before_headers_are_changed(ruled: Daemon) -> None:
    with ruled.connect() as client:
        assert client.get("/both", f"X-API-Key: {KEY}").value("X-Caller") == "alice"
        assert client.get("/both").status == 401


def test_a_policy_of_another_distribution_is_found_and_obeyed(ruled: Daemon, recorder: Recorder) -> None:
    with ruled.connect() as client:
        answers = [client.get("/tea") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert [answer.value("X-Under-Way") for answer in answers] == ["1"] * 4
    assert len(recorder.visits_to("/tea")) == 2


def test_what_a_policy_prints_is_logged(ruled: Daemon) -> None:
    """Standard output belongs to the access log."""
    with ruled.connect() as client:
        client.get("/tea")
    ruled.wait_for_log(r"\[stdout#info\] (worker \d: )?the tea is over")
