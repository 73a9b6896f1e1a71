"""The asking half of a target's connection: how it is made, requests out, and how it all ends.

``connection`` adds the half that listens.  What either half knows of the other is declared in ``Asking``.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IHandshakeListener
from zope.interface import implementer

from twistedgate.exchange import Exchange
from twistedgate.http.message import CHUNKED, Response
from twistedgate.net.speaking import NEVER, Speaking
from twistedgate.net.task import Signal
from twistedgate.net.tunnel import Tunnel
from twistedgate.upstream.lending import Lender, Terms
from twistedgate.upstream.relay import IncomingAnswer, OutgoingRequest
from twistedgate.upstream.target import Target
from twistedgate.wire.body import BodyReader
from twistedgate.wire.codec import ResponseCodec

CLOSING_SECONDS = 10.0
"""How long a closing connection may take to send what is left, and a target with TLS to take its leave."""


@implementer(IHandshakeListener)
class Asking(Speaking):
    """Sends requests to one target."""

    def __init__(self, target: Target, lender: Lender, terms: Terms) -> None:
        self.target = target
        self.deadline = NEVER
        self.idle_since = 0.0
        self.uses = 0
        self.is_open = False
        self.keep_alive_timeout: float | None = None
        self.tunnel: Tunnel | None = None
        self.opened: Callable[[], None] | None = None
        """Called once the connection, TLS included, is made."""
        self.trouble = ""
        """Why it never was."""
        self._lender = lender
        self._terms = terms
        self._now = terms.now
        self._codec = ResponseCodec(terms.limits)
        self._exchange: Exchange | None = None
        self._head: Signal[Response] = Signal()
        self._signal: Signal[Response] | None = None
        """The same while the head of an answer is waited for."""
        self._outgoing: OutgoingRequest | None = None
        self._is_plain = target.config.scheme == "http"
        self._is_clogged = False
        """Whether the target takes no more for now."""
        self._keep_alive = False
        self._handed = 0
        self._interims = 0
        self._reader: BodyReader | None = None
        self._body: IncomingAnswer | None = None
        self._is_paused = False
        self._is_switching = False
        """Whether a 101 came, and no tunnel stands yet."""
        self._held = b""
        """What came meanwhile: TLS may have more to give when reading has paused."""

    def __repr__(self) -> str:
        state = "idle" if self._exchange is None else f"serving {self._exchange.request_id}"
        return f"<UpstreamConnection {self.target.name} {state if self.is_open else 'closed'}>"

    def connectionMade(self) -> None:
        """The socket is connected."""
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        super().connectionMade()
        if self._is_plain:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """The connection can be used."""
        self.is_open = True
        opened, self.opened = self.opened, None
        if opened is not None:
            opened()

    def pauseProducing(self) -> None:
        """The target takes no more of a request for now."""
        self._is_clogged = True
        if self.tunnel is not None:
            self.tunnel.pause(self)
        elif self._outgoing is not None:
            self._outgoing.pause()
        else:
            self._wait_for_answer()

    def resumeProducing(self) -> None:
        """The target takes more."""
        self._is_clogged = False
        if self.tunnel is not None:
            self.tunnel.resume(self)
        elif self._outgoing is not None:
            self.request_progressed()
            self._outgoing.resume()
        else:
            self._wait_for_answer()

    # the request

    def begin(self, exchange: Exchange, head: bytes, now: float) -> Signal[Response]:
        """Send a request; the signal gives the head of the answer, or an ``UpstreamFailure``."""
        self.uses += 1
        self._exchange = exchange
        self._interims = 0
        signal = self._signal = self._head
        signal.renew()
        body = exchange.request.body
        if isinstance(body, bytes):
            self.deadline = now + (exchange.response_timeout or self._terms.response_timeout)
            message = head + body if body else head
            self._handed = len(message) if self._is_plain else 0
            self.transport.write(message)
            return signal
        self.deadline = now + self._terms.read_timeout
        self._handed = 0
        outgoing = self._outgoing = OutgoingRequest(
            self, head, body, chunks=exchange.request.length == CHUNKED
        )
        outgoing.start()
        return signal

    def request_progressed(self) -> None:
        """The target took a piece of the request's body, or may take one now."""
        if not self._is_paused:
            self.deadline = self._now() + self._terms.read_timeout

    def request_finished(self, is_whole: bool) -> None:
        """The request's body has ended: the target's time begins, or there is nobody to answer."""
        if not is_whole:
            self.abort()
            return
        self._outgoing = None
        self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        """All of the request was written: the answer is due once no more than a little of it is queued."""
        if self._signal is not None:
            terms, exchange = self._terms, self._exchange
            patience = terms.read_timeout if self._is_clogged else terms.response_timeout
            if exchange is not None and not self._is_clogged:
                patience = exchange.response_timeout or patience
            self.deadline = self._now() + patience

    def _leave_request(self) -> None:
        """Take no more of a request that is not to be sent to its end."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            outgoing.leave()

    # how it ends

    def pause(self) -> None:
        """Read no more for now; the time between two pieces does not run."""
        if self.is_open and not self._is_paused:
            self._is_paused = True
            self.deadline = NEVER
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        if self._is_paused:
            self._is_paused = False
            self.deadline = self._now() + self._terms.read_timeout
            if self.is_open:
                self.transport.resumeProducing()

    def close(self) -> None:
        """Close after what was written; an idle connection, or one that may not be lent again."""
        if self.is_open:
            self.is_open = False
            self.deadline = self._now() + CLOSING_SECONDS
            self._lender.forget(self)
            self.close_after_writing()

    def abort(self) -> None:
        """Close at once; what was under way is nobody's any more."""
        self._signal = None
        self._reader = None
        self._body = None
        self._exchange = None
        self._is_switching = False
        self._leave_request()
        self._cut()

    def _cut(self) -> None:
        self.is_open = False
        self.deadline = NEVER
        self._lender.forget(self)
        if self.transport is not None:
            self.transport.abortConnection()
