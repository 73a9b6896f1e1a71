"""Bytes to heads: llhttp (httptools) fed exactly one head, then judged by ``framing``.

Rules
- One parser for one head, never lenient, never used again.  It gets the bytes of the head as they come and not a
  byte of what follows, so nothing of a second message can be mistaken for the first; what the same read held
  besides is left in ``rest``.
- A head is bounded before it is complete: ``max_head`` bytes, ``max_headers`` fields, a target of ``max_uri``.
- A block of fields that was judged before, byte for byte, is not parsed again: clients and servers say the same thing
  over and over.  What is remembered is the judgement of those bytes alone; method, target and status are judged
  each time.
- Text that is no HTTP is refused with the first byte that shows it, not after a timeout; whole or byte by byte,
  the same text gets the same refusal.

This module knows neither sockets nor time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httptools

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Field
from twistedgate.http.message import Request
from twistedgate.wire.framing import (
    RawField,
    RequestFields,
    ResponseFields,
    ResponseFraming,
    judge_request,
    judge_request_fields,
    judge_request_line,
    judge_response,
    judge_response_fields,
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


MEMORY_ENTRIES = 512
MEMORY_BLOCK = 2048
"""Blocks of fields that are remembered for each direction, and the size of the largest: 2 MiB at the very most."""

Said = TypeVar("Said")


class Memory(Generic[Said]):
    """What was judged of blocks of bytes; the older half is forgotten when the younger is full."""

    __slots__ = ("_older", "_younger")

    def __init__(self) -> None:
        self._younger: dict[bytes, Said] = {}
        self._older: dict[bytes, Said] = {}

    def recall(self, block: bytes) -> Said | None:
        """Return what was judged of exactly these bytes."""
        said = self._younger.get(block)
        if said is None and (said := self._older.get(block)) is not None:
            self._younger[block] = said
        return said

    def keep(self, block: bytes, said: Said) -> None:
        """Remember a judgement."""
        if len(block) <= MEMORY_BLOCK:
            if len(self._younger) >= MEMORY_ENTRIES:
                self._older, self._younger = self._younger, {}
            self._younger[block] = said


_requests: Memory[RequestFields] = Memory()
_requests_http10: Memory[RequestFields] = Memory()
_responses: Memory[ResponseFields] = Memory()
_responses_http10: Memory[ResponseFields] = Memory()


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
        self._fed = 0
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
        self.claims: tuple[Field, ...] = ()

    def receive(self, piece: bytes) -> Request | None:
        """Take bytes of a head; return the request once it is whole, the bytes behind it in ``rest``.

        ``claims`` then holds the fields by which a proxy speaks for a client.  Raises ``BadMessage``, after which
        nothing may be read from this connection.
        """
        seen = len(self._buffer)
        head = self._buffer + piece if seen else piece
        if not self._fed and head.startswith(b"\r\n"):
            # one empty line before a request is overlooked (RFC 9112 section 2.2)
            head = head[2:]
            seen = 0
        end = head.find(END_OF_HEAD, seen - 3 if seen > 3 else 0) + 4
        if end == 3:
            self._receive_part(head)
            return None
        if end > self._limits.max_head:
            self._refuse_size(head)
        method, target, is_http10, line_end = judge_request_line(head)
        if len(target) > self._limits.max_uri:
            raise BadMessage(414, "uri-too-long")
        memory = _requests_http10 if is_http10 else _requests
        block = head[line_end:end]
        said = memory.recall(block)
        if said is None or self._fed:
            said = judge_request_fields(self._take_fields(head, end), is_http10)
            memory.keep(block, said)
        if said.count > self._limits.max_headers:
            raise BadMessage(431, "head-too-large", "too many fields")
        self._buffer = b""
        self.rest = head[end:]
        self.claims = said.claims
        return judge_request(method, target, is_http10, said)

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
            _, target, _, _ = judge_request_line(head)
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
        is_http10, status, phrase, line_end = judge_status_line(head)
        memory = _responses_http10 if is_http10 else _responses
        block = head[line_end:end]
        said = memory.recall(block)
        if said is None or self._fed:
            said = judge_response_fields(self._take_fields(head, end), is_http10)
            memory.keep(block, said)
        if said.count > self._limits.max_headers:
            raise BadMessage(502, "bad-response", "it has too many fields")
        self._buffer = b""
        self.rest = head[end:]
        return judge_response(status, phrase, said, method)

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
