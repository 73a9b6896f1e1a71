"""A body is exactly its bytes, however they are cut, and what is around them has bounds."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.reading import CUTS, split
from twistedgate.errors import BadMessage
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE
from twistedgate.wire.body import (
    MAX_CHUNK_EXTENSIONS,
    BodyReader,
    ChunkedReader,
    LengthReader,
    UntilCloseReader,
    make_reader,
)
from twistedgate.wire.names import FORBIDDEN_TRAILERS
from twistedgate.wire.serialise import chunk

TRAILERS = (4096, 10)

LINES_IN_CHUNKS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=30), st.sampled_from([b"\r\n\r\n", b"\r", b"0\r\n\r\n", b"\n\r\n"])
    ),
    max_size=8,
)


def chunked(status: int = 400) -> ChunkedReader:
    return ChunkedReader(status, TRAILERS)


def drain(reader: BodyReader, pieces: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Return the body, and what came behind it."""
    body = rest = b""
    for piece in pieces:
        if reader.is_complete:
            rest += piece
        else:
            body += reader.receive(piece)
            rest = reader.rest
    return body, rest


def refused(text: bytes, status: int = 400, cuts: Iterable[int] = ()) -> tuple[int, str]:
    reader = chunked(status)
    with pytest.raises(BadMessage) as caught:
        drain(reader, split(text, list(cuts)))
    return caught.value.status, caught.value.reason


# A length


@given(body=st.binary(max_size=40), tail=st.binary(max_size=10), cuts=CUTS)
def test_a_counted_body_is_its_bytes_and_no_more(body: bytes, tail: bytes, cuts: list[int]) -> None:
    reader = make_reader(len(body), 400, TRAILERS)
    assert drain(reader, split(body + tail, cuts)) == (body, tail)
    assert reader.is_complete
    assert reader.trailers is None


def test_a_counted_body_is_complete_with_its_last_byte_and_not_before() -> None:
    reader = LengthReader(3)
    seen = [(reader.receive(piece), reader.remaining, reader.is_complete) for piece in (b"a", b"b", b"cd")]
    assert seen == [(b"a", 2, False), (b"b", 1, False), (b"c", 0, True)]
    assert reader.rest == b"d"


def test_a_piece_that_ends_with_the_body_leaves_nothing() -> None:
    reader = LengthReader(3)
    assert (reader.receive(b"abc"), reader.rest, reader.is_complete) == (b"abc", b"", True)


def test_what_somebody_else_moves_of_a_counted_body_counts() -> None:
    reader = LengthReader(5)
    reader.skip(3)
    assert (reader.remaining, reader.is_complete) == (2, False)
    reader.skip(2)
    assert (reader.remaining, reader.is_complete) == (0, True)


def test_no_body_is_complete_at_once() -> None:
    assert LengthReader(0).is_complete


# Until the connection ends


@given(st.lists(st.binary(max_size=10)))
def test_without_an_announced_end_everything_is_body(pieces: list[bytes]) -> None:
    reader = make_reader(UNTIL_CLOSE, 502, TRAILERS)
    assert isinstance(reader, UntilCloseReader)
    assert b"".join(map(reader.receive, pieces)) == b"".join(pieces)
    assert (reader.is_complete, reader.rest, reader.trailers) == (False, b"", None)


# Chunks


@given(
    pieces=LINES_IN_CHUNKS,
    tail=st.one_of(
        st.binary(max_size=20), st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
    ),
    has_trailer=st.booleans(),
    cuts=CUTS,
)
def test_chunks_are_their_data_and_no_more(
    pieces: list[bytes], tail: bytes, has_trailer: bool, cuts: list[int]
) -> None:
    reader = make_reader(CHUNKED, 400, TRAILERS)
    end = b"0\r\nX-Sum:\t a \r\n\r\n" if has_trailer else b"0\r\n\r\n"
    text = b"".join(map(chunk, pieces)) + end + tail
    assert drain(reader, split(text, cuts)) == (b"".join(pieces), tail)
    assert reader.is_complete
    assert (reader.trailers.lines if reader.trailers else b"") == (b"X-Sum: a\r\n" if has_trailer else b"")


@pytest.mark.parametrize(
    "text", [b"", b"5", b"5\r\n", b"5\r\nhell", b"5\r\nhello\r", b"0\r\n", b"0\r\n\r", b"0\r\nA: b\r\n"]
)
def test_a_body_that_is_cut_is_not_complete(text: bytes) -> None:
    reader = chunked()
    reader.receive(text)
    assert not reader.is_complete


@pytest.mark.parametrize(
    "text",
    [
        # row 15: sizes
        *(
            b"0x5\r\n",
            b"+5\r\n",
            b"-5\r\n",
            b"5_0\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"5\t\r\n",
            b"\r\n",
            b"g\r\n",
            b"5.\r\n",
        ),
        *(
            b"\x00\r\n",
            b"fffffffffffffffff\r\n",
            b"10000000000000000\r\n",
            b"5\n",
            b"5\rx",
            b"\xef\xbc\x95\r\n",
        ),
        # row 16: what stands behind the data
        *(
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n",
            b"5\r\nhello\r0\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\rX",
        ),
        *(b"5\r\nhello\n\r", b"3\r\nhello\r\n0\r\n\r\n"),
        # row 17: extensions
        *(
            b"5;\r\n",
            b"5;a\n",
            b"5;a\rb\r\n",
            b"5;a\x00\r\n",
            b"5 a=b\r\n",
            b"5;a b\r\n",
            b'5;a="b\r\n"\r\n',
            b"5;(\r\n",
        ),
        *(b"5; a\r\n", b'5;a="b\r\n', b"0;\r\n"),
        # row 18: trailers, parsed as fields are
        *(
            b"0\r\nA : b\r\n",
            b"0\r\n A: b\r\n",
            b"0\r\nA: b\r\n c\r\n",
            b"0\r\nA: \x00\r\n",
            b"0\r\nA\r\n",
            b"0\r\nA: b\n",
        ),
        *(b"0\r\n\n", b"0\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
)
def test_a_chunk_that_is_not_well_formed_is_refused(text: bytes) -> None:
    for cuts in ((), range(len(text)), (len(text) // 2,)):
        assert refused(text, cuts=cuts) == (400, "bad-body")
        assert refused(text, 502, cuts) == (502, "bad-response")


@pytest.mark.parametrize("extension", [b";a", b";a=b", b';a="b c";d', b';a="\\""', b";ieof"])
def test_extensions_are_read_over(extension: bytes) -> None:
    text = b"5%b\r\nhello\r\n0%b\r\n\r\n" % (extension, extension)
    for cuts in ((), range(len(text))):
        assert drain(chunked(), split(text, list(cuts))) == (b"hello", b"")


@pytest.mark.parametrize("is_split", [False, True])
def test_extensions_are_bounded_together(is_split: bool) -> None:
    size = MAX_CHUNK_EXTENSIONS + TRAILERS[0]
    for text in (
        b"5;" + b"a" * (size + 10) + b"\r\nhello\r\n",
        b"1;abcdefgh\r\nx\r\n" * (size // 8),
        b"0" * (size + 10),
        b"0" * 1000 + b"1\r\nx\r\n" + (b"0" * 1000 + b"1\r\nx\r\n") * (size // 1000),
    ):
        cuts = range(0, len(text), 100) if is_split else ()
        assert refused(text, cuts=cuts) == (400, "bad-body")


def test_extensions_within_the_bound_are_nobodys_business() -> None:
    text = b"1;%b\r\nx\r\n" % (b"a" * 100) * (MAX_CHUNK_EXTENSIONS // 110)
    assert drain(chunked(), [text + b"0\r\n\r\n"])[1] == b""


@pytest.mark.parametrize("piece", [b"x", b"\r\n\r\n" * 10, b"y" * 7000])
def test_plain_chunks_have_no_bound(piece: bytes) -> None:
    reader = chunked()
    total = sum(len(reader.receive(chunk(piece) * 100)) for _ in range(80))
    assert total == 8000 * len(piece)
    assert drain(reader, [b"0\r\n\r\n!"]) == (b"", b"!")


# Trailers


def test_trailers_that_may_stand_behind_a_body_are_kept_in_order() -> None:
    reader = chunked()
    assert reader.receive(b"0\r\nX-B: 1\r\nServer-Timing: a\r\nx-b:\r\n\r\nmore") == b""
    assert reader.trailers is not None
    assert reader.trailers.lines == b"X-B: 1\r\nServer-Timing: a\r\nx-b: \r\n"
    assert reader.rest == b"more"


@pytest.mark.parametrize("name", sorted(FORBIDDEN_TRAILERS))
def test_no_trailer_changes_what_was_decided_long_ago(name: bytes) -> None:
    text = b"0\r\nX: 1\r\n%b: 1\r\n\r\n" % name.title()
    assert refused(text) == refused(text, cuts=range(len(text))) == (400, "bad-body")


@pytest.mark.parametrize(
    "name", [b"Set-Cookie", b"Host", b"Connection", b"Trailer", b"X_Forwarded_For", b"Upgrade"]
)
def test_such_a_trailer_of_an_answer_is_dropped(name: bytes) -> None:
    reader = chunked(502)
    reader.receive(b"0\r\nX: 1\r\n%b: 1\r\n\r\n" % name)
    assert reader.is_complete
    assert reader.trailers is not None
    assert reader.trailers.lines == b"X: 1\r\n"


def test_an_upgrade_in_the_trailers_is_none() -> None:
    reader = chunked(502)
    reader.receive(b"0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nmore")
    assert (reader.is_complete, reader.trailers, reader.rest) == (True, None, b"more")


@pytest.mark.parametrize("is_split", [False, True])
def test_trailers_are_bounded(is_split: bool) -> None:
    few, many = b"0\r\n" + b"X: 1\r\n" * TRAILERS[1], b"X: 1\r\n\r\n"
    size = MAX_CHUNK_EXTENSIONS + TRAILERS[0]
    cuts = range(0, size, 50) if is_split else range(0)
    assert drain(chunked(), split(few + b"\r\n", list(cuts))) == (b"", b"")
    assert refused(few + many, cuts=cuts) == (400, "bad-body")
    assert refused(b"0\r\nX: " + b"x" * size + b"\r\n\r\n", cuts=cuts) == (400, "bad-body")
    assert refused(b"0\r\nX: " + b"x" * size, cuts=cuts) == (400, "bad-body")
