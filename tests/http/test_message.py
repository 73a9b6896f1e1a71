"""Requests and responses begin as nothing more than what they were given."""

from __future__ import annotations

from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE, BodySink, Request, Response, WrittenHead
from twistedgate.http.target import RequestTarget


class Silence:
    """A body of which nothing comes."""

    def attach(self, sink: BodySink) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def test_lengths_that_are_no_numbers_cannot_be_taken_for_one() -> None:
    assert CHUNKED < 0
    assert UNTIL_CLOSE < 0
    assert CHUNKED != UNTIL_CLOSE


def test_a_request_has_no_body_unless_somebody_says_so() -> None:
    target = RequestTarget("/a", "?q", "host", "host:80", False)
    request = Request("GET", target, Headers())
    assert (request.length, request.body) == (0, b"")
    assert (request.is_http10, request.keep_alive) == (False, True)
    assert (request.expects_continue, request.accepts_trailers, request.upgrade) == (False, False, None)
    assert repr(request) == "<Request GET host:80/a>"


def test_a_response_knows_the_length_of_bytes() -> None:
    assert Response(200, body=b"hello").length == 5
    assert Response(204).length == 0


def test_a_response_does_not_know_the_length_of_a_source() -> None:
    assert Response(200, body=Silence()).length == CHUNKED


def test_responses_do_not_share_their_fields() -> None:
    one, other = Response(200), Response(200)
    one.headers.add(b"A", b"1")
    assert list(other.headers) == []


def test_repr_shows_status_and_reason() -> None:
    assert repr(Response(200)) == "<Response 200>"
    assert repr(Response(404, reason="no-route")) == "<Response 404 no-route>"


def test_the_fields_of_a_head_that_was_written_before_are_there_for_whoever_asks() -> None:
    fields = ((b"date", b"Date", b"today"),)
    written = WrittenHead(200, b"", fields, b"Date: today\r\n", 0, b"HTTP/1.1 200 OK\r\nDate: today\r\n")
    response = Response(200)
    response.written = written
    assert written.is_of(response)
    assert response.headers.fields == fields
    assert written.is_of(response)
    response.headers.add(b"X-More", b"1")
    assert not written.is_of(response)


def test_a_head_with_a_tunnel_behind_it_was_not_written_before() -> None:
    written = WrittenHead(200, b"", (), b"", 0, b"HTTP/1.1 200 OK\r\n")
    response = Response(200)
    response.tunnel = object()
    assert not written.is_of(response)
