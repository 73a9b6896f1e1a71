"""Reads bytes as a connection does, heads and bodies in turn, and tells what was understood of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from twistedgate.errors import BadMessage
from twistedgate.http.message import UNTIL_CLOSE, Request
from twistedgate.wire import codec as codec_module
from twistedgate.wire.body import BodyReader, make_reader
from twistedgate.wire.codec import HeadLimits, RequestCodec, ResponseCodec
from twistedgate.wire.framing import ResponseFraming
from twistedgate.wire.memory import Memory

LIMITS = HeadLimits()

Events = list[tuple[Any, ...]]

CUTS = st.lists(st.integers(0, 1 << 20), max_size=8)
"""Where to cut a text, each modulo its length."""


def split(text: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Yield ``text`` in pieces, some of them empty."""
    start = 0
    for end in sorted(cut % (len(text) + 1) for cut in cuts):
        yield text[start:end]
        start = end
    yield text[start:]


def forget_everything() -> None:
    """Let no block of fields be remembered."""
    for memory in _memories():
        memory.younger.clear()
        memory.older.clear()


def _memories() -> list[Memory[Any]]:
    return [
        codec_module._requests,
        codec_module._asked,
        codec_module._responses,
    ]


class Reader:
    """What both directions share: a head, its body, the next head."""

    def __init__(self, limits: HeadLimits) -> None:
        self.events: Events = []
        self.is_over = False
        self._limits = limits
        self._reader: BodyReader | None = None
        self._body = b""

    def receive(self, piece: bytes) -> None:
        """Read a piece; stops for good at a refusal."""
        try:
            while not self.is_over and (piece or self._has_whole_body()):
                piece = self._receive_head(piece) if self._reader is None else self._receive_body(piece)
        except BadMessage as refusal:
            self.events.append(("refused", refusal.status, refusal.reason))
            self.is_over = True

    def end(self) -> Events:
        """Return everything, and what is left unfinished."""
        if not self.is_over and self._reader is not None:
            self.events.append(("unfinished", self._body))
        elif not self.is_over:
            self.events.append(("waiting", self.has_begun))
        return self.events

    @property
    def has_begun(self) -> bool:
        """Whether part of a head is here."""
        raise NotImplementedError

    def _has_whole_body(self) -> bool:
        return self._reader is not None and self._reader.is_complete

    def _receive_head(self, piece: bytes) -> bytes:
        raise NotImplementedError

    def _begin_body(self, length: int, status: int) -> None:
        if length:
            self._reader = make_reader(length, status, (self._limits.max_head, self._limits.max_headers))
            self._body = b""

    def _receive_body(self, piece: bytes) -> bytes:
        reader = self._reader
        assert reader is not None
        if piece:
            self._body += reader.receive(piece)
        if not reader.is_complete:
            return b""
        trailers = reader.trailers
        self.events.append(("body", self._body, None if trailers is None else trailers.lines))
        self._reader = None
        return reader.rest


class Requests(Reader):
    """Reads what a client sends."""

    def __init__(self, limits: HeadLimits = LIMITS) -> None:
        super().__init__(limits)
        self.codec = RequestCodec(limits)

    @property
    def has_begun(self) -> bool:
        return self.codec.has_begun

    def _receive_head(self, piece: bytes) -> bytes:
        request = self.codec.receive(piece)
        if request is None:
            return b""
        self.events.append(("request", *told(request), self.codec.claims))
        if request.upgrade is not None:
            self.events.append(("tunnel",))
            self.is_over = True
        self._begin_body(request.length, 400)
        return self.codec.rest


class Answers(Reader):
    """Reads what an upstream sends in answer to ``method``."""

    def __init__(self, method: str, limits: HeadLimits = LIMITS) -> None:
        super().__init__(limits)
        self.codec = ResponseCodec(limits)
        self._method = method

    @property
    def has_begun(self) -> bool:
        return self.codec.has_begun

    def _receive_head(self, piece: bytes) -> bytes:
        framing = self.codec.receive(piece, self._method)
        if framing is None:
            return b""
        self.events.append(("answer", *told_of_answer(framing)))
        if framing.response.length == UNTIL_CLOSE:
            self.is_over = True
        self._begin_body(framing.response.length, 502)
        return self.codec.rest


def told(request: Request) -> tuple[Any, ...]:
    """Return everything that a request says."""
    return (
        request.method,
        request.target,
        tuple(request.headers),
        request.headers.lines,
        request.length,
        request.is_http10,
        request.keep_alive,
        request.expects_continue,
        request.accepts_trailers,
        request.upgrade,
    )


def told_of_answer(framing: ResponseFraming) -> tuple[Any, ...]:
    """Return everything that the head of an answer says."""
    response = framing.response
    return (
        response.status,
        response.phrase,
        tuple(response.headers),
        response.headers.lines,
        response.length,
        framing.keep_alive,
        framing.keep_alive_timeout,
        framing.upgrade,
    )


def read_requests(pieces: Iterable[bytes], limits: HeadLimits = LIMITS) -> Events:
    """Return what is understood of a client's bytes."""
    return _read(Requests(limits), pieces)


def read_answers(pieces: Iterable[bytes], method: str = "GET", limits: HeadLimits = LIMITS) -> Events:
    """Return what is understood of an upstream's bytes."""
    return _read(Answers(method, limits), pieces)


def _read(reader: Reader, pieces: Iterable[bytes]) -> Events:
    for piece in pieces:
        reader.receive(piece)
    return reader.end()
