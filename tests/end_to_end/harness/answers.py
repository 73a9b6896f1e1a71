"""A strict reader of responses: what it accepts, every client reads in the same way.

Rules: a status line and field lines of RFC 9112 with CRLF and nothing else, exactly one framing
(section 6.3), strict chunks, no end but the announced one.  Anything else raises ``Malformed``, and an
end in the middle raises ``Cut``.  It must not know what it is connected to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) ([\t\x20-\x7e]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,16})(?:[\t ]*;[\t\x20-\x7e]*)?")

NO_END = 1 << 62
"""Stands for the length of a body that ends with its connection."""


_SEEN = 65536
"""What is kept for ``Cut`` of a message that ends too early, about."""


class Malformed(AssertionError):
    """What came is not HTTP/1.1 as the RFC wants it from a server."""


class Cut(Exception):
    """The connection ended in the middle of a message; ``seen`` is what there was of it."""

    def __init__(self, seen: bytes, was_reset: bool) -> None:
        super().__init__(seen[-200:], "reset" if was_reset else "closed")
        self.seen = seen
        self.was_reset = was_reset


@dataclass
class Answer:
    """One response: interim ones that came before it are in ``interim``."""

    status: int
    phrase: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list[Answer] = field(default_factory=list)
    ended_by_close: bool = False

    def values(self, name: str) -> list[str]:
        """Return every value under ``name``, compared without case."""
        key = name.lower().encode()
        return [value.decode("latin-1") for present, value in self.fields if present.lower() == key]

    def value(self, name: str) -> str | None:
        """Return the one value under ``name``; more than one is a failure."""
        values = self.values(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Whether the answer says that its connection ends here."""
        return any("close" in re.split(r"[ ,]+", value.lower()) for value in self.values("connection"))


class Reader:
    """Reads answers from ``fetch``, which returns the next bytes and ``b""`` at the end.

    A reset shows as ``ConnectionResetError`` out of ``fetch``.
    """

    def __init__(self, fetch: Callable[[], bytes]) -> None:
        self._fetch = fetch
        self._held = bytearray()
        self._seen = bytearray()

    def answer(self, method: str = "GET") -> Answer:
        """Read one final response to a request with ``method``, and the interim ones before it."""
        interim: list[Answer] = []
        while True:
            answer = self.head()
            if answer.status == 101 or answer.status >= 200:
                break
            interim.append(answer)
        answer.interim = interim
        if answer.status != 101:
            self._read_body(answer, method)
        self._seen = bytearray(self._held)
        return answer

    def head(self) -> Answer:
        """Read one head, interim or final; the body is left where it is."""
        first, *lines = self.take_until(b"\r\n\r\n").split(b"\r\n")
        match = _STATUS_LINE.fullmatch(first)
        if match is None:
            raise Malformed(f"status line {first!r}")
        return Answer(int(match[1]), match[2], [_field(line) for line in lines])

    def take(self, count: int) -> bytes:
        """Return exactly ``count`` bytes of what comes."""
        while len(self._held) < count:
            self._more()
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def take_until(self, mark: bytes) -> bytes:
        """Return what comes before ``mark``, which is taken as well."""
        while (at := self._held.find(mark)) < 0:
            self._more()
        taken = bytes(self._held[:at])
        del self._held[: at + len(mark)]
        return taken

    def rest(self) -> bytes:
        """Return everything up to the end of the connection."""
        while piece := self._fetch():
            self._held += piece
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _more(self) -> None:
        try:
            piece = self._fetch()
        except ConnectionResetError:
            self._held.clear()
            raise Cut(bytes(self._seen), was_reset=True) from None
        if not piece:
            self._held.clear()
            raise Cut(bytes(self._seen), was_reset=False)
        self._held += piece
        if len(self._seen) < _SEEN:
            self._seen += piece

    def _read_body(self, answer: Answer, method: str) -> None:
        length = _length(answer, method)
        if length is None:
            self._read_chunks(answer)
        elif length == NO_END:
            answer.ended_by_close = True
            answer.body = self._read_to_the_end()
        else:
            answer.body = self.take(length)

    def _read_to_the_end(self) -> bytes:
        try:
            return self.rest()
        except ConnectionResetError:
            raise Cut(bytes(self._seen), was_reset=True) from None

    def _read_chunks(self, answer: Answer) -> None:
        pieces = []
        while True:
            line = self.take_until(b"\r\n")
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise Malformed(f"chunk line {line!r}")
            size = int(match[1], 16)
            if size == 0:
                break
            pieces.append(self.take(size))
            if self.take(2) != b"\r\n":
                raise Malformed("chunk without its end")
        answer.body = b"".join(pieces)
        while line := self.take_until(b"\r\n"):
            answer.trailers.append(_field(line))


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise Malformed(f"field line {line!r}")
    return match[1], match[2].strip(b"\t ")


def _length(answer: Answer, method: str) -> int | None:
    """Return the body's length, ``None`` for chunked (RFC 9112 section 6.3)."""
    lengths = answer.values("content-length")
    codings = answer.values("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Malformed(f"two framings: {lengths} {codings}")
    if lengths and not re.fullmatch("[0-9]{1,18}", lengths[0]):
        raise Malformed(f"Content-Length {lengths[0]!r}")
    if codings and (codings[0].lower() != "chunked" or answer.status == 204):
        raise Malformed(f"Transfer-Encoding {codings[0]!r} with {answer.status}")
    if lengths and answer.status == 204:
        raise Malformed("Content-Length with 204")
    if method == "HEAD" or answer.status in (204, 304):
        return 0
    if codings:
        return None
    return int(lengths[0]) if lengths else NO_END
