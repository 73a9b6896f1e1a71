"""Twisted's TCP transports, sending within the same turn of the reactor where nothing is queued.

Stock transports only queue what is written, ask epoll for a write event and send in the next turn of the
reactor: two ``epoll_ctl`` and one more wake-up for every message.  Here the socket is tried first: at once,
or where the reactor has more events to hand on, when it has (``net.turn``), and before anything else becomes
of the connection.  An error of that attempt is never acted upon inside ``write``: the bytes are queued, and
the reactor reports what is wrong with the socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import main, tcp
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from twistedgate.net.conduit import Conduit
from twistedgate.net.turn import MOST, turn

READ_SIZE = 256 * 1024
"""Bytes read at a time: moving a large body costs half of what it costs at Twisted's own 64 KiB."""

_buffer = bytearray(READ_SIZE)
_view = memoryview(_buffer)
# One buffer for all connections, as it is emptied before the next read.  ``recv`` makes a bytes object of the
# size asked for and shrinks it: at 64 KiB that costs more than the system call, for what is little it costs
# less than to copy it out of here.

FIRST_READ = 16 * 1024
"""Bytes read at first: a head, and all of a small body; what else a large one brings with it would be copied
to be parsed."""

LATE = 16 * 1024
"""Bytes that are always sent at once: whoever reads them is busy for a while."""

conduit = Conduit()
"""What is passed on unseen goes through one pipe, as it is emptied before the next read."""


class Outlet(Protocol):
    """Where the bytes of a counted body go unseen, as long as nobody has to see them."""

    def outlet(self) -> tuple[_Eager, int] | None:
        """Return the transport they go to and how many are left, if any may be passed on now."""

    def passed(self, size: int) -> None:
        """So many bytes were passed on, or queued."""


_AT_FIRST = (
    *(("dataBuffer", b""), ("TLS", False), ("_writeDisconnected", False), ("_aborting", False)),
    *(("passes_on", False), ("_reads_much", False), ("_late", b"")),
)
"""What every write and every read asks; in Twisted's classes it is three times as far."""


class _Eager(tcp.Connection):
    """What both kinds of transport share."""

    watches_leaving = False
    """Whether a peer that closes while reading is paused counts as gone."""

    _late = b""
    """What waits for the end of the turn; nothing is queued then."""

    written = 0
    """Bytes that the kernel took out of the queue, a measure of progress for whoever watches a slow peer."""

    passes_on = False
    """Whether to ask the protocol, an ``Outlet``, before each read."""

    _reads_much = False
    """Whether the last read brought as much as is read at first."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for name, value in _AT_FIRST:
            setattr(self, name, value)

    def write(self, piece: bytes) -> None:
        """Send what the kernel takes, at once or at the end of this turn; queue the rest."""
        if self._late:
            if len(self._late) + len(piece) < LATE:
                self._late += piece
                return
            self.send_late()
        if self.dataBuffer or self._tempDataLen or self.TLS or not self.connected or self._writeDisconnected:
            super().write(piece)
            return
        if self._aborting or (self.producer is not None and not self.streamingProducer):
            # a pull producer is asked for more when a queue empties: without a queue it never is
            super().write(piece)
            return
        self._late = piece
        if turn.is_open and len(piece) < LATE:
            waiting = turn.waiting
            waiting.append(self)
            if len(waiting) >= MOST:
                turn.send()
        else:
            self.send_late()

    def send_late(self) -> None:
        """Send what was written and is not queued, if there is anything."""
        piece = self._late
        if not piece:
            return
        self._late = b""
        try:
            sent = self.socket.send(piece)
        except OSError:
            sent = 0
        if sent < len(piece):
            super().write(piece[sent:] if sent else piece)

    def loseConnection(self) -> None:
        """Close when everything is sent."""
        self.send_late()
        super().loseConnection()

    def loseWriteConnection(self) -> None:
        """Send nothing after what is written."""
        self.send_late()
        super().loseWriteConnection()

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone; what was written before may still arrive."""
        self.send_late()
        super().connectionLost(reason)

    def doRead(self) -> Any:
        """Read once, and hand on what came."""
        if self.passes_on and self._pass_on():
            return None
        try:
            if self._reads_much:
                piece = bytes(_view[: self.socket.recv_into(_buffer)])
            else:
                piece = self.socket.recv(FIRST_READ)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not piece:
            return main.CONNECTION_DONE
        self._reads_much = reads_much = len(piece) >= FIRST_READ
        self.protocol.dataReceived(piece)
        if reads_much and self.passes_on:
            self._pass_on()
        return None

    def _pass_on(self) -> bool:
        """Let the kernel pass on what is here; return whether that is all there is to do now."""
        outlet: Outlet = self.protocol  # type: ignore[assignment]
        found = outlet.outlet()
        if found is None:
            return False
        to, left = found
        to.send_late()
        if to.queued:
            return to.pause_producer()
        size = conduit.pull(self.fileno(), left)
        if not size:
            return False
        self._reads_much = False
        sent = conduit.push(to.fileno(), size) if to.is_flowing else 0
        if sent < size:
            to.hold(conduit.drain(size - sent))
        outlet.passed(size)
        return True

    @property
    def is_flowing(self) -> bool:
        """Whether what is written now may be sent at once."""
        return bool(
            self.connected
            and not self.dataBuffer
            and not self._tempDataLen
            and not self._aborting
            and not self._writeDisconnected
        )

    def hold(self, piece: bytes) -> None:
        """Queue what the kernel has just refused, and let nothing more come meanwhile."""
        super().write(piece)
        self.pause_producer()

    def pause_producer(self) -> bool:
        """Let nothing more come until the queue is empty; return whether anybody was told so."""
        producer: Any = self.producer
        if producer is None or not self.streamingProducer or self.producerPaused or not self.queued:
            return False
        self.producerPaused = True
        producer.pauseProducing()
        return True

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
        size: int = len(self.dataBuffer) - self.offset + self._tempDataLen + len(self._late)
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
        self.passes_on = False
        super().connectionLost(reason)
        self.__dict__.pop("connector", None)


LEAN = (EagerServer, EagerClient)
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
    return isinstance(transport, _Eager) and not transport.TLS


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
