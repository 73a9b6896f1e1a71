"""Bytes both ways after an upgrade (RFC 9110 section 7.8), until both sides have said all they had to say.

Each side's back-pressure pauses the other.  A half-close is passed on, and is no leaving; a connection that
is lost takes the other one with it once what was written has been sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twistedgate.net.transport import can_half_close, lowest


class TunnelEnd(Protocol):
    """One of the two connections: a Twisted protocol that hands its events to the tunnel."""

    transport: Any


class UpstreamEnd(TunnelEnd, Protocol):
    """The one to the target."""

    def join(self, tunnel: Tunnel) -> None:
        """Hand everything that comes from now on to ``tunnel``."""


class Tunnel:
    """Joins a downstream and an upstream connection."""

    __slots__ = (
        "_client",
        "_ended",
        "_finished",
        "_is_open",
        "_upstream",
        "bytes_down",
        "bytes_up",
        "last_byte",
    )

    def __init__(self, client: TunnelEnd, upstream: UpstreamEnd, now: float) -> None:
        self._client = client
        self._upstream = upstream
        self._finished: list[TunnelEnd] = []
        self._is_open = True
        self._ended: Callable[[], None] | None = None
        self.last_byte = now
        """When a byte passed last, in monotonic seconds."""
        self.bytes_up = 0
        self.bytes_down = 0

    def open(self, head: bytes, early: bytes, waiting: bytes, ended: Callable[[], None]) -> None:
        """Begin: the head of the 101 and what the target said behind it, then what the client said already.

        ``ended`` is called once, when the tunnel is over.
        """
        self._ended = ended
        self.bytes_down += len(early)
        for end in (self._client, self._upstream):
            lowest(end.transport).watches_leaving = False
        self._client.transport.write(head + early)
        self._upstream.join(self)
        if waiting:
            self.receive(self._client, waiting, self.last_byte)

    @property
    def is_open(self) -> bool:
        """Whether bytes still pass."""
        return self._is_open

    def _other(self, end: TunnelEnd) -> TunnelEnd:
        return self._upstream if end is self._client else self._client

    def receive(self, end: TunnelEnd, piece: bytes, now: float) -> None:
        """Pass on what came from ``end``."""
        if not self._is_open:
            return
        self.last_byte = now
        if end is self._client:
            self.bytes_up += len(piece)
        else:
            self.bytes_down += len(piece)
        self._other(end).transport.write(piece)

    def pause(self, end: TunnelEnd) -> None:
        """``end`` takes no more for now: the other side is not read."""
        other = self._other(end)
        if self._is_open and other not in self._finished:
            other.transport.pauseProducing()

    def resume(self, end: TunnelEnd) -> None:
        """``end`` takes more again."""
        other = self._other(end)
        if self._is_open and other not in self._finished:
            other.transport.resumeProducing()

    def half_closed(self, end: TunnelEnd) -> None:
        """``end`` will say no more, but still listens."""
        if not self._is_open or end in self._finished:
            return
        self._finished.append(end)
        other = self._other(end).transport
        if len(self._finished) == 2 or not can_half_close(other):
            self.close()
        else:
            # a transport that has a paused producer asks it for more when all is sent, and ends nothing
            other.unregisterProducer()
            other.loseWriteConnection()

    def close(self) -> None:
        """End both connections after what was written."""
        if not self._is_open:
            return
        self._is_open = False
        for end in (self._client, self._upstream):
            transport = end.transport
            if transport is not None:
                transport.unregisterProducer()
                transport.loseConnection()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()
