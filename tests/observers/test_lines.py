from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.exchange import Exchange, RefusedExchange
from twistedgate.http.headers import Headers
from twistedgate.http.hops import Peer
from twistedgate.http.message import Request
from twistedgate.http.target import RequestTarget
from twistedgate.observers.lines import Parts, lines

PEER = Peer("192.0.2.7", 8080, "http", False, "public")
COMBINED = re.compile(rb'(\S+) - (\S+) \[([^\]]+)\] "([^"]*)" (\d+) (\d+) "([^"]*)" "([^"]*)"\n')

MakeExchange = Callable[..., Exchange]


class Run(Exchange):
    """A run of a job."""

    __slots__ = ("run",)


class NamedPipeline:
    """As much of a pipeline as a line tells."""

    name = "orders-route"


def test_tells_everything_about_an_exchange_in_one_json_object(make_exchange: MakeExchange) -> None:
    exchange = make_exchange()
    exchange.pipeline = cast(Any, NamedPipeline())
    exchange.consumer = "alice"
    assert json.loads(lines("json", ())(exchange)) == {
        "time": "2025-11-23T15:39:05.678Z",
        "request_id": "c0ffee-1",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "api.example.com",
        "path": "/orders/7",
        "query": "a=1",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 119,
        "route": "orders-route",
        "upstream": "orders",
        "target": "http://10.0.0.1:8080",
        "attempts": 1,
        "seconds": 0.5,
        "first_byte_seconds": 0.25,
        "connect_seconds": 0.00025,
        "reason": "",
        "consumer": "alice",
    }


def test_an_exchange_about_a_job_says_which_and_a_run_which_run(make_exchange: MakeExchange) -> None:
    line = lines("json", ())
    exchange = make_exchange()
    before = line(exchange)
    exchange.job = "t0pq-7"
    assert line(exchange) == before[:-2] + b',"job":"t0pq-7"}\n'
    run = Run(exchange.request, exchange.peer, exchange.request_id, exchange.started, exchange.opened)
    run.job = 'a"b'
    run.run = 2
    told = json.loads(line(run))
    assert (told["job"], told["run"]) == ('a"b', 2)
    combined = lines("combined", ())
    assert b"t0pq-7" not in combined(exchange)


@pytest.mark.parametrize("style", ["json", "combined"])
def test_one_exchange_is_one_line(style: str, make_exchange: MakeExchange) -> None:
    line = lines(style, ())(make_exchange(path="/a\r\nb", query='?"\x00\x1b[2J\\'))
    assert line.endswith(b"\n")
    assert re.search(rb"[\x00-\x1f\x7f]", line[:-1]) is None


def test_an_exchange_without_a_first_byte_says_null(make_exchange: MakeExchange) -> None:
    exchange = make_exchange()
    exchange.first_byte = 0.0
    assert json.loads(lines("json", ())(exchange))["first_byte_seconds"] is None


def test_a_request_that_was_never_understood_still_has_its_line() -> None:
    exchange = Exchange(None, PEER, "c0ffee-2", 5.0, 1763912345.0)
    exchange.status, exchange.reason, exchange.finished = 400, "bad-request", 5.001
    written = json.loads(lines("json", ("key",))(exchange))
    assert [written[name] for name in ("method", "host", "path", "query")] == [""] * 4
    assert (written["status"], written["reason"], written["time"]) == (
        400,
        "bad-request",
        "2025-11-23T15:39:05.000Z",
    )
    assert lines("combined", ())(exchange) == (
        b'192.0.2.7 - - [23/Nov/2025:15:39:05 +0000] "-" 400 0 "-" "-"\n'
    )


@pytest.mark.parametrize(("path", "shown"), [("/orders/7", "/orders/7"), ("", "-")])
def test_what_was_understood_of_a_refused_request_is_told(
    path: str, shown: str, make_exchange: MakeExchange
) -> None:
    query = "?key=s3cret&a=1" if path else ""
    exchange = RefusedExchange(make_exchange(path, query).request, PEER, "c0ffee-2", 5.0, 1763912345.0)
    exchange.status, exchange.reason, exchange.finished = 400, "bad-framing", 5.001
    written = json.loads(lines("json", ("key",))(exchange))
    assert [written[name] for name in ("method", "host", "path", "query")] == [
        *("GET", "api.example.com", path),
        query[1:].replace("s3cret", "***"),
    ]
    line = f'"GET {shown}{query} HTTP/1.1" 400 0 "-" "-"\n'.replace("s3cret", "***")
    assert lines("combined", ("key",))(exchange).decode().endswith(line)


def test_what_lines_have_in_common_is_remembered_within_bounds(make_exchange: MakeExchange) -> None:
    parts = Parts("path", "reason")
    for number in range(10_000):
        values = (f'/"{number}', "x" * (number % 1100))
        for _ in range(2):
            written = parts.written.get(values) or parts.write(values)
            assert json.loads(f"{{{written[1:]}}}") == {"path": values[0], "reason": values[1]}
    assert 0 < len(parts.written) <= 8192
    assert max(map(len, parts.written.values())) <= 1024


def test_a_line_tells_its_own_exchange_whatever_was_told_before(make_exchange: MakeExchange) -> None:
    write = lines("json", ("key",))
    for _ in range(2):
        for path, query, reason in (
            ("/a", "?key=1", ""),
            ("/a", "?key=2", "x"),
            ("/b", "", "x"),
            ("/a", "?b", ""),
        ):
            exchange = make_exchange(path=path, query=query)
            exchange.reason = reason
            told = json.loads(write(exchange))
            shown = query[1:].replace("1", "***").replace("2", "***")
            assert (told["path"], told["query"], told["reason"]) == (path, shown, reason)


def test_the_time_follows_the_exchanges(make_exchange: MakeExchange) -> None:
    write = lines("json", ())
    first, second = make_exchange(), make_exchange()
    second.opened = first.opened + 0.001
    stamps = [json.loads(write(exchange))["time"] for exchange in (first, second, first)]
    assert stamps == ["2025-11-23T15:39:05.678Z", "2025-11-23T15:39:05.679Z", "2025-11-23T15:39:05.678Z"]


def test_combined_is_what_nginx_writes(make_exchange: MakeExchange) -> None:
    headers = Headers.of((b"Referer", b"https://example.com/a"), (b"User-Agent", b"curl/8.5"))
    exchange = make_exchange(headers=headers)
    exchange.consumer = "alice"
    assert lines("combined", ())(exchange) == (
        b'192.0.2.7 - alice [23/Nov/2025:15:39:05 +0000] "GET /orders/7?a=1 HTTP/1.1" 200 119 '
        b'"https://example.com/a" "curl/8.5"\n'
    )


def test_combined_tells_an_old_client(make_exchange: MakeExchange) -> None:
    exchange = make_exchange(query="")
    exchange.request.is_http10 = True
    assert b'"GET /orders/7 HTTP/1.0"' in lines("combined", ())(exchange)


def test_combined_escapes_as_nginx_does(make_exchange: MakeExchange) -> None:
    headers = Headers([(b"user-agent", b"User-Agent", b'a"b\\c\x7f\xe4 d')])
    exchange = make_exchange(headers=headers)
    exchange.consumer = "zoë\u2028"
    line = lines("combined", ())(exchange)
    assert rb'"a\x22b\x5Cc\x7F\xE4 d"' in line
    assert rb" - zo\xEB\xE2\x80\xA8 [" in line


@pytest.mark.parametrize("style", ["json", "combined"])
def test_secrets_are_in_no_line(style: str, make_exchange: MakeExchange) -> None:
    headers = Headers.of(
        (b"Authorization", b"Bearer s3cret"),
        (b"Cookie", b"session=s3cret"),
        (b"Referer", b"https://example.com/?token=s3cret"),
    )
    exchange = make_exchange(query="?key=s3cret&t%6Fken=s3cret&a=1", headers=headers)
    line = lines(style, ("key", "token"))(exchange)
    assert b"s3cret" not in line
    assert b"key=***&t%6Fken=***&a=1" in line


def test_letters_of_any_language_stay_readable_in_json(make_exchange: MakeExchange) -> None:
    exchange = make_exchange()
    exchange.consumer = "zoë\u202e\x7f\x9b"
    line = lines("json", ())(exchange)
    assert "zoë\\u202e\\u007f\\u009b".encode() in line
    assert json.loads(line)["consumer"] == exchange.consumer


def test_text_that_is_not_unicode_does_not_cost_the_line(make_exchange: MakeExchange) -> None:
    exchange = make_exchange()
    exchange.request_id = "a\udcffb"
    assert json.loads(lines("json", ())(exchange))["request_id"] == "a?b"


@pytest.mark.parametrize("style", ["json", "combined"])
def test_a_line_keeps_nothing_of_its_exchange(style: str, make_exchange: MakeExchange) -> None:
    exchange = make_exchange()
    before = len(gc.get_referrers(exchange))
    kept = [lines(style, ())(exchange)]
    assert len(gc.get_referrers(exchange)) == before
    assert kept


@given(st.text(), st.text(), st.text())
def test_whatever_was_asked_is_one_line_that_reads_back(path: str, query: str, agent: str) -> None:
    target = RequestTarget(path, "?" + query, "h", "h", False)
    written_agent = agent.encode("utf-8", "replace")
    request = Request("GET", target, Headers([(b"user-agent", b"User-Agent", written_agent)]))
    exchange = Exchange(request, PEER, "c0ffee-3", 1.0, 1763912345.0)
    written = lines("json", ())(exchange)
    assert written.count(b"\n") == 1
    assert json.loads(written)["path"] == path.encode("utf-8", "replace").decode()
    combined = lines("combined", ())(exchange)
    assert combined.count(b"\n") == 1
    assert COMBINED.fullmatch(combined) is not None
    assert combined.isascii()
