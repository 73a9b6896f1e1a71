"""What both sides' connections have in common."""

from __future__ import annotations

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from twistedgate.net.speaking import NEVER, Speaking


class Spoken(Speaking):
    """Says what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def readConnectionLost(self) -> None:
        self.told.append("peer is done")

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")


def connected() -> tuple[Spoken, StringTransport]:
    speaking, transport = Spoken(), StringTransport()
    speaking.makeConnection(transport)
    return speaking, transport


def test_is_what_twisted_asks_for() -> None:
    speaking, _ = connected()
    assert verifyObject(IHalfCloseableProtocol, speaking)
    assert verifyObject(IPushProducer, speaking)


def test_is_told_when_its_peer_takes_no_more() -> None:
    speaking, transport = connected()
    assert (transport.producer, transport.streaming) == (speaking, True)
    speaking.stopProducing()
    speaking.writeConnectionLost()
    assert speaking.told == []


def test_nothing_is_due_until_somebody_says_so() -> None:
    assert connected()[0].deadline == NEVER > 1e300


def test_closes_without_a_producer_that_would_keep_it_open() -> None:
    speaking, transport = connected()
    speaking.close_after_writing()
    assert transport.producer is None
    assert transport.disconnecting


@pytest.mark.parametrize(
    "call", [Speaking.readConnectionLost, Speaking.pauseProducing, Speaking.resumeProducing]
)
def test_says_nothing_of_its_own(call: object) -> None:
    assert callable(call)
    with pytest.raises(NotImplementedError):
        call(Speaking())
