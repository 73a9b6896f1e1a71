"""Bytes to heads: llhttp (httptools) fed exactly one head, then judged by ``framing``.

Rules
- One parser for one head, never lenient, never used again.  It gets the bytes of the head as they come and not a
  byte of what follows, so nothing of a second message can be mistaken for the first; what the same read held
  besides is left in ``rest``.
- A head is bounded before it is complete: ``max_head`` bytes, ``max_headers`` fields, a target of ``max_uri``.
- Text that is no HTTP is refused with the first byte that shows it, not after a timeout; whole or byte by byte,
  the same text gets the same refusal.

This module knows neither sockets nor time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httptools

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Field
from twistedgate.http.message import Request
from twistedgate.wire.framing import (
    RawField,
    ResponseFraming,
    judge_request,
    judge_request_line,
    judge_response,
    judge_status_line,
)

END_OF_HEAD = b"\r\n\r\n"

_LINE_SLACK = 64
"""What a request line may hold beside its target: a method of 32 bytes, two blanks, the version, CRLF."""

_BEGUN_REQUEST_LINE = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*(?:(?<=[^\r]) [\x21-\x7e]*(?:(?<=[^ ]) [HTP/0-9.]{0,8})?)?\r?"
)
_BEGUN_STATUS_LINE = re.compile(rb"H?T?T?P?/?1?\.?[01]?(?:(?<=[01]) [0-9]{0,3}(?: [\t\x20-\x7e\x80-\xff]*)?)?\r?")


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """The size of a head: bytes in all, bytes of the target, fields."""

    max_head: int = 32 * 1024
    max_uri: int = 8 * 1024
    max_headers: int = 100


class _HeadReader:
    """What both directions share: a buffer for a head that comes in pieces, and the parser that reads it."""

    __slots__ = ("_buffer", "_fed", "_fields", "_limits", "_parser", "rest")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._parser: Any = None
        self._fields: list[RawField] = []
        self._buffer = b""
        self._fed = 0
        self.rest = b""

    @property
    def has_begun(self) -> bool:
        """Whether part of a head is here."""
        return bool(self._buffer)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field from the parser."""
        self._fields.append((name, value))

    def _take_fields(self, head: bytes, end: int) -> list[RawField]:
        """Feed what remains of a whole head, and return its fields."""
        self._feed(head[self._fed : end])
        fields = self._fields
        self._parser = None
        self._fields = []
        self._buffer = b""
        self._fed = 0
        self.rest = head[end:]
        if len(fields) > self._limits.max_headers:
            raise BadMessage(431, "head-too-large", "too many fields")
        if b" \r\n" in head or b"\t\r\n" in head:
            # llhttp takes the optional blanks off the front of a value only (RFC 9112 section 5.1)
            return [(name, value.rstrip(b" \t")) for name, value in fields]
        return fields

    def _feed(self, piece: bytes) -> None:
        raise NotImplementedError


class RequestCodec(_HeadReader):
    """Reads the heads of one downstream connection, one after another."""

    __slots__ = ("claims",)

    def __init__(self, limits: HeadLimits) -> None:
        super().__init__(limits)
        self.claims: list[Field] = []

    def receive(self, piece: bytes) -> Request | None:
        """Take bytes of a head; return the request once it is whole, the bytes behind it in ``rest``.

        ``claims`` then holds the fields by which a proxy speaks for a client.  Raises ``BadMessage``, after which
        nothing may be read from this connection.
        """
        seen = len(self._buffer)
        head = self._buffer + piece if seen else piece
        if head[:2] == b"\r\n" and not self._fed:
            # one empty line before a request is overlooked (RFC 9112 section 2.2)
            head = head[2:]
            seen = 0
        end = head.find(END_OF_HEAD, seen - 3 if seen > 3 else 0) + 4
        if end == 3:
            self._receive_part(head)
            return None
        if end > self._limits.max_head:
            self._refuse_size(head)
        method, target, is_http10 = judge_request_line(head)
        if len(target) > self._limits.max_uri:
            raise BadMessage(414, "uri-too-long")
        request, self.claims = judge_request(method, target, is_http10, self._take_fields(head, end))
        return request

    def _receive_part(self, head: bytes) -> None:
        """Bound a head that is not complete, and judge what can be judged of it."""
        self._buffer = head
        end = head.find(b"\r\n")
        if end < 0:
            if _BEGUN_REQUEST_LINE.fullmatch(head) is None:
                raise BadMessage(400, "bad-request", "the request line")
            if len(head) > self._limits.max_uri + _LINE_SLACK:
                raise BadMessage(414, "uri-too-long")
            return
        if not self._fed:
            _, target, _ = judge_request_line(head)
            if len(target) > self._limits.max_uri:
                raise BadMessage(414, "uri-too-long")
        if len(head) >= self._limits.max_head:
            self._refuse_size(head)
        self._feed(head[self._fed :])
        self._fed = len(head)
        if len(self._fields) > self._limits.max_headers:
            raise BadMessage(431, "head-too-large", "too many fields")

    def _refuse_size(self, head: bytes) -> None:
        if head.find(b"\r\n") > self._limits.max_uri + _LINE_SLACK:
            raise BadMessage(414, "uri-too-long")
        raise BadMessage(431, "head-too-large")

    def _feed(self, piece: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # raised at the end of a head that asks for any upgrade; what to make of it is judged elsewhere
            pass
        except httptools.HttpParserError as error:
            raise BadMessage(400, "bad-request", str(error)) from None


class ResponseCodec(_HeadReader):
    """Reads the heads of one upstream connection; interim responses (1xx) are heads of their own."""

    __slots__ = ()

    def receive(self, piece: bytes, method: str) -> ResponseFraming | None:
        """Take bytes of an answer to ``method``; return its judged head once whole, what follows in ``rest``.

        Raises ``BadMessage`` with 502, after which nothing may be read from this connection.
        """
        seen = len(self._buffer)
        head = self._buffer + piece if seen else piece
        end = head.find(END_OF_HEAD, seen - 3 if seen > 3 else 0) + 4
        if end == 3:
            self._receive_part(head)
            return None
        if end > self._limits.max_head:
            raise BadMessage(502, "bad-response", "its head is too large")
        judge_status_line(head)
        return judge_response(head, self._take_fields(head, end), method)

    def _receive_part(self, head: bytes) -> None:
        self._buffer = head
        if head.find(b"\r\n") < 0:
            if _BEGUN_STATUS_LINE.fullmatch(head) is None:
                raise BadMessage(502, "bad-response", "the status line")
        else:
            judge_status_line(head)
            self._feed(head[self._fed :])
            self._fed = len(head)
        if len(head) >= self._limits.max_head:
            raise BadMessage(502, "bad-response", "its head is too large")

    def _feed(self, piece: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise BadMessage(502, "bad-response", str(error)) from None
