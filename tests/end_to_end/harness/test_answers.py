"""The reader of answers is strict, or every test that uses it is worth nothing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.end_to_end.harness.answers import Cut, Malformed, Reader


def reader(pieces: Iterable[bytes]) -> Reader:
    left = iter(pieces)
    return Reader(lambda: next(left, b""))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"


def test_reads_a_counted_body() -> None:
    answer = reader([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]).answer()
    assert (answer.status, answer.body, answer.value("Content-Length")) == (200, b"hi", "2")


def test_reads_chunks_and_trailers_however_they_are_cut() -> None:
    answer = reader(CHUNKED[at : at + 1] for at in range(len(CHUNKED))).answer()
    assert (answer.body, answer.trailers) == (b"abc", [(b"X-Sum", b"6")])


def test_reads_a_body_that_ends_with_its_connection() -> None:
    answer = reader([b"HTTP/1.1 200 OK\r\n\r\nab", b"c"]).answer()
    assert (answer.body, answer.ended_by_close) == (b"abc", True)


def test_reads_one_answer_after_the_other() -> None:
    wire = reader([b"HTTP/1.1 204 None\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"])
    assert [wire.answer().status, wire.answer().body] == [204, b"x"]


def test_keeps_interim_answers_apart() -> None:
    answer = reader([b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 None\r\n\r\n"]).answer()
    assert [interim.status for interim in answer.interim] == [103]


def test_an_answer_to_head_has_no_body() -> None:
    wire = reader([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
    assert wire.answer("HEAD").body == b""


def test_an_early_end_is_a_cut() -> None:
    with pytest.raises(Cut):
        reader([CHUNKED[:-1]]).answer()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    ],
)
def test_anything_unclean_is_malformed(head: bytes) -> None:
    with pytest.raises(Malformed):
        reader([head]).answer()
