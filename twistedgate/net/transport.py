"""Twisted's TCP transports, writing at once where nothing is queued.

Stock transports only queue what is written, ask epoll for a write event and send in the next turn of the
reactor: two ``epoll_ctl`` and one more wake-up for every message.  Here the socket is tried first.  An error
of that attempt is never acted upon inside ``write``: the bytes are queued, and the reactor reports what is
wrong with the socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from twisted.internet import main, tcp
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

READ_SIZE = 256 * 1024
"""Bytes read at a time: moving a large body costs half of what it costs at Twisted's own 64 KiB."""

_buffer = bytearray(READ_SIZE)
_view = memoryview(_buffer)
# One buffer for all connections, as it is emptied before the next read.  ``recv`` makes a bytes object of the
# size asked for and shrinks it: at 64 KiB that costs more than the system call, and idle connections hold
# none.

VIEWED = 64 * 1024
"""Bytes of a read from which on it may be handed on as a view; copying less costs nothing to speak of."""


@runtime_checkable
class TakesViews(Protocol):
    """A protocol that can pass on what was read without a copy."""

    def receive_view(self, view: memoryview) -> None:
        """Take bytes that are gone when this returns."""


_AT_FIRST = (("dataBuffer", b""), ("TLS", False), ("_writeDisconnected", False), ("_aborting", False))
"""What every write asks; left to Twisted's classes, looking for it would take three times as long."""


class _Eager(tcp.Connection):
    """What both kinds of transport share."""

    watches_leaving = False
    """Whether a peer that closes while reading is paused counts as gone."""

    written = 0
    """Bytes that the kernel took out of the queue, a measure of progress for whoever watches a slow peer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for name, value in _AT_FIRST:
            setattr(self, name, value)

    def write(self, piece: bytes) -> None:
        """Send at once what the kernel takes; queue the rest."""
        if self.dataBuffer or self._tempDataLen or self.TLS or not self.connected or self._writeDisconnected:
            super().write(piece)
            return
        if self._aborting or (self.producer is not None and not self.streamingProducer):
            # a pull producer is asked for more when a queue empties: without a queue it never is
            super().write(piece)
            return
        try:
            sent = self.socket.send(piece)
        except OSError:
            sent = 0
        if sent < len(piece):
            super().write(piece[sent:] if sent else piece)

    def doRead(self) -> Any:
        """Read once, and hand on what came."""
        try:
            size = self.socket.recv_into(_buffer)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not size:
            return main.CONNECTION_DONE
        if size >= VIEWED and isinstance(self.protocol, TakesViews):
            self.protocol.receive_view(_view[:size])
        else:
            self.protocol.dataReceived(bytes(_view[:size]))
        return None

    def write_view(self, view: memoryview) -> None:
        """Send a view at once, and copy only what the kernel does not take now."""
        if self.dataBuffer or self._tempDataLen or not self.connected or self._aborting:
            self.write(bytes(view))
            return
        try:
            sent = self.socket.send(view)
        except OSError:
            sent = 0
        if sent < len(view):
            self.write(bytes(view[sent:]))

    def writeSequence(self, pieces: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(pieces))

    def writeSomeData(self, piece: bytes) -> Any:
        """Send from the queue, counting."""
        sent = tcp.Connection.writeSomeData(self, piece)
        if type(sent) is int:
            self.written += sent
        return sent

    @property
    def queued(self) -> int:
        """Bytes that were written and that the kernel has not taken yet."""
        size: int = len(self.dataBuffer) - self.offset + self._tempDataLen
        return size

    def pauseProducing(self) -> None:
        """Stop reading; a watched peer that leaves is noticed all the same."""
        pause_reader = getattr(self.reactor, "pauseReader", None)
        if pause_reader is not None and self.watches_leaving and self.connected and not self.disconnecting:
            pause_reader(self)
        else:
            self.stopReading()


class EagerServer(_Eager, tcp.Server):
    """An accepted connection."""

    watches_leaving = True


class EagerClient(_Eager, tcp.Client):
    """A connection of our own making."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone, and its connector, which it would hold in a cycle, with it."""
        super().connectionLost(reason)
        self.__dict__.pop("connector", None)


LEAN = frozenset((EagerServer, EagerClient))
"""Transports whose plain reads are dispatched without a log context (``net.reactor``)."""


class EagerPort(tcp.Port):
    """A listening socket whose connections are eager; it accepts no more at a time than there is room for."""

    transport = EagerServer  # type: ignore[assignment]  # its constructor only passes arguments on
    room: Callable[[], int] = staticmethod(lambda: 1)
    """How many connections may be accepted in this turn."""

    def doRead(self) -> None:
        """Accept a batch: Twisted's own hundred would not see that accepting has paused."""
        self.numberAccepts = max(self.room(), 1)
        super().doRead()


class EagerConnector(tcp.Connector):
    """Connects by an eager transport."""

    def _makeTransport(self) -> tcp.Client:
        return EagerClient(self.host, self.port, self.bindAddress, self, self.reactor)


def lowest(transport: Any) -> Any:
    """Return the transport under layers of TLS."""
    below = getattr(transport, "transport", None)
    while below is not None:
        transport = below
        below = getattr(transport, "transport", None)
    return transport


def is_eager(transport: Any) -> bool:
    """Whether it is one of these, with nothing in between."""
    return isinstance(transport, _Eager)


def queued(transport: Any) -> int:
    """Return the bytes that wait for the kernel."""
    below = lowest(transport)
    size: int | None = getattr(below, "queued", None)
    if size is not None:
        return size
    # a stock transport has the same queue, and tells nobody
    sizes: tuple[int, int] = getattr(below, "_tempDataLen", 0), getattr(below, "offset", 0)
    return len(getattr(below, "dataBuffer", b"")) + sizes[0] - sizes[1]


def written(transport: Any) -> int:
    """Return a number that grows when a queue empties."""
    size: int | None = getattr(lowest(transport), "written", None)
    return -queued(transport) if size is None else size


def can_half_close(transport: Any) -> bool:
    """Whether the sending side alone can be closed; TLS, as spoken here, ends both (RFC 8446 section 6.1)."""
    return not isinstance(transport, TLSMemoryBIOProtocol)
