"""Whatever comes, the codecs refuse it or understand it: no crash, no hang, no growth, no second meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.end_to_end.safety.case import load
from tests.wire.reading import CUTS, Answers, Reader, Requests, read_requests, split
from twistedgate.errors import BadMessage
from twistedgate.http.headers import Headers
from twistedgate.http.target import RequestTarget
from twistedgate.wire import serialise
from twistedgate.wire.body import MAX_CHUNK_EXTENSIONS, ChunkedReader
from twistedgate.wire.chunks import LONGEST_LINE
from twistedgate.wire.codec import HeadLimits
from twistedgate.wire.names import DROP, REQUEST_KINDS

SMALL = HeadLimits(max_head=512, max_uri=64, max_headers=8)

REQUESTS = [case.data for case in load("requests") if len(case.data) < 2000]
ANSWERS = [case.data for case in load("answers") if len(case.data) < 2000]

FRAGMENTS = [
    *(
        b"GET ",
        b"POST ",
        b"/",
        b"/a?b",
        b"*",
        b"http://a",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"HTTP/1.1 200 OK",
        b"\r\n",
    ),
    *(
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\x00",
        b" ",
        b"\t",
        b":",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"abc",
        b"0",
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b";a=b",
        b"Connection: close\r\n",
        b"\xff",
    ),
    *(
        b"Connection: Upgrade\r\n",
        b"Upgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"X: y\r\n",
        b"%00",
        b"/../",
    ),
]

EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 6),
        st.one_of(st.binary(max_size=3), st.sampled_from(FRAGMENTS)),
    ),
    max_size=4,
)

_VISIBLE = rb"[\x21-\x7e\x80-\xff]"
FIELD_LINES = re.compile(
    rb"(?:[!#$%%&'*+.^_`|~0-9A-Za-z-]+: (?:%b(?:[\t\x20-\x7e\x80-\xff]*%b)?)?\r\n)*" % (_VISIBLE, _VISIBLE)
)
"""What a head may hold: names that are tokens, values without controls and without blanks around them."""


def edited(text: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Return ``text`` with some of its bytes replaced."""
    for place, removed, added in edits:
        start = place % (len(text) + 1)
        text = text[:start] + added + text[start + removed :]
    return text


TEXTS = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join),
    st.builds(edited, st.sampled_from(REQUESTS), EDITS),
    st.builds(edited, st.sampled_from(ANSWERS), EDITS),
)


def assert_bounded(reader: Requests | Answers, limits: HeadLimits) -> None:
    """What is held between two reads is no more than one head, and no more fields than there may be."""
    codec = reader.codec
    assert len(codec._buffer) <= limits.max_head
    assert len(codec._fields) <= limits.max_headers + 1
    body = reader._reader
    if isinstance(body, ChunkedReader):
        assert len(body._scan._tail) <= 3
        assert len(body._scan._line) <= LONGEST_LINE
        assert not body._pieces
        assert len(body._trailers) <= limits.max_headers
        assert sum(len(name) + len(value) for name, value in body._trailers) <= (
            limits.max_head + MAX_CHUNK_EXTENSIONS
        )


def read(reader: Requests | Answers, text: bytes, cuts: list[int], limits: HeadLimits) -> None:
    for piece in split(text, cuts):
        reader.receive(piece)
        if not reader.is_over:
            assert_bounded(reader, limits)


@settings(max_examples=500)
@given(text=TEXTS, cuts=CUTS)
def test_nothing_a_client_sends_is_more_than_refused(text: bytes, cuts: list[int]) -> None:
    for limits in (HeadLimits(), SMALL):
        reader = Requests(limits)
        read(reader, text, cuts, limits)
        assert reader.end() == read_requests([text], limits)


@settings(max_examples=250)
@given(text=TEXTS, cuts=CUTS, method=st.sampled_from(["GET", "HEAD"]))
def test_nothing_an_upstream_sends_is_more_than_refused(text: bytes, cuts: list[int], method: str) -> None:
    for limits in (HeadLimits(), SMALL):
        read(Answers(method, limits), text, cuts, limits)


@settings(max_examples=500)
@given(text=TEXTS)
def test_what_goes_on_has_one_meaning_and_keeps_it(text: bytes) -> None:
    for event in read_requests([text]):
        if event[0] == "request":
            assert_sound(*event[1:6])


def assert_sound(
    method: str,
    target: RequestTarget,
    fields: tuple[tuple[bytes, bytes, bytes], ...],
    lines: bytes,
    length: int,
) -> None:
    """A request that was understood is written without a trick in it, and read again as what it was."""
    assert FIELD_LINES.fullmatch(lines)
    kinds = [REQUEST_KINDS.get(key) for key, _, _ in fields]
    assert kinds.count(REQUEST_KINDS[b"host"]) <= 1
    assert DROP not in kinds
    assert not {b"content-length", b"transfer-encoding", b"connection", b"upgrade"} & {
        key for key, _, _ in fields
    }
    if b"host: " not in lines.lower():
        return  # HTTP/1.0 may go without; the target's own authority stands in
    line = f"{method} {target.path}{target.query} HTTP/1.1\r\n".encode("ascii")
    again = read_requests([serialise.head(line, Headers(fields), length)])[0]
    assert again[:6] == ("request", method, target, fields, lines, length)


@settings(max_examples=250)
@given(text=st.one_of(TEXTS, st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)), cuts=CUTS)
def test_nothing_in_a_chunked_body_is_more_than_refused(text: bytes, cuts: list[int]) -> None:
    for start in (b"", b"3\r\nabc\r\n", b"5;", b"0\r\n", b"ffff\r\n"):
        reader = ChunkedReader(400, (512, 8))
        body = b""
        try:
            for piece in split(start + text, cuts):
                if not reader.is_complete:
                    body += reader.receive(piece)
        except BadMessage as refusal:
            assert (refusal.status, refusal.reason) == (400, "bad-body")  # noqa: PT017 -- most are not refused
        assert len(body) <= len(start + text)


ENDLESS_REQUESTS = [
    (b"", b"A"),
    (b"", b"\r\n"),
    (b"GET /", b"a"),
    (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
    (b"GET / HTTP/1.1\r\nX: ", b"y"),
    (b"GET / HTTP/1.1\r\n", b"y"),
    (b"GET / HTTP/1.1\r\nX:", b" "),
]
ENDLESS_ANSWERS = [
    (b"HTTP/1.1 200 ", b"a"),
    (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    (b"HTTP/1.1 200 OK\r\nX:", b"\t"),
]
ENDLESS_BODIES = [
    (b"5;", b"a"),
    (b'5;a="', b"a"),
    (b"", b"0"),
    (b"0\r\n", b"X: y\r\n"),
    (b"0\r\nX: ", b"y"),
    (b"0\r\nX:", b" "),
    (b"0\r\n", b"y"),
]


def assert_ends(reader: Reader, start: bytes, more: bytes) -> None:
    """Send a text that never ends; it must be refused before the bounds are far behind."""
    reader.receive(start)
    for _ in range(1000):
        if reader.is_over:
            assert reader.events[-1][0] == "refused"
            return
        reader.receive(more * 100)
    raise AssertionError("nobody minds")


@pytest.mark.parametrize(("start", "more"), ENDLESS_REQUESTS)
def test_a_head_that_never_ends_is_refused(start: bytes, more: bytes) -> None:
    assert_ends(Requests(), start, more)


@pytest.mark.parametrize(("start", "more"), ENDLESS_ANSWERS)
def test_a_head_of_an_answer_that_never_ends_is_refused(start: bytes, more: bytes) -> None:
    assert_ends(Answers("GET"), start, more)


@pytest.mark.parametrize(("start", "more"), ENDLESS_BODIES)
def test_a_chunk_that_holds_nothing_and_never_ends_is_refused(start: bytes, more: bytes) -> None:
    assert_ends(Requests(), b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + start, more)
    assert_ends(Answers("GET"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + start, more)
