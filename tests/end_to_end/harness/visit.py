"""One request that reached the recording upstream, read strictly, and the answers it may get."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator

from tests.end_to_end.harness.link import Link

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.1")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^`|~0-9A-Za-z-]+): ((?:[\x21-\x7e\x80-\xff][\t\x20-\x7e\x80-\xff]*)?)")
_CHUNK_LINE = re.compile(rb"[0-9a-fA-F]{1,16}\r\n")
_FRAMING = re.compile("0|[1-9][0-9]*|chunked")


class Unclean(Exception):
    """What the gateway sent is not clean HTTP/1.1."""


class Visit:
    """A request and the connection it came on."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.head = link.receive_until(b"\r\n\r\n")
        self.body = b""
        self.is_complete = threading.Event()
        first, *lines = self.head[:-4].split(b"\r\n")
        match = _REQUEST_LINE.fullmatch(first)
        if match is None:
            raise Unclean(f"request line {first!r}")
        self.method = match[1].decode()
        self.target = match[2].decode()
        self.path = self.target.partition("?")[0]
        self.fields = [_field(line) for line in lines]
        self._check_framing()

    def values(self, name: str) -> list[str]:
        """Return every value under ``name``, compared without case."""
        return [value for present, value in self.fields if present.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """Return the one value under ``name``; more than one is a failure."""
        values = self.values(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    def names(self) -> list[str]:
        """Return the names of all fields, as they were written."""
        return [name for name, _ in self.fields]

    def read_body(self) -> bytes:
        """Read the body to its end, at most once, and return it."""
        if not self.is_complete.is_set():
            self.body = b"".join(self.pieces())
            self.is_complete.set()
        return self.body

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        if self.values("transfer-encoding"):
            yield from self._chunks()
        else:
            yield from self._counted(int(self.value("content-length") or 0))

    def answer(self, status: int, body: bytes = b"", *fields: str) -> None:
        """Send a whole answer framed by Content-Length."""
        lines = [f"HTTP/1.1 {status} Said", *fields, f"Content-Length: {len(body)}"]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.send(head + (b"" if self.method == "HEAD" else body))

    def send(self, *pieces: bytes) -> None:
        """Send raw bytes, piece by piece."""
        for piece in pieces:
            self.link.send(piece)

    def finish_sending(self) -> None:
        """Send the end of our direction; the other stays open."""
        self.link.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection in good order."""
        self.link.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        self.link.reset()

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.link.receive()
            if len(piece) > left:
                self.link.give_back(len(piece) - left)
                piece = piece[:left]
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self.link.receive_until(b"\r\n")
            if _CHUNK_LINE.fullmatch(line) is None:
                raise Unclean(f"chunk line {line!r}")
            size = int(line, 16)
            yield from self._counted(size)
            if (end := self.link.receive_until(b"\r\n")) != b"\r\n":
                raise Unclean(f"after a chunk {end!r}")
            if size == 0:
                return

    def _check_framing(self) -> None:
        framing = self.values("content-length") + self.values("transfer-encoding")
        if len(framing) > 1 or (framing and _FRAMING.fullmatch(framing[0]) is None):
            raise Unclean(f"framing in {self.head!r}")
        if len(self.values("host")) != 1:
            raise Unclean(f"Host in {self.head!r}")


def _field(line: bytes) -> tuple[str, str]:
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise Unclean(f"field line {line!r}")
    return match[1].decode(), match[2].decode("latin-1")
