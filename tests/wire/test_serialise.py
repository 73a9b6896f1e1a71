"""What is written has exactly one framing, and is read back as what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.reading import read_answers, read_requests
from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE
from twistedgate.http.status import status_line
from twistedgate.wire.serialise import CONTINUE, LAST_CHUNK, NO_FRAMING, chunk, head, last_chunk

LINE = b"GET / HTTP/1.1\r\n"
PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=5)


def test_a_length_is_written_behind_the_fields() -> None:
    written = head(LINE, Headers.of((b"A", b"1")), 12, b"B: 2\r\n")
    assert written == LINE + b"A: 1\r\nContent-Length: 12\r\nB: 2\r\n\r\n"


def test_no_body_can_be_said() -> None:
    assert head(LINE, Headers(), 0) == LINE + b"Content-Length: 0\r\n\r\n"


def test_chunked_is_said_instead() -> None:
    assert head(LINE, Headers(), CHUNKED) == LINE + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("length", [NO_FRAMING, UNTIL_CLOSE])
def test_or_nothing_is_said_of_a_body(length: int) -> None:
    assert head(LINE, Headers(), length, b"B: 2\r\n") == LINE + b"B: 2\r\n\r\n"


def test_no_framing_is_no_other_length() -> None:
    assert len({NO_FRAMING, CHUNKED, UNTIL_CLOSE}) == 3
    assert NO_FRAMING < 0


def test_trailers_stand_behind_the_last_chunk() -> None:
    assert last_chunk(None) == LAST_CHUNK == b"0\r\n\r\n"
    assert last_chunk(Headers.of((b"A", b"1"), (b"B", b"2"))) == b"0\r\nA: 1\r\nB: 2\r\n\r\n"


def test_continue_is_an_interim_answer_without_fields() -> None:
    (answer, waiting) = read_answers([CONTINUE])
    assert answer[1:5] == (100, b"Continue", (), b"")
    assert waiting == ("waiting", False)


@given(pieces=PIECES, trailer=st.sampled_from([None, b"1", b"a b"]))
def test_chunks_are_read_back_as_they_were(pieces: list[bytes], trailer: bytes | None) -> None:
    trailers = None if trailer is None else Headers.of((b"X-Sum", trailer))
    written = head(LINE.replace(b"GET", b"PUT"), Headers.of((b"Host", b"a")), CHUNKED)
    written += b"".join(map(chunk, pieces)) + last_chunk(trailers)
    body = read_requests([written])[1]
    assert body == ("body", b"".join(pieces), None if trailers is None else trailers.lines)


@given(
    names=st.lists(st.sampled_from([b"A", b"b", b"Set-Cookie"]), max_size=5),
    value=st.text("abc ,;\t\x80\xff", max_size=8).map(lambda text: text.encode("latin-1")),
    body=st.binary(max_size=20),
)
def test_an_answer_is_read_back_as_it_was(names: list[bytes], value: bytes, body: bytes) -> None:
    headers = Headers.of(*((name, value) for name in names))
    answer, *rest = read_answers([head(status_line(200), headers, len(body)) + body])
    assert answer[1:6] == (200, b"OK", headers.fields, headers.lines, len(body))
    assert rest == [*([("body", body, None)] if body else []), ("waiting", False)]
