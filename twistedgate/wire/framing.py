"""What a message's head may say about its own form: every refusal for smuggling is in this file.

llhttp has parsed the fields strictly; what it lets through is judged here: the request line, Host, the
body's length, transfer codings, Upgrade, Expect, and what a sender says of its connection.

Rules
- A body has exactly one framing.  Content-Length beside Transfer-Encoding, a second Content-Length, a list, a
  sign, a leading zero, any coding but one ``chunked``, any coding in HTTP/1.0: refused, never repaired
  (RFC 9112 sections 6.1, 6.3 and 11.2).
- What goes on is what was understood: hop-by-hop fields, and those that Connection names, are taken out here
  (RFC 9110 section 7.6.1), as are names with an underscore, which many servers take for a hyphen.
- Fields by which a proxy speaks for a client are set apart as ``claims``: whether they are believed is
  decided where the peer is known.

This module reads heads that are complete; it knows neither sockets nor the parser.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Field, Headers, tokens, write_lines
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE, Request, Response
from twistedgate.http.target import parse_target
from twistedgate.wire.names import (
    CLAIM,
    CODING,
    CONNECTION,
    DROP,
    EXPECT,
    HOST,
    LENGTH,
    PLAIN,
    REQUEST_NAMES,
    RESPONSE_NAMES,
    SINGLE,
    TE,
    UNREMOVABLE,
    UPGRADE,
)

METHODS: dict[bytes, str] = {
    name: name.decode("ascii")
    for name in (
        b"GET HEAD POST PUT DELETE OPTIONS PATCH COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK "
        b"BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE "
        b"MKCALENDAR LINK UNLINK QUERY"
    ).split()
}
"""Methods that the gateway passes on: those of HTTP and WebDAV, without CONNECT and TRACE."""

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
"""Methods that may be sent again after their bytes went out (RFC 9110 section 9.2.2)."""

ALLOW = ", ".join(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")).encode()

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_OTHER_VERSION = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")

_LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
_TOO_LONG = re.compile(rb"[1-9][0-9]{18,}")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_LENGTH = 2**63 - 1
MAX_METHOD = 32
"""Bytes of the longest method that is looked at."""
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class _Special:
    """The fields of one head that say how it is framed or where it goes."""

    __slots__ = ("codings", "connection", "expects", "hosts", "lengths", "te", "upgrades")

    def __init__(self) -> None:
        self.hosts: list[bytes] = []
        self.lengths: list[bytes] = []
        self.codings: list[bytes] = []
        self.connection: list[bytes] = []
        self.upgrades: list[bytes] = []
        self.expects: list[bytes] = []
        self.te: list[bytes] = []

    def take(self, kind: int, value: bytes) -> None:
        """Put a value aside under its kind."""
        if kind == LENGTH:
            self.lengths.append(value)
        elif kind == HOST:
            self.hosts.append(value)
        elif kind == CODING:
            self.codings.append(value)
        elif kind == CONNECTION:
            self.connection.append(value)
        elif kind == UPGRADE:
            self.upgrades.append(value)
        elif kind == EXPECT:
            self.expects.append(value)
        elif kind == TE:
            self.te.append(value)


RawField = tuple[bytes, bytes]


def judge_request_line(head: bytes) -> tuple[str, bytes, bool, int]:
    """Return method, raw target, whether it is HTTP/1.0, and where the line ends (RFC 9112 section 3)."""
    line = REQUEST_LINE.match(head)
    if line is None:
        if _OTHER_VERSION.match(head) is not None:
            raise BadMessage(505, "bad-version")
        raise BadMessage(400, "bad-request", "the request line")
    method = METHODS.get(line[1])
    if method is None:
        method = _judge_other_method(line[1])
    return method, line[2], line[3] == b"0", line.end()


def _judge_other_method(method: bytes) -> str:
    """Refuse a method that is not passed on."""
    if method == b"TRACE":
        raise BadMessage(405, "method-not-allowed", "TRACE is never answered", fields=((b"Allow", ALLOW),))
    if len(method) > MAX_METHOD:
        raise BadMessage(400, "bad-request", "the method is too long")
    raise BadMessage(501, "unknown-method", method.decode("ascii"))


@dataclass(frozen=True, slots=True)
class RequestFields:
    """What the fields of a request say, whatever its method and target: the same of the same fields."""

    fields: tuple[Field, ...]
    lines: bytes
    """How ``fields`` are written."""
    claims: tuple[Field, ...]
    """Fields by which a proxy speaks for a client."""
    host: bytes | None
    host_text: str
    """The same as text, empty for none."""
    host_key: bytes
    """What tells this host from any other, none included, and from the line that it is put behind."""
    length: int
    keep_alive: bool
    expects_continue: bool
    accepts_trailers: bool
    upgrades: tuple[bytes, ...]
    """The protocols of Upgrade, where Connection names it."""
    count: int
    """How many fields there were."""
    is_usual: bool
    """Whether a request with these fields, in HTTP/1.1, has nothing out of the ordinary but a length."""


def judge_request_fields(raw_fields: list[RawField], is_http10: bool) -> RequestFields:
    """Judge the fields of a request; raises ``BadMessage``."""
    fields: list[Field] = []
    claims: list[Field] = []
    special = _Special()
    for name, value in raw_fields:
        key, kind = REQUEST_NAMES.get(name) or REQUEST_NAMES.learn(name)
        if kind == PLAIN:
            fields.append((key, name, value))
        elif kind == CLAIM:
            claims.append((key, name, value))
        elif kind != DROP:
            special.take(kind, value)
            if kind == HOST:
                fields.append((key, name, value))
    _judge_repetition(special, fields)
    length = _request_length(special, is_http10)
    host = special.hosts[0] if special.hosts else None
    options = tokens(special.connection)
    if nominated := _nominated(options):
        fields = [field for field in fields if field[0] not in nominated]
        claims = [claim for claim in claims if claim[0] not in nominated]
    _judge_expect(special.expects)
    keep_alive = b"close" not in options and (not is_http10 or b"keep-alive" in options)
    return RequestFields(
        fields=tuple(fields),
        lines=write_lines(fields),
        claims=tuple(claims),
        host=host,
        host_text="" if host is None else host.decode("latin-1"),
        host_key=b"" if host is None else b"\r\n" + host,
        length=length,
        keep_alive=keep_alive,
        expects_continue=bool(special.expects) and not is_http10 and length != 0,
        accepts_trailers=b"trailers" in tokens(special.te),
        # one in HTTP/1.0 is overlooked (RFC 9110 section 7.8)
        upgrades=tuple(tokens(special.upgrades)) if b"upgrade" in options and not is_http10 else (),
        count=len(raw_fields),
        is_usual=keep_alive and not (is_http10 or special.expects or special.te or special.upgrades),
    )


def _judge_repetition(special: _Special, fields: list[Field]) -> None:
    """Refuse a second one of what may stand once."""
    if len(special.hosts) > 1:
        raise BadMessage(400, "bad-host", "more than one Host")
    keys = [key for key, _, _ in fields if key in SINGLE]
    if len(keys) != len(set(keys)):
        raise BadMessage(400, "bad-request", "a field that may stand once stands twice")


def judge_request(method: str, raw_target: bytes, is_http10: bool, said: RequestFields) -> Request:
    """Join a request line with its fields; raises ``BadMessage``."""
    target = parse_target(method, raw_target, said.host, is_http10)
    request = Request(method, target, Headers(said.fields, said.lines))
    request.is_http10 = is_http10
    request.length = said.length
    request.keep_alive = said.keep_alive
    request.expects_continue = said.expects_continue
    request.accepts_trailers = said.accepts_trailers
    if said.upgrades:
        request.upgrade = _judge_upgrade(request, said.upgrades)
    if target.authority != said.host_text:
        # the target's authority goes out, whatever Host said or did not (RFC 9112 section 3.2.2)
        request.headers.set(b"Host", target.authority.encode("ascii"))
    return request


def _nominated(options: list[bytes]) -> set[bytes]:
    """Return what Connection takes out (RFC 9110 section 7.6.1), but nothing that the next hop must see."""
    return {option for option in options if option not in UNREMOVABLE}


def _request_length(special: _Special, is_http10: bool) -> int:
    """Return the length of a request's body (RFC 9112 section 6.3)."""
    if special.codings:
        if is_http10:
            raise BadMessage(400, "bad-framing", "Transfer-Encoding in HTTP/1.0")
        if special.lengths:
            raise BadMessage(400, "bad-framing", "Content-Length beside Transfer-Encoding")
        _judge_codings(special.codings)
        return CHUNKED
    return _content_length(special.lengths) if special.lengths else 0


def _judge_codings(codings: list[bytes]) -> None:
    """Accept exactly one ``chunked`` (RFC 9112 sections 6.1 and 7)."""
    if len(codings) == 1 and codings[0].lower() == b"chunked":
        return
    *others, last = [member.strip(b" \t").lower() for member in codings[0].split(b",")]
    are_tokens = all(_TOKEN.fullmatch(coding) for coding in others)
    if len(codings) == 1 and others and are_tokens and last == b"chunked" and last not in others:
        raise BadMessage(501, "unknown-coding")
    raise BadMessage(400, "bad-framing", "a Transfer-Encoding that is not chunked alone")


def _content_length(lengths: list[bytes]) -> int:
    """Return the one well-formed length (RFC 9110 section 8.6)."""
    if len(lengths) > 1:
        raise BadMessage(400, "bad-framing", "more than one Content-Length")
    if _TOO_LONG.fullmatch(lengths[0]) is not None and int(lengths[0][:40]) > _MAX_LENGTH:
        raise BadMessage(413, "body-too-large", "Content-Length")
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise BadMessage(400, "bad-framing", "a Content-Length that is not a plain number")
    return int(lengths[0])


def _judge_upgrade(request: Request, upgrades: tuple[bytes, ...]) -> bytes | None:
    """Return ``websocket`` for a whole opening handshake (RFC 6455 section 4.1), else nothing."""
    if upgrades != (b"websocket",):
        return None
    if request.method != "GET" or request.length != 0:
        raise BadMessage(400, "bad-upgrade", "a WebSocket opens with a GET without a body")
    if request.headers.get_all(b"sec-websocket-version") != [b"13"]:
        raise BadMessage(400, "bad-upgrade", "Sec-WebSocket-Version is not 13")
    keys = request.headers.get_all(b"sec-websocket-key")
    try:
        key = base64.b64decode(keys[0], validate=True) if len(keys) == 1 else b""
    except binascii.Error:
        key = b""
    if len(key) != 16:
        raise BadMessage(400, "bad-upgrade", "Sec-WebSocket-Key is not 16 bytes in base64")
    return b"websocket"


def _judge_expect(expects: list[bytes]) -> None:
    """Accept 100-continue alone (RFC 9110 section 10.1.1)."""
    if expects and (len(expects) != 1 or expects[0].lower() != b"100-continue"):
        raise BadMessage(417, "expectation-failed")


def judge_status_line(head: bytes) -> tuple[bool, int, bytes, int]:
    """Return whether it is HTTP/1.0, status, phrase, and where the line ends (RFC 9112 section 4)."""
    line = STATUS_LINE.match(head)
    if line is None:
        raise BadMessage(502, "bad-response", "the status line")
    return line[1] == b"0", int(line[2]), line[3] or b"", line.end()


@dataclass(frozen=True, slots=True)
class ResponseFields:
    """What the fields of an answer say, whatever its status: the same fields, the same judgement."""

    fields: tuple[Field, ...]
    lines: bytes
    length: int
    """As announced: a number, ``CHUNKED`` or ``UNTIL_CLOSE``."""
    keep_alive: bool
    keep_alive_timeout: float | None
    upgrade: bytes | None
    count: int


@dataclass(slots=True)
class ResponseFraming:
    """A judged response and what its head says of the connection it came on."""

    response: Response
    keep_alive: bool
    keep_alive_timeout: float | None
    upgrade: bytes | None


_KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:^|,)[ \t]*timeout[ \t]*=[ \t]*\"?([0-9]{1,6})", re.IGNORECASE)


def judge_response_fields(raw_fields: list[RawField], is_http10: bool) -> ResponseFields:
    """Judge the fields of an answer; raises ``BadMessage`` with 502 (RFC 9112 section 6.3)."""
    fields: list[Field] = []
    special = _Special()
    keep_alive_timeout: float | None = None
    for name, value in raw_fields:
        key, kind = RESPONSE_NAMES.get(name) or RESPONSE_NAMES.learn(name)
        if kind == PLAIN:
            fields.append((key, name, value))
        elif kind != DROP:
            special.take(kind, value)
        elif key == b"keep-alive":
            timeout = _KEEP_ALIVE_TIMEOUT.search(value)
            keep_alive_timeout = float(timeout[1]) if timeout else None
    options = tokens(special.connection)
    nominated = _nominated(options)
    if nominated:
        fields = [field for field in fields if field[0] not in nominated]
    return ResponseFields(
        fields=tuple(fields),
        lines=write_lines(fields),
        length=_announced_length(special, is_http10),
        keep_alive=b"close" not in options and (not is_http10 or b"keep-alive" in options),
        keep_alive_timeout=keep_alive_timeout,
        upgrade=special.upgrades[0].lower() if special.upgrades and b"upgrade" in options else None,
        count=len(raw_fields),
    )


def judge_response(status: int, phrase: bytes, said: ResponseFields, method: str) -> ResponseFraming:
    """Join a status line with its fields, in answer to ``method``."""
    response = Response(status, Headers(said.fields, said.lines))
    response.phrase = phrase
    length = said.length
    keep_alive = said.keep_alive
    if method == "HEAD" or status == 304:
        if length >= 0:
            # the length that a GET would have; it is not the length of what follows
            response.headers.add(b"Content-Length", b"%d" % length)
        length = 0
    elif status < 200 or status == 204:
        length = 0
    elif length == UNTIL_CLOSE:
        keep_alive = False
    response.length = length
    return ResponseFraming(response, keep_alive, said.keep_alive_timeout, said.upgrade)


def _announced_length(special: _Special, is_http10: bool) -> int:
    """Return the length that the fields announce."""
    if special.codings:
        if (
            is_http10
            or special.lengths
            or len(special.codings) > 1
            or special.codings[0].lower() != b"chunked"
        ):
            raise BadMessage(502, "bad-response", "its Transfer-Encoding")
        return CHUNKED
    if special.lengths:
        if len(special.lengths) > 1 or _LENGTH.fullmatch(special.lengths[0]) is None:
            raise BadMessage(502, "bad-response", "its Content-Length")
        return int(special.lengths[0])
    return UNTIL_CLOSE


def check_upgrade(request: Request, framing: ResponseFraming) -> None:
    """Refuse a 101 that nobody asked for, or that does not prove itself (RFC 6455 section 4.2.2)."""
    if request.upgrade is None or framing.upgrade != request.upgrade:
        raise BadMessage(502, "bad-response", "an upgrade that nobody asked for")
    key = request.headers.get(b"sec-websocket-key") or b""
    digest = hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest()
    if framing.response.headers.get_all(b"sec-websocket-accept") != [base64.b64encode(digest)]:
        raise BadMessage(502, "bad-response", "its Sec-WebSocket-Accept")
