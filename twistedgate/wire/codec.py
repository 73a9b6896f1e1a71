"""Bytes to heads: llhttp (httptools) fed the fields of exactly one head, then judged by ``framing``.

Rules
- The first line is judged here and in ``framing``.  The fields behind it go through a parser of their own,
  never lenient, never used again, behind a first line of ours: it sees not a byte of what follows the head,
  so that nothing of a second message can be mistaken for the first.  What the same read held besides is left
  in ``rest``.
- A head is bounded before it is complete: ``max_head`` bytes, ``max_headers`` fields, ``max_uri`` for its
  target.
- A block of fields that was judged before, byte for byte, is not parsed again: clients and servers say the
  same over and over.  What is remembered is the judgement of those bytes alone; method, target and status are
  judged each time.
- Text that is no HTTP is refused with the first byte that shows it, not after a timeout; whole or byte by
  byte, the same text gets the same refusal: that of its first fault.

This module knows neither sockets nor time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httptools

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Field, Headers
from twistedgate.http.message import Request
from twistedgate.http.target import RequestTarget
from twistedgate.wire.framing import (
    RawField,
    RequestFields,
    ResponseFraming,
    judge_request,
    judge_request_fields,
    judge_request_line,
    judge_response,
    judge_response_fields,
    judge_status_line,
)
from twistedgate.wire.gleaning import glean
from twistedgate.wire.memory import KnownHead, Memory, written_head

END_OF_HEAD = b"\r\n\r\n"

_LINE_SLACK = 64
"""What a request line may hold beside its target: a method of 32 bytes, two blanks, the version, CRLF."""

_BEGUN_REQUEST_LINE = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*(?:(?<=[^\r]) [\x21-\x7e]*(?:(?<=[^ ]) [HTP/0-9.]{0,8})?)?\r?"
)
_BEGUN_STATUS_LINE = re.compile(
    rb"H?T?T?P?/?1?\.?[01]?(?:(?<=[01]) [0-9]{0,3}(?: [\t\x20-\x7e\x80-\xff]*)?)?\r?"
)

_ANY_REQUEST_LINE = b"GET / HTTP/1.1\r\n"
_ANY_STATUS_LINE = b"HTTP/1.1 200 OK\r\n"
"""Stand before the fields in the parser: the judgement of a block cannot depend on the line it came with."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """The size of a head: bytes in all, bytes of the target, fields."""

    max_head: int = 32 * 1024
    max_uri: int = 8 * 1024
    max_headers: int = 100


_MEMORY_TARGET = 128
"""Bytes of the longest target that is remembered; no ``max_uri`` is smaller."""

_AFTER_DIGIT = len(b"1\r\n")

_requests: Memory[RequestFields] = Memory()
"""Blocks of fields, each behind the last digit of its version, on which the judgement depends too."""
_asked: Memory[tuple[str, RequestTarget]] = Memory()
"""Method and target of an HTTP/1.1 request line that agrees with Host, behind it the value of that."""
_responses: Memory[KnownHead] = Memory()
"""Whole heads of answers, as their first lines vary little."""


class _HeadReader:
    """What both directions share: a buffer for a head that comes in pieces, and the parser of its fields."""

    __slots__ = ("_buffer", "_fed", "_fields", "_limits", "_line_end", "_lines", "_parser", "rest")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self.rest = b""
        self._forget()

    def _forget(self) -> None:
        """Be ready for another head."""
        self._buffer = b""
        self._line_end = 0
        self._parser: Any = None
        self._fields: list[RawField] = []
        self._fed = 0
        self._lines = 0

    def close(self) -> None:
        """Hold nothing any longer: the parser holds our methods, a cycle that nobody needs any more."""
        self._forget()
        self.rest = b""

    @property
    def has_begun(self) -> bool:
        """Whether part of a head is here."""
        return bool(self._buffer)

    def take_rest(self) -> bytes:
        """Return what came behind the head, and hold it no longer."""
        rest, self.rest = self.rest, b""
        return rest

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field from the parser."""
        self._fields.append((name, value))

    def _take_fields(self, block: bytes) -> list[RawField]:
        """Return the fields of a whole block."""
        self._receive_lines(block, 1)
        if b" \r\n" in block or b"\t\r\n" in block:
            # llhttp takes the optional blanks off the front of a value only (RFC 9112 section 5.1)
            return [(name, value.rstrip(b" \t")) for name, value in self._fields]
        return self._fields

    def _receive_lines(self, block: bytes, empty: int) -> None:
        """Feed what is new in ``block``, no line more than there may be fields; ``empty`` lines are none."""
        start = self._fed
        begin = max(start - 1, 0)
        lines = block.count(b"\r\n", begin) - empty
        allowed = self._limits.max_headers - self._lines
        if lines > allowed:
            beyond = block[begin:].split(b"\r\n", allowed + 1)[-1]
            self._feed(block[start : len(block) - len(beyond)])
            raise self._too_large("too many fields")
        self._lines += lines
        self._feed(block[start:])
        self._fed = len(block)

    def _feed(self, piece: bytes) -> None:
        if self._parser is None:
            self._parser = self._make_parser()
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # raised at the end of a head that asks for any upgrade; what to make of it is judged elsewhere
            pass
        except httptools.HttpParserError as error:
            raise self._bad(str(error)) from None

    def _make_parser(self) -> Any:
        raise NotImplementedError

    def _bad(self, detail: str) -> BadMessage:
        raise NotImplementedError

    def _too_large(self, detail: str) -> BadMessage:
        raise NotImplementedError


class RequestCodec(_HeadReader):
    """Reads the heads of one downstream connection, one after another."""

    __slots__ = ("_overlooks", "claims")

    def __init__(self, limits: HeadLimits) -> None:
        super().__init__(limits)
        self.claims: tuple[Field, ...] = ()

    def _forget(self) -> None:
        super()._forget()
        self._overlooks = True

    def receive(self, piece: bytes) -> Request | None:
        """Take bytes of a head; return the request once it is whole, the bytes behind it in ``rest``.

        ``claims`` then holds the fields by which a proxy speaks for a client.  Raises ``BadMessage``, after
        which nothing may be read from this connection.
        """
        if self._buffer or not self._overlooks:
            return self._judge(piece)
        # most heads come whole, and were seen before: the line from this host's clients, and the fields
        end = piece.find(END_OF_HEAD) + 4
        digit = piece.find(b"\r\n") - 1
        said = _requests.younger.get(piece[digit:end])
        if said is None or not said.is_usual:
            return self._judge(piece)
        asked = _asked.younger.get(piece[:digit] + said.host_key)
        limits = self._limits
        if (
            asked is None
            or end > limits.max_head
            or digit > limits.max_uri
            or said.count > limits.max_headers
        ):
            return self._judge(piece)
        self.rest = piece[end:]
        self.claims = said.claims
        request = Request(asked[0], asked[1], Headers(said.fields, said.lines))
        request.length = said.length
        return request

    def _judge(self, piece: bytes) -> Request | None:
        """Take bytes of any head."""
        seen = len(self._buffer)
        head = self._buffer + piece if seen else piece
        if seen < 2 and self._overlooks and head.startswith(b"\r\n"):
            # one empty line before a request is overlooked (RFC 9112 section 2.2)
            self._overlooks = False
            head = head[2:]
            seen = 0
        end = head.find(END_OF_HEAD, seen - 3 if seen > 3 else 0) + 4
        if end == 3 or end > self._limits.max_head:
            self._receive_part(head)
            return None
        method, target, is_http10, line_end = self._judge_line(head)
        digit = line_end - _AFTER_DIGIT
        block = head[digit:end]
        said = _requests.recall(block)
        if said is None:
            said = judge_request_fields(self._take_fields(head[line_end:end]), is_http10)
            _requests.keep(block, said)
            self._forget()
        elif said.count > self._limits.max_headers:
            raise self._too_large("too many fields")
        elif seen or not self._overlooks:
            self._forget()
        self.rest = head[end:]
        self.claims = said.claims
        request = judge_request(method, target, is_http10, said)
        if said.is_usual and len(target) <= _MEMORY_TARGET and request.target.authority == said.host_text:
            _asked.keep(head[:digit] + said.host_key, (method, request.target))
        return request

    def glean(self, piece: bytes) -> Request | None:
        """Return what is understood of a head that is not complete, or was refused with ``piece``."""
        return glean(self._buffer + piece, self._limits.max_uri)

    def _has_line(self, head: bytes) -> bool:
        """Whether the request line is here; refuses what cannot become one, or is too long for one."""
        longest = self._limits.max_uri + _LINE_SLACK
        if head.find(b"\r\n", 0, longest + 1) >= 0:
            return True
        if _BEGUN_REQUEST_LINE.fullmatch(head, 0, longest + 1) is None:
            raise self._bad("the request line")
        if len(head) > longest:
            raise BadMessage(414, "uri-too-long")
        return False

    def _judge_line(self, head: bytes) -> tuple[str, bytes, bool, int]:
        try:
            line = judge_request_line(head)
        except BadMessage:
            self._has_line(head)  # may have been wrong before it came to its end
            raise
        if len(line[1]) > self._limits.max_uri:
            raise BadMessage(414, "uri-too-long")
        return line

    def _receive_part(self, head: bytes) -> None:
        """Judge what can be judged of a head that is not complete, or too large: its first fault counts."""
        here = head[: self._limits.max_head]
        if not self._line_end and self._has_line(here):
            self._line_end = self._judge_line(here)[3]
        if self._line_end:
            self._receive_lines(here[self._line_end :], 0)
        if len(head) >= self._limits.max_head:
            raise self._too_large("too many bytes")
        self._buffer = head

    def _make_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(_ANY_REQUEST_LINE)
        return parser

    def _bad(self, detail: str) -> BadMessage:
        return BadMessage(400, "bad-request", detail)

    def _too_large(self, detail: str) -> BadMessage:
        return BadMessage(431, "head-too-large", detail)


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
        if end == 3 or end > self._limits.max_head:
            self._receive_part(head)
            return None
        whole = head[:end]
        known = _responses.recall(whole)
        if known is None:
            is_http10, status, phrase, line_end = judge_status_line(whole)
            said = judge_response_fields(self._take_fields(whole[line_end:]), is_http10)
            known = KnownHead(status, phrase, said, written_head(status, phrase, said))
            _responses.keep(whole, known)
            self._forget()
        elif known.said.count > self._limits.max_headers:
            raise self._too_large("too many fields")
        elif seen:
            self._forget()
        self.rest = head[end:]
        return judge_response(known.status, known.phrase, known.said, method)

    def whole_answer(self, piece: bytes) -> tuple[KnownHead, bytes] | None:
        """Return the head and the body if that head was seen before, and all of its body came with it.

        Only for a head that announces the length of the body; whoever asked with HEAD asks ``receive``.
        """
        end = piece.find(END_OF_HEAD) + 4
        known = _responses.younger.get(piece[:end])
        if known is None or self._buffer or known.written is None or len(piece) - end != known.said.length:
            return None
        limits = self._limits
        if end > limits.max_head or known.said.count > limits.max_headers:
            return None
        return known, piece[end:]

    def _receive_part(self, head: bytes) -> None:
        """Judge what can be judged of a head that is not complete, or too large."""
        self._buffer = head
        here = head[: self._limits.max_head]
        if not self._line_end:
            if here.find(b"\r\n") >= 0:
                self._line_end = judge_status_line(here)[3]
            elif _BEGUN_STATUS_LINE.fullmatch(here) is None:
                raise self._bad("the status line")
        if self._line_end:
            self._receive_lines(here[self._line_end :], 0)
        if len(head) >= self._limits.max_head:
            raise self._too_large("its head has too many bytes")

    def _make_parser(self) -> Any:
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(_ANY_STATUS_LINE)
        return parser

    def _bad(self, detail: str) -> BadMessage:
        return BadMessage(502, "bad-response", detail)

    def _too_large(self, detail: str) -> BadMessage:
        return BadMessage(502, "bad-response", detail)
