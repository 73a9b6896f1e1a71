"""Forms of messages: bodies counted, chunked and until close, interim answers, trailers, Expect."""

from __future__ import annotations

import threading

from tests.end_to_end.harness.client import Client, get, request
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_head_has_the_fields_of_get_and_no_body(client: Client, recorder: Recorder) -> None:
    recorder.on("/head", lambda visit: visit.answer(200, b"x" * 100, "ETag: 1"))
    answer = client.ask("HEAD", "/head")
    assert (answer.value("Content-Length"), answer.value("ETag")) == ("100", "1")
    assert client.get("/head").body == b"x" * 100


def test_204_has_neither_body_nor_framing(client: Client, recorder: Recorder) -> None:
    recorder.on("/204", lambda visit: visit.send(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"))
    answer = client.get("/204")
    assert (answer.status, answer.value("X-A"), answer.closes) == (204, "1", False)
    assert client.get("/after").status == 200


def test_304_has_no_body(client: Client, recorder: Recorder) -> None:
    recorder.on("/304", lambda visit: visit.send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'))
    answer = client.get("/304", 'If-None-Match: "1"')
    assert (answer.status, answer.value("ETag"), answer.body) == (304, '"1"', b"")
    assert client.get("/after").status == 200


def test_an_answer_without_a_body_is_framed_as_one(client: Client, recorder: Recorder) -> None:
    recorder.on("/empty", lambda visit: visit.answer(404))
    assert client.get("/empty").value("Content-Length") == "0"


def test_interim_answers_go_on_to_the_client(client: Client, recorder: Recorder) -> None:
    recorder.on("/hints", lambda visit: visit.send(HINTS, HINTS, PAGE))
    answer = client.get("/hints")
    assert [interim.status for interim in answer.interim] == [103, 103]
    assert answer.interim[0].value("Link") == "</style.css>; rel=preload"
    assert answer.body == b"page"


def test_interim_answers_never_go_to_an_old_client(client: Client, recorder: Recorder) -> None:
    recorder.on("/hints/old", lambda visit: visit.send(HINTS, PAGE))
    client.send(request("GET", "/hints/old", version="1.0"))
    answer = client.answer()
    assert (answer.interim, answer.body) == ([], b"page")


def test_the_phrase_goes_on(client: Client, recorder: Recorder) -> None:
    recorder.on("/phrase", lambda visit: visit.send(b"HTTP/1.1 418 Tea Only\r\nContent-Length: 0\r\n\r\n"))
    answer = client.get("/phrase")
    assert (answer.status, answer.phrase) == (418, b"Tea Only")


def test_a_chunked_answer_arrives_whole(client: Client, recorder: Recorder) -> None:
    recorder.on("/chunks", lambda visit: visit.send(CHUNKED, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"))
    assert client.get("/chunks").body == b"abcde"
    assert client.get("/after").status == 200


def test_an_answer_of_unknown_length_goes_on_in_chunks(client: Client, recorder: Recorder) -> None:
    go_on = threading.Event()

    def in_chunks(visit: Visit) -> None:
        visit.send(CHUNKED, b"3\r\nabc\r\n")
        happens(go_on, "the client has seen the first chunk")
        visit.send(b"2\r\nde\r\n0\r\n\r\n")

    recorder.on("/chunks/slow", in_chunks)
    client.send(get("/chunks/slow"))
    assert client.reader.head().value("Transfer-Encoding") == "chunked"
    assert client.reader.take(8) == b"3\r\nabc\r\n"
    go_on.set()
    assert client.reader.take_until(b"\r\n\r\n") == b"2\r\nde\r\n0"


def test_a_body_that_ends_with_its_connection_is_framed_for_the_client(
    client: Client, recorder: Recorder
) -> None:
    def script(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def")
        visit.close()

    recorder.on("/until-close", script)
    answer = client.get("/until-close")
    assert (answer.body, answer.ended_by_close) == (b"abcdef", False)
    assert client.get("/after").status == 200


def test_a_chunked_request_goes_on_chunk_by_chunk(client: Client, recorder: Recorder) -> None:
    arrived = threading.Event()

    def script(visit: Visit) -> None:
        pieces = visit.pieces()
        first = next(pieces)
        arrived.set()
        visit.is_complete.set()
        visit.answer(200, first + b"".join(pieces))

    recorder.on("/upload", script)
    client.send(request("POST", "/upload", "Transfer-Encoding: chunked"), b"3\r\nabc\r\n")
    happens(arrived, "the first chunk is at the upstream while the second is not sent")
    client.send(b"3\r\ndef\r\n", b"0\r\n\r\n")
    assert client.answer().body == b"abcdef"
    assert recorder.visit("/upload").values("Content-Length") == []


def test_a_counted_request_stays_counted(client: Client, recorder: Recorder) -> None:
    assert client.ask("POST", "/counted", body=b"hello").body == b"hello"
    visit = recorder.visit("/counted")
    assert (visit.value("Content-Length"), visit.values("Transfer-Encoding")) == ("5", [])


def test_a_post_of_nothing_says_so(client: Client, recorder: Recorder) -> None:
    client.ask("POST", "/nothing", "Content-Length: 0")
    assert recorder.visit("/nothing").value("Content-Length") == "0"


TRAILERS = CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 6\r\nSet-Cookie: a=b\r\n\r\n"


def test_trailers_go_on_to_a_client_that_asks_for_them(client: Client, recorder: Recorder) -> None:
    recorder.on("/trailers/wanted", lambda visit: visit.send(TRAILERS))
    answer = client.get("/trailers/wanted", "TE: trailers", "Connection: TE")
    assert (answer.body, answer.trailers) == (b"abc", [(b"X-Sum", b"6")])
    assert recorder.visit("/trailers/wanted").value("TE") == "trailers"


def test_trailers_do_not_go_on_to_any_other_client(client: Client, recorder: Recorder) -> None:
    recorder.on("/trailers/unwanted", lambda visit: visit.send(TRAILERS))
    answer = client.get("/trailers/unwanted")
    assert (answer.body, answer.trailers) == (b"abc", [])
    assert recorder.visit("/trailers/unwanted").values("TE") == []


def test_the_client_is_told_to_continue_when_the_upstream_says_so(client: Client, recorder: Recorder) -> None:
    def script(visit: Visit) -> None:
        visit.send(CONTINUE)
        visit.answer(200, visit.read_body())

    recorder.on("/expect", script)
    client.send(request("POST", "/expect", "Expect: 100-continue", "Content-Length: 5"))
    assert client.reader.head().status == 100
    client.send(b"hello")
    assert client.answer().body == b"hello"
    assert recorder.visit("/expect").value("Expect") == "100-continue"


def test_the_client_is_not_told_to_continue_when_the_upstream_refuses(
    client: Client, recorder: Recorder
) -> None:
    def refuse(visit: Visit) -> None:
        visit.answer(403, b"no")
        visit.close()

    recorder.on("/expect/refused", refuse)
    client.send(request("POST", "/expect/refused", "Expect: 100-continue", "Content-Length: 5"))
    answer = client.answer()
    assert (answer.status, answer.body, answer.interim) == (403, b"no", [])
    assert answer.closes
    assert client.ends()


def test_a_client_need_not_wait_for_100(client: Client) -> None:
    answer = client.ask("POST", "/expect/eager", "Expect: 100-continue", body=b"hello")
    assert (answer.status, answer.body) == (200, b"hello")


def test_content_codings_are_left_alone(client: Client, recorder: Recorder) -> None:
    body = b"\x1f\x8b\x08 not really gzip"
    recorder.on("/gzip", lambda visit: visit.answer(200, body, "Content-Encoding: gzip"))
    answer = client.get("/gzip", "Accept-Encoding: gzip")
    assert (answer.body, answer.value("Content-Encoding")) == (body, "gzip")
    assert recorder.visit("/gzip").value("Accept-Encoding") == "gzip"


def test_a_range_is_the_upstreams_affair(client: Client, recorder: Recorder) -> None:
    recorder.on("/range", lambda visit: visit.answer(206, b"cd", "Content-Range: bytes 2-3/6"))
    client.send(get("/range", "Range: bytes=2-3"))
    answer = client.answer()
    assert (answer.status, answer.value("Content-Range"), answer.body) == (206, "bytes 2-3/6", b"cd")
    assert recorder.visit("/range").value("Range") == "bytes=2-3"
