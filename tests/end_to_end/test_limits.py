"""Every limit of the configuration, set small: what is within it passes, what is past it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.conftest import Begin
from tests.end_to_end.harness.answers import Answer, Cut
from tests.end_to_end.harness.client import get, request
from tests.end_to_end.harness.configuration import (
    GATEWAY,
    PROCESSES,
    everything_to,
    ini,
    listener,
    route,
    upstream,
)
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.waiting import happens, is_readable, until


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway whose limits are small."""
    port = shared_recorder.port
    text = ini(
        listener(max_head="2k", max_uri=256, max_headers=10),
        everything_to(port),
        upstream("small-heads", port, max_head="1k", eject_after=0),
        route("small-heads", "/small-heads/*"),
        route("small-bodies", "/small-bodies", upstream="main", max_body=10),
        route("any-body", "/any-body", upstream="main", max_body=0),
        upstream("no-idle", port, keepalive=0),
        route("no-idle", "/no-idle"),
    )
    with Daemon(tmp_path_factory.mktemp("narrow"), text) as daemon:
        yield daemon


def refused(daemon: Daemon, data: bytes) -> tuple[int, str]:
    """Send what is past a limit and return status and reason of the refusal, which ends the connection."""
    with daemon.connect() as client:
        client.send(data)
        answer = client.answer()
        assert answer.closes
        assert client.ends()
    return answer.status, json.loads(answer.body)["reason"]


def accepted(daemon: Daemon, data: bytes) -> Answer:
    """Send what is within a limit and return the answer, which leaves the connection open."""
    with daemon.connect() as client:
        client.send(data)
        answer = client.answer()
        assert client.get("/next").status == 200
    assert answer.status == 200
    return answer


def head_of(size: int) -> bytes:
    """Return a GET whose head has exactly ``size`` bytes."""
    empty = get("/head", "X-Filler: ")
    return get("/head", "X-Filler: " + "x" * (size - len(empty)))


def line_of(size: int) -> bytes:
    """Return a GET whose target has exactly ``size`` bytes."""
    return get("/" + "x" * (size - 1))


def test_max_head(narrow: Daemon) -> None:
    accepted(narrow, head_of(2048))
    assert refused(narrow, head_of(2049)) == (431, "head-too-large")


def test_max_uri(narrow: Daemon) -> None:
    accepted(narrow, line_of(200))
    assert refused(narrow, line_of(300)) == (414, "uri-too-long")


def test_max_headers(narrow: Daemon) -> None:
    accepted(narrow, get("/fields", *["X-A: 1"] * 9))
    assert refused(narrow, get("/fields", *["X-A: 1"] * 10)) == (431, "head-too-large")


def test_max_body_of_a_counted_body(narrow: Daemon, recorder: Recorder) -> None:
    accepted(narrow, request("POST", "/small-bodies", body=b"0123456789"))
    before = len(recorder.visits_to("/small-bodies"))
    assert refused(narrow, request("POST", "/small-bodies", body=b"0123456789a")) == (413, "body-too-large")
    assert len(recorder.visits_to("/small-bodies")) == before


def test_max_body_of_a_chunked_body(narrow: Daemon) -> None:
    head = request("POST", "/small-bodies", "Transfer-Encoding: chunked")
    accepted(narrow, head + b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")
    assert refused(narrow, head + b"5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n") == (413, "body-too-large")


def test_a_body_past_ten_mebibytes_is_refused_by_default_and_accepted_without_a_limit(narrow: Daemon) -> None:
    size = 10 * 1024 * 1024 + 1
    assert refused(narrow, request("POST", "/default", f"Content-Length: {size}"))[0] == 413
    assert len(accepted(narrow, request("POST", "/any-body", body=bytes(size))).body) == size


def test_max_head_of_a_response(narrow: Daemon, recorder: Recorder) -> None:
    recorder.on("/small-heads/fits", lambda visit: visit.answer(200, b"", "X-A: " + "x" * 800))
    recorder.on("/small-heads/large", lambda visit: visit.answer(200, b"", "X-A: " + "x" * 1100))
    with narrow.connect() as client:
        assert client.get("/small-heads/fits").status == 200
        answer = client.get("/small-heads/large")
    assert (answer.status, json.loads(answer.body)["reason"]) == (502, "bad-response")


def test_an_upstream_without_idle_connections(narrow: Daemon, recorder: Recorder) -> None:
    with narrow.connect() as client:
        for number in range(2):
            assert client.get("/no-idle").status == 200
            happens(recorder.visit("/no-idle", number).link.ended, "the connection is not kept")


def test_past_max_connections_accepting_pauses_and_goes_on(begin: Begin, own_recorder: Recorder) -> None:
    """Each process may have so many."""
    daemon = begin(GATEWAY + "max_connections = 2\n", everything_to(own_recorder.port))
    with ExitStack() as stack:
        within = [stack.enter_context(daemon.connect()) for _ in range(2 * PROCESSES)]
        waiting = stack.enter_context(daemon.connect())
        for client in within:
            assert client.get("/within").status == 200
        waiting.send(get("/waiting"))
        for _ in range(20):
            assert within[0].get("/within").status == 200
        assert not is_readable(waiting.socket)
        assert own_recorder.visits_to("/waiting") == []
        within[1].close()
        assert waiting.answer().status == 200


def test_past_max_connections_of_one_address_the_next_is_turned_away(
    begin: Begin, own_recorder: Recorder
) -> None:
    """Of several processes each lets in so many, and which one the next comes to is nobody's choice."""
    daemon = begin(GATEWAY + "max_connections_per_ip = 2\n", everything_to(own_recorder.port))
    with ExitStack() as stack:
        assert is_let_in(daemon, stack)
        assert is_let_in(daemon, stack)
        more = [is_let_in(daemon, stack) for _ in range(2 * PROCESSES - 1)]
        assert not all(more)
        assert len(own_recorder.visits_to("/room")) == 2 + sum(more) <= 2 * PROCESSES
    with ExitStack() as stack:
        until(lambda: is_let_in(daemon, stack), "there is room again")


def is_let_in(daemon: Daemon, stack: ExitStack) -> bool:
    """Connect for as long as ``stack`` lasts; whether a request is answered there, or the connection ends."""
    client = stack.enter_context(daemon.connect())
    client.send_while_open([get("/room")])
    try:
        return client.answer().status == 200
    except Cut:
        return False
