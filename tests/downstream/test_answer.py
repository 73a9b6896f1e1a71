from __future__ import annotations

import pytest

from twistedgate.downstream.answer import ends_by_close, frame, write_head, write_interim
from twistedgate.fakes.body import Body
from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE, Request, Response
from twistedgate.testing import exchange
from twistedgate.wire.serialise import NO_FRAMING

DATE = b"Thu, 01 Jan 2026 00:00:00 GMT"


def asked(method: str = "GET", *, is_http10: bool = False) -> Request:
    request = exchange(method).request
    request.is_http10 = is_http10
    return request


def streamed(length: int, status: int = 200) -> Response:
    response = Response(status, body=Body())
    response.length = length
    return response


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("length", [0, 5, CHUNKED, UNTIL_CLOSE])
def test_an_answer_that_has_no_body_says_nothing_of_one(status: int, length: int) -> None:
    assert frame(asked(), streamed(length, status)) == NO_FRAMING


def test_a_body_that_is_here_has_its_own_length() -> None:
    response = Response(200, body=b"here")
    assert frame(asked(), response) == 4
    for length in (3, CHUNKED, UNTIL_CLOSE, NO_FRAMING):
        response.length = length
        assert frame(asked(), response) == 4
    assert frame(None, response) == 4


def test_a_head_alone_has_the_length_that_a_body_would_have() -> None:
    assert frame(asked("HEAD"), Response(200, body=b"here")) == 4
    without = Response(200)
    without.length = NO_FRAMING
    assert frame(asked("HEAD"), without) == NO_FRAMING


@pytest.mark.parametrize("length", [0, 5, 1 << 40])
def test_a_known_length_is_told(length: int) -> None:
    assert frame(asked(), streamed(length)) == length
    assert frame(asked(is_http10=True), streamed(length)) == length


@pytest.mark.parametrize("length", [CHUNKED, UNTIL_CLOSE])
def test_an_unknown_length_is_chunked_for_those_who_know_chunks(length: int) -> None:
    assert frame(asked(), streamed(length)) == CHUNKED
    assert frame(asked(is_http10=True), streamed(length)) == NO_FRAMING


def test_an_upgrade_has_no_framing() -> None:
    response = Response(101)
    response.tunnel = object()
    assert frame(asked(), response) == NO_FRAMING


@pytest.mark.parametrize("length", [CHUNKED, UNTIL_CLOSE])
def test_the_end_of_the_connection_ends_an_unknown_length_for_an_old_client(length: int) -> None:
    assert ends_by_close(asked(is_http10=True), streamed(length))
    assert not ends_by_close(asked("HEAD", is_http10=True), streamed(length))
    assert not ends_by_close(asked(), streamed(length))
    assert not ends_by_close(asked(is_http10=True), streamed(5))


def test_a_head_is_written_with_its_id_and_its_date() -> None:
    response = Response(200, Headers.of((b"X-Order", b"7")), b"here")
    assert write_head(exchange(), response, 4, True, DATE) == (
        b"HTTP/1.1 200 OK\r\nX-Order: 7\r\nContent-Length: 4\r\n"
        b"X-Request-Id: request-1\r\nDate: " + DATE + b"\r\n\r\n"
    )


def test_the_upstreams_date_and_phrase_stay() -> None:
    response = Response(299, Headers.of((b"Date", b"yesterday")))
    response.phrase = b"Odd"
    head = write_head(exchange(), response, 0, True, DATE)
    assert head.startswith(b"HTTP/1.1 299 Odd\r\n")
    assert head.count(b"Date: ") == 1
    assert b"Date: yesterday\r\n" in head


@pytest.mark.parametrize(
    ("is_http10", "keeps_alive", "said"),
    [
        (False, True, None),
        (False, False, b"Connection: close"),
        (True, True, b"Connection: keep-alive"),
        (True, False, b"Connection: close"),
    ],
)
def test_what_becomes_of_the_connection_is_said_where_it_is_not_understood(
    is_http10: bool, keeps_alive: bool, said: bytes | None
) -> None:
    passing = exchange()
    passing.request.is_http10 = is_http10
    lines = write_head(passing, Response(200), 0, keeps_alive, DATE).split(b"\r\n")
    assert [line for line in lines if line.startswith(b"Connection")] == ([said] if said else [])


def test_an_upgrade_says_to_what() -> None:
    response = Response(101)
    response.tunnel = object()
    head = write_head(exchange(), response, NO_FRAMING, False, DATE)
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"Connection: close" not in head


def test_an_interim_answer_has_its_fields_and_nothing_else() -> None:
    interim = Response(103, Headers.of((b"Link", b"</style.css>; rel=preload")))
    assert write_interim(interim) == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
