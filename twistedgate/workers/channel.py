"""What the supervisor and one worker say to each other: messages and descriptors over a socketpair.

A message is eight bytes (the lengths, 32 bits each, of what follows), a JSON object and a blob.  Both sides
say first which protocol they speak.  Messages arrive in the order in which they were sent, each with its own
descriptors; those of a peer that died are read to the last.  A descriptor that was received is closed when
its message has been dealt with: whoever keeps one keeps a copy of his own.  Every descriptor here is closed
on exec.  The pair is private, so nothing is hostile; what is malformed is a fault, and ends the channel.
This module does not know what the messages mean.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from twisted.internet.interfaces import IFileDescriptorReceiver, IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedgate.net.transport import queued

PROTOCOL = 1
"""Counts what is said and how; two sides that do not agree do not talk."""

HELLO = "hello"
"""The kind of the first message in each direction: ``protocol`` and ``pid`` of its sender."""

_LENGTHS = struct.Struct("!II")
_READ_SIZE = 1 << 16
_MOST_DESCRIPTORS = 64
"""More than Twisted's transports, which send one at a time, put into one read."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Message:
    """What was said; ``descriptors`` are open until whoever received the message returns."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    blob: bytes = b""
    descriptors: tuple[int, ...] = ()


class BadFrame(Exception):
    """The other side does not keep to the protocol."""


def frame(kind: str, fields: dict[str, Any], blob: bytes, count: int) -> bytes:
    """Return the bytes of a message that comes with ``count`` descriptors."""
    told = orjson.dumps({**fields, "kind": kind, "descriptors": count})
    # the transport sends each descriptor with a byte, and wants to have as many bytes
    told = told.ljust(count)
    return b"".join((_LENGTHS.pack(len(told), len(blob)), told, blob))


class Frames:
    """Finds the messages in what is read, however it is cut."""

    __slots__ = ("unread",)

    def __init__(self) -> None:
        self.unread = bytearray()
        """What belongs to no complete message yet."""

    def feed(self, piece: bytes) -> Iterator[tuple[str, dict[str, Any], bytes, int]]:
        """Give kind, fields, blob and number of descriptors of each message that is complete now."""
        unread = self.unread
        unread += piece
        while len(unread) >= _LENGTHS.size:
            told, blob = _LENGTHS.unpack_from(unread)
            begin, end = _LENGTHS.size + told, _LENGTHS.size + told + blob
            if len(unread) < end:
                return
            with memoryview(unread) as view:
                fields, rest = orjson.loads(view[_LENGTHS.size : begin]), bytes(view[begin:end])
            del unread[:end]
            yield fields.pop("kind"), fields, rest, fields.pop("descriptors")


@implementer(IFileDescriptorReceiver, IPullProducer)
class Channel(Protocol):
    """One end.  ``received`` gets each message, hello included; ``lost`` is called once, after the last.

    What ``received`` raises ends the channel, as it would any connection.
    """

    transport: Any

    def __init__(self, received: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._frames = Frames()
        self._arrived: deque[int] = deque()
        self._departing: list[int] = []
        self._spare: socket.socket | None = None
        self._is_greeted = False
        self._is_cut = False
        self.is_open = False
        """Whether what is sent now may arrive."""

    def __repr__(self) -> str:
        return f"<Channel {'open' if self.is_open else 'closed'}>"

    @property
    def unread(self) -> bytes:
        """The beginning of a message whose end has not come yet."""
        return bytes(self._frames.unread)

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return queued(self.transport)

    @property
    def descriptor(self) -> int:
        """A descriptor of the socket, -1 once it is lost."""
        return -1 if self._spare is None else self._spare.fileno()

    def send(self, kind: str, blob: bytes = b"", descriptors: Sequence[int] = (), **fields: Any) -> bool:
        """Say something; return whether the channel took it, which it does until it is lost.

        ``fields`` are what JSON can say.  Of ``descriptors`` copies are sent: they may be closed at once.
        """
        if not self.is_open:
            return False
        framed = frame(kind, fields, blob, len(descriptors))
        if descriptors:
            self._lend(descriptors)
        self.transport.write(framed)
        return True

    def close(self) -> None:
        """Close when everything that was said is sent."""
        self.is_open = False
        self.transport.loseConnection()

    def abort(self) -> None:
        """Close at once; what the peer said and was not handed on yet is not handed on any more."""
        self.is_open = False
        self._is_cut = True
        self.transport.abortConnection()

    # descriptors

    def _lend(self, descriptors: Sequence[int]) -> None:
        copies = [os.dup(descriptor) for descriptor in descriptors]
        if not self._departing:
            # a pull producer is called when everything is sent: nothing else tells
            self.transport.registerProducer(self, False)
        self._departing += copies
        for copy in copies:
            self.transport.sendFileDescriptor(copy)

    def resumeProducing(self) -> None:
        """Everything is sent (or nothing is to be sent yet): the copies have done their work."""
        if self._departing:
            self.transport.unregisterProducer()
            _close_all(self._departing)

    def stopProducing(self) -> None:
        """The connection is closing; the copies are closed when it is closed."""

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keep a descriptor for its message, which is behind it."""
        os.set_inheritable(descriptor, False)
        self._arrived.append(descriptor)

    # the connection

    def resume(self, unread: bytes) -> None:
        """Go on with a channel that another program spoke over in this process: no hello is due."""
        self._is_greeted = True
        self._frames.unread += unread

    def keep(self, descriptor: int) -> None:
        """Own the socket besides the transport, which closes its own too early to read the rest."""
        os.set_inheritable(descriptor, False)
        self._spare = socket.socket(fileno=descriptor)

    def let_go(self) -> None:
        """Close the socket that ``keep`` was given."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()

    def connectionMade(self) -> None:
        """Say hello."""
        self.is_open = True
        if not self._is_greeted:
            self.send(HELLO, protocol=PROTOCOL, pid=os.getpid())

    def dataReceived(self, piece: bytes) -> None:
        """Hand on each message that is complete."""
        try:
            for kind, fields, blob, count in self._frames.feed(piece):
                self._hand_on(kind, fields, blob, count)
                if self._is_cut:
                    return
        except BadFrame as fault:
            _log.error("the channel is cut: {fault}", fault=fault)
            self.abort()

    def _hand_on(self, kind: str, fields: dict[str, Any], blob: bytes, count: int) -> None:
        self._check(kind, fields, count)
        descriptors = [self._arrived.popleft() for _ in range(count)]
        try:
            self._received(Message(kind, fields, blob, tuple(descriptors)))
        finally:
            _close_all(descriptors)

    def _check(self, kind: str, fields: dict[str, Any], count: int) -> None:
        if kind == HELLO and fields["protocol"] != PROTOCOL:
            raise BadFrame(f"the peer speaks protocol {fields['protocol']}, this side {PROTOCOL}")
        if kind != HELLO and not self._is_greeted:
            raise BadFrame(f"'{kind}' came before a hello")
        self._is_greeted = True
        if count > len(self._arrived):
            # the kernel drops what a process at its limit cannot take, and says nothing
            raise BadFrame(f"'{kind}' came with {len(self._arrived)} of its {count} descriptors")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Read what the peer said before it went, then tell."""
        self.is_open = False
        spare, self._spare = self._spare, None
        try:
            if spare is not None and not self._is_cut:
                self._read_rest(spare)
        finally:
            if spare is not None:
                spare.close()
            _close_all(self._departing)
            _close_all(self._arrived)
            self._lost()

    def _read_rest(self, spare: socket.socket) -> None:
        """A write that fails ends the connection before everything is read, if the peer died in between."""
        while True:
            try:
                piece, descriptors, *_ = socket.recv_fds(spare, _READ_SIZE, _MOST_DESCRIPTORS)
            except OSError:
                return
            for descriptor in descriptors:
                self.fileDescriptorReceived(descriptor)
            if not piece or self._is_cut:
                return
            self.dataReceived(piece)


def pair() -> tuple[int, int]:
    """Return the descriptors of both ends; they neither block nor survive an exec.

    The one that a child gets is given to ``spawnProcess`` by ``childFDs``, and closed here.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (ours, theirs):
        end.setblocking(False)
    return ours.detach(), theirs.detach()


def adopt(reactor: Any, descriptor: int, channel: Channel) -> None:
    """Let ``channel`` speak over a descriptor, which is its own from now on.

    Raises ``OSError`` where the reactor cannot have a copy; the descriptor is closed then.
    """
    os.set_blocking(descriptor, False)
    channel.keep(descriptor)
    try:
        reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, Factory.forProtocol(lambda: channel))
    except OSError:
        channel.let_go()
        raise


def adopt_again(reactor: Any, descriptor: int, channel: Channel, unread: bytes) -> None:
    """Go on with a channel that another program spoke over in this process, and read up to ``unread``."""
    channel.resume(unread)
    adopt(reactor, descriptor, channel)


def _close_all(descriptors: list[int] | deque[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
