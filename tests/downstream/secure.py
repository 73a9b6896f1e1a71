"""A client with TLS, without a socket: OpenSSL on both sides, and a line in between."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.certificates import Pair
from tests.downstream.conversation import PEER, House, Line
from twistedgate.downstream.connection import Connection
from twistedgate.net.tls import ServerTLS


class _One(Factory):
    """Accepts one connection."""

    noisy = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: object) -> Connection:
        """Accept it."""
        return self._connection


class SecureConversation:
    """One client of a house; it checks no certificate."""

    def __init__(self, house: House, pair: Pair, *, shakes_hands: bool = True) -> None:
        self.house = house
        self.line = Line()
        self.received = b""
        self.has_said_farewell = False
        """Whether the gateway did."""
        self._turns = Clock()
        self.connection = Connection(house, PEER)
        tls = ServerTLS(pair.certificate, pair.key)
        factory = TLSMemoryBIOFactory(tls, False, _One(self.connection), self._turns)
        self._server = factory.buildProtocol(None)
        self._server.makeConnection(self.line)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._client = context.wrap_bio(self._incoming, self._outgoing)
        self._taken = 0
        if shakes_hands:
            self._shake()

    def _shake(self) -> None:
        for _ in range(5):
            try:
                self._client.do_handshake()
            except ssl.SSLWantReadError:
                self._pass()
            else:
                self._pass()
                return
        raise AssertionError("the handshake does not end")

    def _pass(self) -> None:
        """Let what either side wrote reach the other."""
        self._turns.advance(0)
        if self._outgoing.pending and not self.line.is_over:
            self._server.dataReceived(self._outgoing.read())
        self._turns.advance(0)
        self._incoming.write(self.line.received[self._taken :])
        self._taken = len(self.line.received)

    @property
    def statuses(self) -> list[int]:
        """The statuses of all answers."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ", self.received)]

    def _read(self) -> None:
        try:
            while piece := self._client.read(1 << 16):
                self.received += piece
            self.has_said_farewell = True
        except ssl.SSLWantReadError:
            return

    def send(self, *pieces: bytes) -> None:
        """Send, and take what comes."""
        for piece in pieces:
            self._client.write(piece)
            self._pass()
            self._read()

    def take_leave(self) -> None:
        """Say farewell."""
        with suppress(ssl.SSLWantReadError):
            self._client.unwrap()
        self._pass()

    def wait(self, seconds: float) -> None:
        """Let time pass, and the sweep look."""
        self.house.clock.advance(seconds)
        self.connection.sweep(self.house.now())
        self._pass()
        self._read()
