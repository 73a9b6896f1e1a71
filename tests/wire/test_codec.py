"""Bytes to heads: cut anywhere, for the first or the second time, the same bytes say the same."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.end_to_end.safety.case import cut, load
from tests.wire.reading import (
    CUTS,
    Events,
    Requests,
    forget_everything,
    read_answers,
    read_requests,
    split,
)
from twistedgate.errors import BadMessage
from twistedgate.http.message import CHUNKED
from twistedgate.wire.codec import HeadLimits, RequestCodec, ResponseCodec

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (
    b"PUT /c?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5;a="b"\r\nhello\r\n4\r\n\r\n\r\n\r\n0\r\nX-Sum: 1\r\n\r\n'
)
OLD = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
WEBSOCKET = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LONG = b"GET /%b HTTP/1.1\r\nHost: a\r\nCookie: %b\r\n\r\n" % (b"a" * 500, b"c" * 3000)

MESSAGES = [
    GET,
    POST,
    CHUNKS,
    OLD,
    LONG,
    WEBSOCKET,
    b"\r\n" + GET,
    b"\r\n\r\n" + GET,
    GET + POST + CHUNKS + GET,
    POST + b"\r\n" + GET,
    CHUNKS + b"GET /\x00",
    WEBSOCKET + b"\x81\x00GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \t b \t\r\nX-B:\r\nX-C: \xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 99 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\x00: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    b"GET /#%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000),
    b"GET /%b\x01 HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000),
    b"GET /%b\x01 HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 8000),
    b"BREW /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000),
    b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\nY : 1\r\n\r\n" % (b"a" * 33000),
    b"GET / HTTP/1.1\r\nY : 1\r\nX: %b\r\n\r\n" % (b"a" * 33000),
    b"GE T / HTTP/1.1\r\nX: %b\r\n\r\n" % (b"a" * 33000),
    b"GET http://a@@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /<> HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r",
]
MESSAGES += [case.data for case in load("requests")]

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nmore",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 200\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: a\r\n\r\n",
]
ANSWERS += [case.data for case in load("answers")]


def whole_anew(text: bytes) -> Events:
    """Read a text in one piece with nothing remembered."""
    forget_everything()
    return read_requests([text])


def refused(*pieces: bytes, limits: HeadLimits | None = None) -> tuple[int, str]:
    """Return the status and the reason with which bytes are refused."""
    _, status, reason = read_requests(pieces, limits or HeadLimits())[-1]
    return status, reason


# Cuts and memory


@settings(max_examples=600)
@given(text=st.sampled_from(MESSAGES), cuts=CUTS)
def test_any_split_says_what_the_whole_says(text: bytes, cuts: list[int]) -> None:
    expected = whole_anew(text)
    forget_everything()
    assert read_requests(split(text, cuts)) == expected


def test_byte_by_byte_says_what_the_whole_says() -> None:
    for text in MESSAGES:
        expected = whole_anew(text)
        forget_everything()
        assert read_requests(cut(text, "bytewise")) == expected, text


@settings(max_examples=200)
@given(texts=st.lists(st.tuples(st.sampled_from(MESSAGES), CUTS), min_size=1, max_size=4))
def test_what_is_remembered_never_changes_a_judgement(texts: list[tuple[bytes, list[int]]]) -> None:
    expected = [whole_anew(text) for text, _ in texts]
    forget_everything()
    for _ in range(2):
        assert [read_requests([text]) for text, _ in texts] == expected
        assert [read_requests(split(text, cuts)) for text, cuts in texts] == expected


@settings(max_examples=300)
@given(text=st.sampled_from(ANSWERS), cuts=CUTS, method=st.sampled_from(["GET", "HEAD"]))
def test_any_split_of_an_answer_says_what_the_whole_says(text: bytes, cuts: list[int], method: str) -> None:
    forget_everything()
    expected = read_answers([text], method)
    for _ in range(2):
        assert read_answers([text], method) == expected
        assert read_answers(split(text, cuts), method) == expected
        forget_everything()
        assert read_answers(split(text, cuts), method) == expected


def test_what_the_safety_cases_want_refused_is_refused_as_they_want() -> None:
    for case in load("requests"):
        last = read_requests([case.data])[-1]
        if last[0] == "refused":
            assert last[1] in case.expect.status, case
            assert not case.expect.reason or last[2] in case.expect.reason, case


def test_versions_are_remembered_apart() -> None:
    fields = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    forget_everything()
    for _ in range(2):
        assert read_requests([b"POST / HTTP/1.1\r\n" + fields])[0][5] == CHUNKED
        assert refused(b"POST / HTTP/1.0\r\n" + fields) == (400, "bad-framing")
    fields = b"Host: a\r\n\r\n"
    for version, keep_alive in ((b"1.1", True), (b"1.0", False), (b"1.1", True), (b"1.0", False)):
        request = RequestCodec(HeadLimits()).receive(b"GET / HTTP/%b\r\n%b" % (version, fields))
        assert request is not None
        assert (request.is_http10, request.keep_alive) == (not keep_alive, keep_alive)


def test_versions_of_answers_are_remembered_apart() -> None:
    forget_everything()
    for _ in range(2):
        for version, keep_alive in ((b"1.1", True), (b"1.0", False)):
            (answer, *_) = read_answers([b"HTTP/%b 200 OK\r\nContent-Length: 0\r\n\r\n" % version])
            assert answer[6] is keep_alive
        chunks = b"Transfer-Encoding: chunked\r\n\r\n"
        assert read_answers([b"HTTP/1.1 200 OK\r\n" + chunks])[0][0] == "answer"
        assert read_answers([b"HTTP/1.0 200 OK\r\n" + chunks]) == [("refused", 502, "bad-response")]


@pytest.mark.parametrize("value", [b"a b", b" a b", b"a b ", b"\ta b\t", b" \t a b \t ", b"a b\t", b"a b \t"])
def test_blanks_around_a_value_are_no_part_of_it(value: bytes) -> None:
    for pieces in ([b"X:%b" % value], [b"X:", value], [b"X:%b" % value[:-1], value[-1:]]):
        text = [b"GET / HTTP/1.1\r\nHost: a\r\n", *pieces, b"\r\n\r\n"]
        forget_everything()
        assert read_requests(text)[0][4] == b"Host: a\r\nX: a b\r\n"
        assert read_requests([b"".join(text)])[0][4] == b"Host: a\r\nX: a b\r\n"


def test_requests_and_answers_are_remembered_apart() -> None:
    fields = b"Host: a\r\nX-Consumer: root\r\nContent-Length: 5\r\n\r\n"
    forget_everything()
    for _ in range(2):
        request = RequestCodec(HeadLimits()).receive(b"GET / HTTP/1.1\r\n" + fields)
        answer = ResponseCodec(HeadLimits()).receive(b"HTTP/1.1 200 OK\r\n" + fields, "GET")
        assert request is not None
        assert answer is not None
        assert request.headers.lines == b"Host: a\r\n"
        assert answer.response.headers.lines == b"Host: a\r\nX-Consumer: root\r\n"


def test_a_change_to_one_request_does_not_reach_the_next_with_the_same_fields() -> None:
    for _ in range(3):
        request = RequestCodec(HeadLimits()).receive(GET)
        assert request is not None
        assert request.headers.lines == b"Host: a\r\n"
        request.headers.add(b"X-Added", b"1")
        request.headers.extend(((b"x", b"X", b"1"),), b"X: 1\r\n")
        request.headers.set(b"Host", b"b")


def test_a_smaller_bound_holds_for_what_a_larger_one_let_be_remembered() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n"
    assert read_requests([head])[0][0] == "request"
    assert refused(head, limits=HeadLimits(max_headers=2)) == (431, "head-too-large")
    assert refused(head, limits=HeadLimits(max_head=len(head) - 1)) == (431, "head-too-large")
    answer = b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n"
    assert read_answers([answer])[0][0] == "answer"
    assert read_answers([answer], "GET", HeadLimits(max_headers=1)) == [("refused", 502, "bad-response")]


def test_a_line_that_runs_into_its_host_is_not_taken_for_another() -> None:
    forget_everything()
    assert read_requests([b"GET /x HTTP/1.1\r\nHost: a:80\r\n\r\n"])[0][0] == "request"
    assert read_requests([b"GET /x HTTP/1.1\r\nHost: 80\r\n\r\n"])[0][0] == "request"
    for line in (
        b"GET /x HTTP/1.:a1",
        b"GET /x HTTP/1.a:1",
        b"GET /x HTTP/1.:1",
        b"GET /x HTTP/1.\ra1",
        b"GET /x HTTP/1.\na:1",
    ):
        assert refused(line + b"\r\nHost: 80\r\n\r\n")[0] == 400


def test_a_smaller_bound_holds_for_a_line_that_a_larger_one_let_be_remembered() -> None:
    head = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 120)
    assert read_requests([head])[0][0] == "request"
    assert refused(head, limits=HeadLimits(max_uri=100)) == (414, "uri-too-long")


def test_an_answer_that_came_whole_is_known_by_its_head_alone() -> None:
    forget_everything()
    head = b"HTTP/1.1 200 Fine\r\nDate: now\r\nContent-Length: 3\r\n\r\n"
    codec = ResponseCodec(HeadLimits())
    assert codec.whole_answer(head + b"abc") is None
    assert codec.receive(head + b"abc", "GET") is not None
    whole = codec.whole_answer(head + b"xyz")
    assert whole is not None
    known, body = whole
    assert body == b"xyz"
    assert known.written is not None
    assert known.written.text == head[:-2]
    for piece in (head + b"ab", head + b"abcd", head, head[:-1], b"", head[1:] + b"abc"):
        assert codec.whole_answer(piece) is None


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 103 Early Hints\r\nDate: now\r\nLink: a\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nDate: now\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nDate: now\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_an_unusual_answer_is_judged_each_time(head: bytes) -> None:
    codec = ResponseCodec(HeadLimits())
    assert codec.receive(head, "GET") is not None
    assert codec.whole_answer(head) is None


def test_smaller_bounds_hold_for_an_answer_that_larger_ones_let_be_remembered() -> None:
    answer = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n"
    assert ResponseCodec(HeadLimits()).receive(answer, "GET") is not None
    assert ResponseCodec(HeadLimits()).whole_answer(answer) is not None
    assert ResponseCodec(HeadLimits(max_headers=1)).whole_answer(answer) is None
    assert ResponseCodec(HeadLimits(max_head=len(answer) - 1)).whole_answer(answer) is None


# Nothing behind a message is consumed


@given(head=st.sampled_from([GET, OLD, LONG, WEBSOCKET]), tail=st.binary(max_size=40), cuts=CUTS)
@example(head=GET, tail=b"\r\n\r\n", cuts=[])
def test_what_follows_a_head_is_left(head: bytes, tail: bytes, cuts: list[int]) -> None:
    codec = RequestCodec(HeadLimits())
    pieces = list(split(head + tail, cuts))
    request = None
    while request is None:
        request = codec.receive(pieces.pop(0))
    assert codec.rest + b"".join(pieces) == tail


@given(tail=st.binary(max_size=40), cuts=CUTS)
def test_what_follows_the_head_of_an_answer_is_left(tail: bytes, cuts: list[int]) -> None:
    codec = ResponseCodec(HeadLimits())
    pieces = list(split(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + tail, cuts))
    framing = None
    while framing is None:
        framing = codec.receive(pieces.pop(0), "GET")
    assert codec.rest + b"".join(pieces) == tail


def test_an_upgrade_that_is_not_relayed_keeps_its_body_for_a_body() -> None:
    body = b"GET /smuggled HTTP/1.1\r\n\r\n"
    head = (
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    events = read_requests([head + body + GET])
    assert [event[0] for event in events] == ["request", "body", "request", "waiting"]
    assert events[1][1] == body


def test_has_begun_tells_of_part_of_a_head_only() -> None:
    codec = RequestCodec(HeadLimits())
    begun = []
    for byte in (b"\r", b"\n", b"G", GET[1:-1], GET[-1:], b"\r\n"):
        codec.receive(byte)
        begun.append(codec.has_begun)
    assert begun == [True, False, True, True, False, False]


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_closed_codec_leaves_nothing_for_the_collector(text: bytes) -> None:
    gc.collect()
    codec = RequestCodec(HeadLimits())
    with contextlib.suppress(BadMessage):
        codec.receive(text)
    codec.close()
    del codec
    assert gc.collect() == 0


def test_claims_are_those_of_the_last_request() -> None:
    reader = Requests()
    reader.receive(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nVia: 1.1 b\r\n\r\n")
    assert [claim[1] for claim in reader.codec.claims] == [b"X-Forwarded-For", b"Via"]
    reader.receive(GET)
    assert reader.codec.claims == ()


# Bounds


def padded(size: int) -> bytes:
    """Return a head of exactly ``size`` bytes."""
    return GET[:-2] + b"X: " + b"x" * (size - len(GET) - 5) + b"\r\n\r\n"


@pytest.mark.parametrize("cutting", ["whole", "bytewise"])
@pytest.mark.parametrize(
    ("head", "limits", "refusal"),
    [
        (padded(1000), HeadLimits(max_head=1000), None),
        (padded(1001), HeadLimits(max_head=1000), (431, "head-too-large")),
        (GET[:15] + b" HTTP/1.1\r\n", HeadLimits(max_uri=1), (400, "bad-request")),
        (GET, HeadLimits(max_uri=1), None),
        (GET.replace(b"/ ", b"/a "), HeadLimits(max_uri=1), (414, "uri-too-long")),
        (b"GET /" + b"a" * 100, HeadLimits(max_uri=30), (414, "uri-too-long")),
        (b"GET /" + b"a" * 100, HeadLimits(max_head=50), (431, "head-too-large")),
        (GET[:-2] + b"A: b\r\n" * 3 + b"\r\n", HeadLimits(max_headers=4), None),
        (GET[:-2] + b"A: b\r\n" * 4 + b"\r\n", HeadLimits(max_headers=4), (431, "head-too-large")),
        (GET[:-2] + b"A: b\r\n" * 4, HeadLimits(max_headers=4), (431, "head-too-large")),
        (GET[:-2] + b"A: b\r\n" * 3, HeadLimits(max_headers=4), None),
        (b"GET / HTTP/1.0\r\n\r\n", HeadLimits(max_headers=0), None),
        (b"GET / HTTP/1.0\r\nA: b\r\n\r\n", HeadLimits(max_headers=0), (431, "head-too-large")),
        (GET * 3, HeadLimits(max_head=len(GET)), None),
    ],
)
def test_a_head_is_bounded(
    head: bytes, limits: HeadLimits, refusal: tuple[int, str] | None, cutting: str
) -> None:
    forget_everything()
    last = read_requests(cut(head, cutting), limits)[-1]
    assert last[1:] == refusal if refusal else last[0] == "waiting"


@pytest.mark.parametrize("cutting", ["whole", "bytewise"])
def test_the_head_of_an_answer_is_bounded(cutting: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n\r\n"
    for limits in (HeadLimits(max_head=len(head)), HeadLimits(max_headers=2)):
        assert read_answers(cut(head, cutting), "GET", limits)[0][0] == "answer"
    for limits in (HeadLimits(max_head=len(head) - 1), HeadLimits(max_headers=1)):
        assert read_answers(cut(head, cutting), "GET", limits) == [("refused", 502, "bad-response")]


def test_a_refusal_comes_with_the_byte_that_deserves_it() -> None:
    for text in (
        b"\x16",
        b"GET\x00",
        b" ",
        b"GET  ",
        b"GET / H\t",
        b"GET / HTTP/1.1X",
        b"GET / HTTP/1.1\r\n ",
        b"GET / HTTP/1.1\r\nA ",
        b"GET / HTTP/1.1\r\nA: \x00",
        b"GET / HTTP/1.1\r\nContent-Length: 5,",
    ):
        codec = RequestCodec(HeadLimits())
        for byte in split(text[:-1], range(len(text))):
            assert codec.receive(byte) is None
        with pytest.raises(BadMessage) as caught:
            codec.receive(text[-1:])
        assert caught.value.status == 400


def test_an_answer_that_is_no_http_is_refused_with_its_first_bytes() -> None:
    for text in (b"S", b"HTTPS", b"HTTP/1.1 200 \x00", b"HTTP/1.1 200 OK\r\nA\x00", b"<"):
        codec = ResponseCodec(HeadLimits())
        for byte in split(text[:-1], range(len(text))):
            assert codec.receive(byte, "GET") is None
        with pytest.raises(BadMessage) as caught:
            codec.receive(text[-1:], "GET")
        assert (caught.value.status, caught.value.reason) == (502, "bad-response")


def test_one_empty_line_is_overlooked_before_each_request() -> None:
    for cutting in ("whole", "bytewise"):
        events = read_requests(cut(b"\r\n" + GET + b"\r\n" + GET, cutting))
        assert [event[0] for event in events] == ["request", "request", "waiting"]
        assert refused(*cut(b"\r\n\r\n" + GET, cutting)) == (400, "bad-request")
        assert refused(*cut(GET + b"\r\n\r\n", cutting)) == (400, "bad-request")


# h11 is another reader: what it refuses, we refuse, and what we accept, it understands as we do

START = [
    *(b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"get / HTTP/1.1"),
    *(
        b"GET http://a/ HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /\x80 HTTP/1.1",
        b"GET / HTTP/2.0",
        b" GET / HTTP/1.1",
    ),
    *(b"GET / HTTP/1.1 ", b"GET / http/1.1", b"G(T / HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\t HTTP/1.1"),
]
LINES = [
    *(
        b"Host: a",
        b"Host: a:80",
        b"Host:",
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Content-Length: 5, 5",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked ",
        b"Transfer-Encoding: gzip",
        b"X:",
        b"X:y",
    ),
    *(b"Connection: close", b"Connection: Upgrade", b"Upgrade: h2c", b"Expect: 100-continue", b"Expect: foo"),
    *(b"A: b\tc", b"A : b", b" A: b", b"Content-Length: +5", b"Content-Length:  7 ", b"A: \x0b", b"A_b: c"),
    *(b"\x80: a", b"X: \x80", b"Content-Length: 18446744073709551616", b"A: b\x00", b"A: b\rc", b"A", b": a"),
]
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b" \r\n"])


def read_by_h11(text: bytes) -> Any:
    """Return the request and the event after it; raises what h11 raises."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    connection.receive_data(text)
    return connection.next_event(), connection.next_event()


@settings(max_examples=600)
@given(
    start=st.one_of(st.sampled_from(START[:2]), st.sampled_from(START)),
    lines=st.lists(st.sampled_from(LINES), max_size=3).flatmap(
        lambda some: st.permutations([*some, b"Host: a"])
    ),
    ends=st.lists(ENDS, min_size=6, max_size=6),
)
def test_what_we_accept_h11_accepts_and_understands_alike(
    start: bytes, lines: list[bytes], ends: list[bytes]
) -> None:
    head = b"".join(line + end for line, end in zip([start, *lines, b""], ends, strict=False))
    codec = RequestCodec(HeadLimits())
    try:
        request = codec.receive(head)
    except BadMessage:
        return
    if request is None or codec.rest:
        return
    body = b"0\r\n\r\n" if request.length == CHUNKED else b"x" * request.length
    theirs, after = read_by_h11(head + body)
    assert isinstance(theirs, h11.Request)
    assert theirs.method == request.method.encode()
    assert (theirs.http_version == b"1.0") is request.is_http10
    assert (len(after.data) if isinstance(after, h11.Data) else 0) == max(request.length, 0)
    assert isinstance(after, h11.Data | h11.EndOfMessage)
    understood = {(key, value) for key, value in theirs.headers}
    assert {(key, value) for key, _, value in request.headers if key != b"host"} <= understood
