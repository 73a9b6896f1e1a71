"""One connection that the gateway opened to the recording upstream: every byte of it, kept."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading

from tests.end_to_end.harness.waiting import is_readable


class Gone(Exception):
    """The other side of a connection has left."""


class Link:
    """A connection from the gateway; all that it sent is in ``raw``.

    ``changed`` guards ``raw`` and is notified of every change: what has left the kernel is in ``raw``
    before anybody else can look.
    """

    def __init__(self, connection: socket.socket, number: int, changed: threading.Condition) -> None:
        self.number = number
        self.raw = bytearray()
        self.ended = threading.Event()
        self.socket = connection
        self._changed = changed
        self._read = 0

    def start(self) -> None:
        """Make the connection ready, where TLS is spoken on it; raises ``Gone``."""
        if isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
            except OSError:
                raise Gone from None

    def receive(self) -> bytes:
        """Return some more of what comes; raises ``Gone`` at the end."""
        while self._read == len(self.raw):
            self._wait_for_bytes()
        piece = bytes(self.raw[self._read :])
        self._read = len(self.raw)
        return piece

    def give_back(self, count: int) -> None:
        """Have the next ``receive`` return the last ``count`` bytes again."""
        self._read -= count

    def receive_until(self, mark: bytes) -> bytes:
        """Return what comes up to and including ``mark``."""
        found = b""
        while (at := found.find(mark)) < 0:
            found += self.receive()
        end = at + len(mark)
        self.give_back(len(found) - end)
        return found[:end]

    def send(self, data: bytes) -> None:
        """Send bytes; raises ``Gone`` if nobody takes them any more."""
        try:
            self.socket.sendall(data)
        except OSError:
            raise Gone from None

    def wait_for_end(self) -> None:
        """Return when the gateway has ended the connection."""
        try:
            while True:
                self.receive()
        except Gone:
            return

    def close(self) -> None:
        """End the connection in good order."""
        self.ended.set()
        shut(self.socket)
        self.socket.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        self.ended.set()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def has_unread(self) -> bool:
        """Whether the kernel holds bytes that are not in ``raw`` yet."""
        if self.ended.is_set():
            return False
        try:
            (count,) = struct.unpack("i", fcntl.ioctl(self.socket, termios.FIONREAD, b"\0" * 4))
        except (OSError, ValueError):  # closed by its own thread just now
            return False
        return bool(count)

    def _wait_for_bytes(self) -> None:
        if self.ended.is_set():
            raise Gone
        try:
            if not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
                is_readable(self.socket, None)
        except (OSError, ValueError):  # closed by another thread
            raise Gone from None
        with self._changed:
            piece = self._take()
            self.raw += piece
            self._changed.notify_all()
        if not piece:
            self.ended.set()
            raise Gone

    def _take(self) -> bytes:
        try:
            return self.socket.recv(262144)
        except OSError:
            return b""


def shut(end: socket.socket) -> None:
    """Shut both directions of a socket down, whatever state it is in."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
