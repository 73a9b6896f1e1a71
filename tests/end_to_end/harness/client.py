"""A client that sends exactly the bytes it is told to, and reads strictly what comes back."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterable
from types import TracebackType

from tests.end_to_end.harness.answers import Answer, Cut, Reader
from tests.end_to_end.harness.waiting import PATIENCE

HOST = "gateway.test"
"""The host that requests name unless a test says otherwise."""


def request(method: str, path: str, *fields: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """Return the bytes of a request; a body brings its Content-Length unless ``fields`` frame it."""
    lines = [f"{method} {path} HTTP/{version}"]
    if not any(line.lower().startswith("host:") for line in fields):
        lines.append(f"Host: {HOST}")
    lines += fields
    framed = any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in fields)
    if body and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(path: str, *fields: str) -> bytes:
    """Return the bytes of a GET."""
    return request("GET", path, *fields)


def ask_over(family: socket.AddressFamily, address: str | tuple[str, int], path: str) -> int:
    """Send a GET over a socket of any family and return the status of its answer."""
    with socket.socket(family) as wire:
        wire.settimeout(PATIENCE)
        wire.connect(address)
        wire.sendall(get(path))
        return Reader(lambda: wire.recv(65536)).answer().status


class Client:
    """One connection to a port of the loopback interface."""

    def __init__(self, port: int, *, receive_buffer: int = 0, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.socket()
        plain.settimeout(PATIENCE)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            plain.connect(("127.0.0.1", port))
            self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise
        self.reader = Reader(self._receive)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The client's own port."""
        address: tuple[str, int] = self.socket.getsockname()
        return address[1]

    def send(self, *pieces: bytes) -> None:
        """Send the pieces, each by itself."""
        for piece in pieces:
            self.socket.sendall(piece)

    def send_while_open(self, pieces: Iterable[bytes]) -> bool:
        """Send the pieces; ``False`` if the other side ended the connection before the last."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def ask(self, method: str, path: str, *fields: str, body: bytes = b"") -> Answer:
        """Send one request and return its answer."""
        self.send(request(method, path, *fields, body=body))
        return self.answer(method)

    def get(self, path: str, *fields: str) -> Answer:
        """Send a GET and return its answer."""
        return self.ask("GET", path, *fields)

    def answer(self, method: str = "GET") -> Answer:
        """Read one answer."""
        return self.reader.answer(method)

    def cut(self, method: str = "GET") -> Cut:
        """Read an answer that must end before its end."""
        try:
            answer = self.answer(method)
        except Cut as cut:
            return cut
        raise AssertionError(f"a complete answer: {answer}")

    def rest(self) -> bytes:
        """Return everything up to the end of the connection; a reset is an end as well."""
        try:
            return self.reader.rest()
        except ConnectionResetError:
            return b""

    def finish_sending(self) -> None:
        """Send the end of our direction; the other stays open."""
        self.socket.shutdown(socket.SHUT_WR)

    def ends(self) -> bool:
        """Whether the other side ends the connection with nothing more said.

        Our own end is sent first, so that whoever waits for the rest of our bytes need not wait long.
        """
        with contextlib.suppress(OSError):
            self.finish_sending()
        return self.rest() == b""

    def reset(self) -> None:
        """Leave without a word: the other side sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def _receive(self) -> bytes:
        return self.socket.recv(65536)
