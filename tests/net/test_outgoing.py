from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from twistedgate.net.outgoing import CLOSING_SECONDS, Discarded, Place, agent_to

HERE = Place("192.0.2.1", 8080, 3.0, 100)


class Wire(StringTransport):
    """A connection that notes how it was left."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False
        self.is_cut = False

    def loseConnection(self) -> None:
        self.is_closed = True

    def abortConnection(self) -> None:
        self.is_cut = True


class Asked:
    """A question that was asked, and what became of it."""

    def __init__(self, place: Place = HERE, uri: bytes = b"http://elsewhere.example:1/path") -> None:
        self.reactor = MemoryReactorClock()
        self.wire: Any = Wire()
        self.outcome: Any = None
        asking = agent_to(self.reactor, place).request(b"GET", uri)
        asking.addBoth(self._ended)

    def _ended(self, outcome: Any) -> None:
        self.outcome = outcome

    def connect(self) -> Any:
        factory: Any = self.reactor.tcpClients[0][2]
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(self.wire)
        return protocol


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_connects_to_the_place_whatever_the_uri_says(address: str) -> None:
    asked = Asked(Place(address, 8080, 3.0, 100))
    host, port, _, timeout, _ = asked.reactor.tcpClients[0]
    assert (host, port, timeout) == (address, 8080, 3.0)
    asked.connect()
    sent = asked.wire.value()
    assert sent.startswith(b"GET /path HTTP/1.1\r\n")
    assert b"Host: elsewhere.example:1\r\n" in sent
    assert b"Connection: close\r\n" in sent


def test_an_answer_within_the_bound_is_taken() -> None:
    asked = Asked()
    asked.connect().dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert IResponse.providedBy(asked.outcome)
    assert asked.outcome.code == 200
    assert not asked.wire.is_cut


def test_an_answer_past_the_bound_cuts_the_connection() -> None:
    asked = Asked()
    protocol = asked.connect()
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 79)
    assert not asked.wire.is_cut
    protocol.dataReceived(b"x")
    assert not asked.wire.is_cut
    protocol.dataReceived(b"x")
    assert asked.wire.is_cut
    protocol.connectionLost(Failure(ConnectionAbortedError()))
    assert asked.outcome.check(ResponseFailed)


def test_a_connection_that_was_closed_and_does_not_end_is_cut() -> None:
    asked = Asked()
    protocol = asked.connect()
    protocol._wrappedProtocol.loseConnection()
    assert asked.wire.is_closed
    asked.reactor.advance(CLOSING_SECONDS - 0.1)
    assert not asked.wire.is_cut
    asked.reactor.advance(0.1)
    assert asked.wire.is_cut


def test_a_connection_that_ended_is_not_cut() -> None:
    asked = Asked()
    protocol = asked.connect()
    protocol._wrappedProtocol.loseConnection()
    protocol.connectionLost(Failure(ResponseDone()))
    asked.reactor.advance(CLOSING_SECONDS)
    assert not asked.wire.is_cut
    assert asked.outcome.check(ResponseNeverReceived)


@pytest.mark.parametrize("end", [ResponseDone(), PotentialDataLoss()])
def test_a_body_is_read_to_its_end(end: Exception) -> None:
    body = Discarded(10)
    body.makeConnection(Wire())
    body.dataReceived(b"x" * 10)
    assert not body.ended.called
    body.connectionLost(Failure(end))
    assert body.ended.called


def test_enough_of_a_body_is_as_good_as_its_end() -> None:
    wire = Wire()
    body = Discarded(10)
    body.makeConnection(wire)
    body.dataReceived(b"x" * 11)
    body.dataReceived(b"x")
    assert body.ended.called
    assert wire.is_closed
    body.connectionLost(Failure(ConnectionResetError()))


def test_a_body_that_breaks_off_has_failed() -> None:
    body = Discarded(10)
    body.makeConnection(Wire())
    body.connectionLost(Failure(ConnectionResetError()))
    assert _failure(body.ended).check(ConnectionResetError)


def test_a_body_may_be_given_up() -> None:
    wire = Wire()
    body = Discarded(10)
    body.makeConnection(wire)
    body.ended.cancel()
    assert wire.is_closed
    assert _failure(body.ended).check(CancelledError)


def _failure(ended: Deferred[None]) -> Failure:
    found: list[Failure] = []
    ended.addErrback(found.append)
    return found[0]
