"""What both sides' connections have in common: a transport, a deadline, and reading that pauses."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

NEVER = float("inf")
"""A deadline that does not come."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Speaking(Protocol):
    """A connection that minds half-closes, and that its transport pauses when too much is queued."""

    transport: Any
    deadline: float = NEVER
    """When to look after the connection, in monotonic seconds."""

    def connectionMade(self) -> None:
        """Be told when the peer takes no more."""
        self.transport.registerProducer(self, True)

    def readConnectionLost(self) -> None:
        """The peer will send no more."""
        raise NotImplementedError

    def writeConnectionLost(self) -> None:
        """Our own half-close went out."""

    def pauseProducing(self) -> None:
        """The peer takes no more for now."""
        raise NotImplementedError

    def resumeProducing(self) -> None:
        """The peer takes more."""
        raise NotImplementedError

    def stopProducing(self) -> None:
        """The transport is closing."""

    def close_after_writing(self) -> None:
        """Close when everything that was written is sent."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()
