"""Every refusal of ``framing``, with its status and its reason, and what is understood of everything else."""

from __future__ import annotations

import ast
import base64
import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.errors import TITLES, BadMessage
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE, Request
from twistedgate.wire import framing
from twistedgate.wire.framing import (
    IDEMPOTENT,
    METHODS,
    RawField,
    RequestFields,
    ResponseFraming,
    check_upgrade,
    judge_request,
    judge_request_fields,
    judge_request_line,
    judge_response,
    judge_response_fields,
    judge_status_line,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE: list[RawField] = [
    (b"Host", b"a"),
    (b"Connection", b"keep-alive, Upgrade"),
    (b"Upgrade", b"WebSocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", KEY),
]


def parse(lines: str) -> list[RawField]:
    """Return fields written as lines, as the parser gives them."""
    pairs = (line.partition(":") for line in lines.split("\n") if line)
    return [(name.encode("latin-1"), value.strip(" \t").encode("latin-1")) for name, _, value in pairs]


def said(lines: str, is_http10: bool = False) -> RequestFields:
    return judge_request_fields(parse(lines), is_http10)


def request_of(lines: str, method: str = "GET", target: bytes = b"/", is_http10: bool = False) -> Request:
    return judge_request(method, target, is_http10, said(lines, is_http10))


def handshake(**changes: bytes | None) -> list[RawField]:
    """Return an opening handshake with fields changed or left out, by the last word of their names."""
    fields = []
    for name, value in HANDSHAKE:
        changed = changes.get(name.decode().lower().rpartition("-")[2], value)
        if changed is not None:
            fields.append((name, changed))
    return fields


def upgrade_of(fields: list[RawField], method: str = "GET", is_http10: bool = False) -> bytes | None:
    return judge_request(method, b"/", is_http10, judge_request_fields(fields, is_http10)).upgrade


def answer(lines: str, status: int = 200, method: str = "GET", is_http10: bool = False) -> ResponseFraming:
    return judge_response(status, b"", judge_response_fields(parse(lines), is_http10), method)


def proved(lines: str, asked: list[RawField] = HANDSHAKE) -> None:
    """Check a 101 in answer to an opening handshake."""
    opening = judge_request("GET", b"/", False, judge_request_fields(asked, False))
    check_upgrade(opening, answer(lines, 101))


Judging = Callable[[], object]


def line(text: bytes) -> Judging:
    return partial(judge_request_line, text + b"\r\n")


def fields(lines: str, is_http10: bool = False) -> Judging:
    return partial(said, lines, is_http10)


def request(lines: str, target: bytes = b"/") -> Judging:
    return partial(request_of, lines, "GET", target)


def socket(method: str = "GET", **changes: bytes | None) -> Judging:
    return partial(upgrade_of, handshake(**changes), method)


def sockets(*more: RawField) -> Judging:
    return partial(upgrade_of, [*HANDSHAKE, *more])


def status(text: bytes) -> Judging:
    return partial(judge_status_line, text + b"\r\n")


def response(lines: str, is_http10: bool = False) -> Judging:
    return partial(answer, lines, 200, "GET", is_http10)


def switch(lines: str, asked: list[RawField] = HANDSHAKE) -> Judging:
    return partial(proved, lines, asked)


BAD_REQUEST = (400, "bad-request")
BAD_HOST = (400, "bad-host")
BAD_FRAMING = (400, "bad-framing")
BAD_UPGRADE = (400, "bad-upgrade")
BAD_RESPONSE = (502, "bad-response")
FAILED = (417, "expectation-failed")

LENGTHS = ["+5", "-1", "0x5", "5_0", "5;", "1e3", "5.0", "005", "00", "5 5", "", "\xb2", f"0{2**63}"]
EXPECTATIONS = ["", "200-ok", "100-continue;a", "100-continue, a", "100"]

REFUSALS: list[tuple[Judging, tuple[int, str]]] = [
    # row 19: the request line
    (line(b"GET  / HTTP/1.1"), BAD_REQUEST),
    (line(b"GET /  HTTP/1.1"), BAD_REQUEST),
    (line(b" GET / HTTP/1.1"), BAD_REQUEST),
    (line(b"GET\t/ HTTP/1.1"), BAD_REQUEST),
    (line(b"GET / HTTP/1.1 "), BAD_REQUEST),
    (line(b"GET /"), BAD_REQUEST),
    (line(b"GET"), BAD_REQUEST),
    (line(b""), BAD_REQUEST),
    (line(b"GET / http/1.1"), BAD_REQUEST),
    (line(b"GET / HTTP/1"), BAD_REQUEST),
    (line(b"GET / HTTP/1.10"), BAD_REQUEST),
    (line(b"GET / HTTP/01.1"), BAD_REQUEST),
    (line(b"GET / RTSP/1.0"), BAD_REQUEST),
    (line(b"GET / HTTP/1.1\n"), BAD_REQUEST),
    (line(b"GET /\x80 HTTP/1.1"), BAD_REQUEST),
    (line(b"GET /\x00 HTTP/1.1"), BAD_REQUEST),
    (line(b"GET /\x7f HTTP/1.1"), BAD_REQUEST),
    (line(b"GET / / HTTP/1.1"), BAD_REQUEST),
    (partial(judge_request_line, b"GET / HTTP/1.1\n"), BAD_REQUEST),
    # row 20: versions
    (line(b"GET / HTTP/1.2"), (505, "bad-version")),
    (line(b"GET / HTTP/0.9"), (505, "bad-version")),
    (line(b"PRI * HTTP/2.0"), (505, "bad-version")),
    # rows 21 and 22: methods
    (line(b"G@T / HTTP/1.1"), BAD_REQUEST),
    (line(b"G\xc4T / HTTP/1.1"), BAD_REQUEST),
    (line(b"get / HTTP/1.1"), (501, "unknown-method")),
    (line(b"DESCRIBE / HTTP/1.1"), (501, "unknown-method")),
    (line(b"CONNECT a:1 HTTP/1.1"), (501, "unknown-method")),
    (line(b"A" * 32 + b" / HTTP/1.1"), (501, "unknown-method")),
    (line(b"A" * 33 + b" / HTTP/1.1"), BAD_REQUEST),
    (line(b"TRACE / HTTP/1.1"), (405, "method-not-allowed")),
    # row 1: both framings
    (fields("Content-Length: 5\nTransfer-Encoding: chunked"), BAD_FRAMING),
    (fields("Transfer-Encoding: chunked\nContent-Length: 0"), BAD_FRAMING),
    (fields("Transfer-Encoding: gzip\nContent-Length: 5"), BAD_FRAMING),
    # row 2: several lengths
    (fields("Content-Length: 5\nContent-Length: 5"), BAD_FRAMING),
    (fields("Content-Length: 5\nContent-Length: 6"), BAD_FRAMING),
    (fields("Content-Length: 5\nCONTENT-LENGTH: 5"), BAD_FRAMING),
    (fields("Content-Length: 5, 5"), BAD_FRAMING),
    # rows 3 and 4: lengths that are no plain numbers
    *((fields(f"Content-Length: {length}"), BAD_FRAMING) for length in LENGTHS),
    (fields(f"Content-Length: {2**63}"), (413, "body-too-large")),
    (fields(f"Content-Length: {'9' * 4000}"), (413, "body-too-large")),
    # row 5: codings
    *(
        (fields(f"Transfer-Encoding: {coding}"), BAD_FRAMING)
        for coding in [
            *(
                "xchunked",
                "identity",
                "gzip",
                "chunked,chunked",
                ",chunked",
                "chunked,",
                "chunked;a",
                "",
                ",",
            ),
            *(
                "chunked, gzip",
                "gzip, chunked, chunked",
                "chunked, gzip, chunked",
                "gzip,,chunked",
                "cow bell",
            ),
            *("\xa0chunked", '"chunked"', "gzip;q=1, chunked", "chun ked", "gzip, chunked;a"),
        ]
    ),
    (fields("Transfer-Encoding: chunked\nTransfer-Encoding: chunked"), BAD_FRAMING),
    (fields("Transfer-Encoding: gzip\nTransfer-Encoding: chunked"), BAD_FRAMING),
    (fields("Transfer-Encoding:\nTransfer-Encoding: chunked"), BAD_FRAMING),
    (fields("Transfer-Encoding: gzip, chunked"), (501, "unknown-coding")),
    (fields("Transfer-Encoding: br ,\tCHUNKED"), (501, "unknown-coding")),
    # row 6: codings in HTTP/1.0
    (fields("Transfer-Encoding: chunked", True), BAD_FRAMING),
    (fields("Transfer-Encoding: gzip, chunked", True), BAD_FRAMING),
    # row 23: Host
    (fields("Host: a\nHost: a"), BAD_HOST),
    (fields("Host: a\nhOST: b", True), BAD_HOST),
    (request("A: b"), BAD_HOST),
    (request("Host:"), BAD_HOST),
    (request("Host: a, b"), BAD_HOST),
    (request("A: b", b"http://a/"), BAD_HOST),
    # rows 25 to 27: targets, which ``http.target`` judges
    (request("Host: a", b"*"), BAD_REQUEST),
    (request("Host: a", b"/%00"), (400, "bad-path")),
    # what may stand once
    (fields("Authorization: a\nAuthorization: b"), BAD_REQUEST),
    (fields("Content-Type: a\ncontent-type: a"), BAD_REQUEST),
    # row 32: upgrades
    (socket("POST"), BAD_UPGRADE),
    (socket("HEAD"), BAD_UPGRADE),
    (socket(version=b"8"), BAD_UPGRADE),
    (socket(version=None), BAD_UPGRADE),
    (socket(key=None), BAD_UPGRADE),
    (socket(key=b""), BAD_UPGRADE),
    (socket(key=KEY[:-4]), BAD_UPGRADE),
    (socket(key=b"!" + KEY), BAD_UPGRADE),
    (socket(key=b"\xff" * 24), BAD_UPGRADE),
    (socket(key=base64.b64encode(b"x" * 17)), BAD_UPGRADE),
    (sockets((b"Sec-WebSocket-Key", KEY)), BAD_UPGRADE),
    (sockets((b"Sec-WebSocket-Version", b"13")), BAD_UPGRADE),
    (sockets((b"Content-Length", b"5")), BAD_UPGRADE),
    (sockets((b"Transfer-Encoding", b"chunked")), BAD_UPGRADE),
    (socket(connection=b"upgrade, sec-websocket-key"), BAD_UPGRADE),
    # row 33: expectations
    *((fields(f"Expect: {value}"), FAILED) for value in EXPECTATIONS),
    (fields("Expect: 100-continue\nExpect: 100-continue"), FAILED),
    (fields("Expect: something", True), FAILED),
    # row 37: answers
    *(
        (status(text), BAD_RESPONSE)
        for text in [
            *(
                b"HTTP/1.2 200 OK",
                b"HTTP/2 200 OK",
                b"http/1.1 200 OK",
                b"HTTP/1.1  200 OK",
                b"HTTP/1.1 20 OK",
            ),
            *(
                b"HTTP/1.1 2000 OK",
                b"HTTP/1.1 099 OK",
                b"HTTP/1.1 600 OK",
                b"HTTP/1.1 200OK",
                b"",
                b"ICY 200 OK",
            ),
            *(b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 \x7f", b" HTTP/1.1 200 OK"),
        ]
    ),
    (response("Content-Length: 5\nTransfer-Encoding: chunked"), BAD_RESPONSE),
    (response("Content-Length: 5\nContent-Length: 5"), BAD_RESPONSE),
    (response("Content-Length: 5, 5"), BAD_RESPONSE),
    (response("Content-Length: 05"), BAD_RESPONSE),
    (response("Content-Length: -5"), BAD_RESPONSE),
    (response("Content-Length:"), BAD_RESPONSE),
    (response(f"Content-Length: {'9' * 20}"), BAD_RESPONSE),
    (response("Transfer-Encoding: gzip"), BAD_RESPONSE),
    (response("Transfer-Encoding: gzip, chunked"), BAD_RESPONSE),
    (response("Transfer-Encoding: chunked\nTransfer-Encoding: chunked"), BAD_RESPONSE),
    (response("Transfer-Encoding: chunked", True), BAD_RESPONSE),
    # row 32: a 101 that proves nothing
    (switch("Connection: Upgrade\nUpgrade: websocket"), BAD_RESPONSE),
    (switch("Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: no"), BAD_RESPONSE),
    (switch("Connection: Upgrade\nUpgrade: h2c"), BAD_RESPONSE),
    (switch("Upgrade: websocket"), BAD_RESPONSE),
    (switch("Connection: Upgrade\nUpgrade: websocket", [(b"Host", b"a")]), BAD_RESPONSE),
    (switch("A: b", [(b"Host", b"a")]), BAD_RESPONSE),
]


def refused(judge: Judging) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        judge()
    return caught.value


def told(value: object) -> str:
    """Return what is tried, for the name of a test."""
    return repr(value.args)[1:60] if isinstance(value, partial) else ""


@pytest.mark.parametrize(("judge", "expected"), REFUSALS, ids=told)
def test_is_refused(judge: Judging, expected: tuple[int, str]) -> None:
    refusal = refused(judge)
    assert (refusal.status, refusal.reason) == expected
    assert refusal.closes
    assert refusal.reason in TITLES


def raised() -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield each place of ``framing`` that refuses, with its status and reason."""
    assert framing.__file__ is not None
    for node in ast.walk(ast.parse(Path(framing.__file__).read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            code, reason = (ast.literal_eval(argument) for argument in node.exc.args[:2])
            yield node.lineno, (code, reason)


def test_every_refusal_is_tried() -> None:
    tried = set()
    for judge, _ in REFUSALS:
        traceback = refused(judge).__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == framing.__file__:
                tried.add(traceback.tb_lineno)
            traceback = traceback.tb_next
    assert {place for place, _ in raised()} <= tried


def test_a_method_that_is_never_answered_comes_with_those_that_are() -> None:
    (allow,) = refused(line(b"TRACE / HTTP/1.1")).fields
    assert allow == (b"Allow", framing.ALLOW)
    assert {method.encode() for method in METHODS.values()} >= set(framing.ALLOW.split(b", "))


# Requests


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_known_method_is_passed_on(method: bytes) -> None:
    text = method + b" /a?b HTTP/1.0\r\nmore"
    assert judge_request_line(text) == (method.decode(), b"/a?b", True, len(text) - 4)


def test_neither_a_tunnel_nor_a_mirror_is_passed_on() -> None:
    assert not METHODS.keys() & {b"CONNECT", b"TRACE"}
    assert not IDEMPOTENT & {"POST", "PATCH", "LOCK"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ("", 0),
        ("Content-Length: 0", 0),
        ("Content-Length: 5", 5),
        (f"Content-Length: {2**63 - 1}", 2**63 - 1),
        ("Transfer-Encoding: chunked", CHUNKED),
        ("transfer-encoding: CHUNKED", CHUNKED),
    ],
)
def test_a_body_keeps_its_one_framing_whatever_the_method(method: str, lines: str, length: int) -> None:
    asked = request_of("Host: a\n" + lines, method)
    assert asked.length == length
    assert asked.headers.lines == b"Host: a\r\n"


@given(st.integers(0, 2**63 - 1))
def test_every_plain_number_is_a_length(number: int) -> None:
    assert said(f"Content-Length: {number}").length == number


@given(st.text("0123456789+-_ x,;.", max_size=24))
def test_nothing_else_is_a_length(text: str) -> None:
    try:
        length = said(f"Content-Length: {text}").length
    except BadMessage:
        return
    assert str(length) == text.strip()


@pytest.mark.parametrize(
    ("lines", "is_http10", "keep_alive"),
    [
        ("", False, True),
        ("", True, False),
        ("Connection: keep-alive", True, True),
        ("Connection: Close", False, False),
        ("Connection: keep-alive, close", True, False),
        ("Connection: a\nConnection: CLOSE", False, False),
        ("Connection: closed", False, True),
    ],
)
def test_whether_a_connection_stays(lines: str, is_http10: bool, keep_alive: bool) -> None:
    assert said(lines, is_http10).keep_alive is keep_alive
    assert judge_response_fields(parse(lines), is_http10).keep_alive is keep_alive


def test_hop_by_hop_fields_end_here() -> None:
    request = request_of(
        "Host: a\nA: 1\nTE: trailers\nTrailer: X\nKeep-Alive: 1\nProxy-Connection: x\nUpgrade: h2c\n"
        "Connection: upgrade, http2-settings\nHTTP2-Settings: a\nProxy-Authorization: x\n"
        "Expect: 100-continue\n"
        "Content-Length: 1\nB: 2"
    )
    assert request.headers.lines == b"Host: a\r\nA: 1\r\nB: 2\r\n"
    assert (request.accepts_trailers, request.expects_continue, request.upgrade) == (True, True, None)


@pytest.mark.parametrize("name", ["X-Own", "Content-Type", "Accept", "X-Forwarded-For", "Via"])
def test_connection_takes_out_what_it_names(name: str) -> None:
    judged = said(f"Host: a\nConnection: {name.upper()}\n{name}: 1\nB: 2")
    assert judged.lines == b"Host: a\r\nB: 2\r\n"
    assert judged.claims == ()


@pytest.mark.parametrize("name", ["Host", "Authorization", "Cookie"])
def test_connection_cannot_blind_the_next_hop(name: str) -> None:
    judged = said(f"{name}: a\nConnection: {name}\nB: 2")
    assert judged.lines == f"{name}: a\r\nB: 2\r\n".encode()


def test_connection_cannot_take_a_body_its_length() -> None:
    assert said("Connection: Content-Length\nContent-Length: 5").length == 5
    assert said("Connection: Transfer-Encoding\nTransfer-Encoding: chunked").length == CHUNKED


def test_claims_are_set_apart_and_names_with_underscores_are_dropped() -> None:
    judged = said("Host: a\nX-Forwarded-For: 1\nX_Forwarded_For: 2\nForwarded: 3\nX-Consumer: root\nVia: 4")
    assert judged.lines == b"Host: a\r\n"
    assert [(key, value) for key, _, value in judged.claims] == [
        (b"x-forwarded-for", b"1"),
        (b"forwarded", b"3"),
        (b"via", b"4"),
    ]
    assert judged.count == 6


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_an_expectation_is_that_of_a_body_to_come(value: str) -> None:
    lines = f"Expect: {value}\n"
    assert said(lines + "Content-Length: 5").expects_continue
    assert said(lines + "Transfer-Encoding: chunked").expects_continue
    assert not said(lines).expects_continue
    assert not said(lines + "Content-Length: 5", is_http10=True).expects_continue


@pytest.mark.parametrize(
    ("lines", "target", "is_http10", "written"),
    [
        ("Host: A.test:80", b"/", False, b"Host: a.test:80\r\n"),
        ("A: 1\nhost: a", b"/", False, b"A: 1\r\nhost: a\r\n"),
        ("A: 1\nHost: a\nB: 2", b"http://b:81/", False, b"A: 1\r\nHost: b:81\r\nB: 2\r\n"),
        ("A: 1", b"http://b/", True, b"A: 1\r\nHost: b\r\n"),
        ("A: 1", b"/", True, b"A: 1\r\n"),
    ],
)
def test_the_authority_goes_out_as_host(lines: str, target: bytes, is_http10: bool, written: bytes) -> None:
    request = request_of(lines, target=target, is_http10=is_http10)
    assert request.headers.lines == written
    assert request.headers.get(b"host") == (request.target.authority.encode() or None)


# Upgrades


def test_a_whole_handshake_is_an_upgrade() -> None:
    assert upgrade_of(HANDSHAKE) == b"websocket"


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": b"h2c"},
        {"upgrade": b"websocket, h2c"},
        {"upgrade": b"websocket/13"},
        {"upgrade": None},
        {"connection": b"keep-alive"},
        {"connection": None},
    ],
)
def test_any_other_protocol_is_not_passed_on(changes: dict[str, bytes | None]) -> None:
    request = judge_request("GET", b"/", False, judge_request_fields(handshake(**changes), False))
    assert request.upgrade is None
    assert not request.headers.has(b"upgrade")
    assert not request.headers.has(b"connection")


def test_an_upgrade_in_http_1_0_is_overlooked() -> None:
    assert upgrade_of(HANDSHAKE, is_http10=True) is None
    assert upgrade_of(HANDSHAKE, "POST", is_http10=True) is None


def test_a_proof_of_an_upgrade_is_taken() -> None:
    digest = hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    proof = base64.b64encode(digest).decode()
    proved(f"Connection: upgrade\nUpgrade: WebSocket\nSec-WebSocket-Accept: {proof}")


# Answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"HTTP/1.1 200 OK", (False, 200, b"OK")),
        (b"HTTP/1.0 599 ", (True, 599, b"")),
        (b"HTTP/1.1 100", (False, 100, b"")),
        (b"HTTP/1.1 404 Nicht\tda \xe4", (False, 404, b"Nicht\tda \xe4")),
    ],
)
def test_a_status_line_is_read(text: bytes, expected: tuple[bool, int, bytes]) -> None:
    assert judge_status_line(text + b"\r\nmore") == (*expected, len(text) + 2)


@pytest.mark.parametrize(
    ("lines", "length", "keep_alive"),
    [
        ("Content-Length: 5", 5, True),
        ("Content-Length: 0", 0, True),
        ("Transfer-Encoding: Chunked", CHUNKED, True),
        ("A: b", UNTIL_CLOSE, False),
        ("Connection: close\nContent-Length: 5", 5, False),
    ],
)
def test_the_length_of_an_answer(lines: str, length: int, keep_alive: bool) -> None:
    judged = answer(lines)
    assert (judged.response.length, judged.keep_alive) == (length, keep_alive)
    assert not judged.response.headers.has(b"content-length")
    assert not judged.response.headers.has(b"transfer-encoding")


@pytest.mark.parametrize("lines", ["Content-Length: 5", "Transfer-Encoding: chunked", "A: b"])
@pytest.mark.parametrize(
    ("status", "method"),
    [(200, "HEAD"), (304, "GET"), (204, "GET"), (100, "GET"), (103, "POST"), (101, "GET")],
)
def test_some_answers_have_no_body_whatever_they_say(lines: str, status: int, method: str) -> None:
    judged = answer(lines, status, method)
    assert judged.response.length == 0
    assert judged.keep_alive
    is_told = lines.startswith("Content") and (method == "HEAD" or status == 304)
    assert judged.response.headers.get_all(b"content-length") == ([b"5"] if is_told else [])


def test_an_answer_of_http_1_0_ends_its_connection_unless_it_says_otherwise() -> None:
    assert not answer("Content-Length: 5", is_http10=True).keep_alive
    assert answer("Content-Length: 5\nConnection: Keep-Alive", is_http10=True).keep_alive


def test_hop_by_hop_fields_of_an_answer_end_here() -> None:
    judged = answer(
        "A: 1\nKeep-Alive: timeout=5\nConnection: b, c\nB: 2\nC: 3\nTrailer: x\nUpgrade: h2\nSet_Cookie: x\n"
        "Set-Cookie: y\nSet-Cookie: z\nProxy-Authenticate: Basic"
    )
    assert judged.response.headers.lines == b"A: 1\r\nSet-Cookie: y\r\nSet-Cookie: z\r\n"
    assert judged.upgrade is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("timeout=5", 5.0),
        ("max=3, Timeout = 15", 15.0),
        ('timeout="7"', 7.0),
        ("timeout=0", 0.0),
        ("max=3", None),
        ("timeout=x", None),
        ("xtimeout=5", None),
        ("timeout=123456789", 123456.0),
    ],
)
def test_how_long_a_target_keeps_a_connection(value: str, seconds: float | None) -> None:
    assert answer(f"Keep-Alive: {value}\nContent-Length: 0").keep_alive_timeout == seconds
