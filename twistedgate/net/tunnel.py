"""Bytes both ways after an upgrade (RFC 9110 section 7.8), until both sides have said all they had to say.

Each side's back-pressure pauses the other.  A half-close is passed on; a connection that is lost takes the other
one with it once what was written has been sent.
"""

from __future__ import annotations

from typing import Any, Protocol


class TunnelEnd(Protocol):
    """One of the two connections: a Twisted protocol that hands its events to the tunnel."""

    transport: Any


class Tunnel:
    """Joins a downstream and an upstream connection."""

    __slots__ = ("_ended", "_ends", "_finished", "bytes_from", "last_byte")

    def __init__(self, client: TunnelEnd, upstream: TunnelEnd, now: float) -> None:
        self._ends: tuple[TunnelEnd, TunnelEnd] | None = (client, upstream)
        self._finished: list[TunnelEnd] = []
        self._ended: Any = None
        self.last_byte = now
        self.bytes_from: dict[TunnelEnd, int] = {client: 0, upstream: 0}

    def when_ended(self, call: Any) -> None:
        """Call ``call`` once, when the tunnel is over."""
        if self._ends is None:
            call()
        else:
            self._ended = call

    def _other(self, end: TunnelEnd) -> TunnelEnd | None:
        if self._ends is None:
            return None
        return self._ends[1] if end is self._ends[0] else self._ends[0]

    def receive(self, end: TunnelEnd, piece: bytes, now: float) -> None:
        """Pass on what came from ``end``."""
        other = self._other(end)
        if other is not None:
            self.last_byte = now
            self.bytes_from[end] += len(piece)
            other.transport.write(piece)

    def pause(self, end: TunnelEnd) -> None:
        """``end`` takes no more for now: the other side is not read."""
        other = self._other(end)
        if other is not None and other not in self._finished:
            other.transport.pauseProducing()

    def resume(self, end: TunnelEnd) -> None:
        """``end`` takes more again."""
        other = self._other(end)
        if other is not None and other not in self._finished:
            other.transport.resumeProducing()

    def half_closed(self, end: TunnelEnd) -> None:
        """``end`` will say no more, but still listens."""
        other = self._other(end)
        if other is None or end in self._finished:
            return
        self._finished.append(end)
        if len(self._finished) == 2:
            self.close()
        elif hasattr(other.transport, "loseWriteConnection"):
            other.transport.loseWriteConnection()
        else:
            # TLS has no half-close: the end of one side is the end of both
            self.close()

    def lost(self, end: TunnelEnd) -> None:
        """The connection of ``end`` is gone."""
        self.close()

    def close(self) -> None:
        """End both connections after what was written."""
        ends, self._ends = self._ends, None
        if ends is None:
            return
        for end in ends:
            transport = end.transport
            if transport is not None:
                transport.unregisterProducer()
                transport.loseConnection()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()
