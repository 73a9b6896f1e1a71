"""One connection to a target: one exchange at a time, its request out, its answer in.

Rules
- A request is one write where its body is here already.  The answer's head wakes the line; a body that came
  with it is given as ``bytes``, a longer one as a source with back-pressure.
- The connection is lent again only after an answer that was complete, kept alive, followed by nothing, and
  given to a request that was sent to its end (RFC 9112 sections 9.3 and 11.1); otherwise it is closed.
- What an upstream does wrong before its head is out is a failure of that reason; after it, the client's
  connection is cut by whoever takes the body.

Raw callbacks live here; what waits for them is in ``upstream``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from twistedgate.errors import BadMessage, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.message import Response
from twistedgate.net.speaking import NEVER
from twistedgate.net.tunnel import Tunnel
from twistedgate.upstream.asking import CLOSING_SECONDS, Asking
from twistedgate.upstream.complaints import Complaints
from twistedgate.upstream.lending import StaleConnection, has_written
from twistedgate.upstream.relay import IncomingAnswer
from twistedgate.wire.body import BodyReader, LengthReader, UntilCloseReader, make_reader
from twistedgate.wire.framing import ResponseFraming, check_upgrade
from twistedgate.wire.memory import KnownHead
from twistedgate.wire.serialise import NO_FRAMING

MAX_INTERIM = 16
"""Interim responses (1xx) in one exchange; more is a flood, not a hint."""

_complaints = Complaints()


class UpstreamConnection(Asking):
    """Speaks HTTP/1.1 to one target."""

    # what the reactor calls

    def dataReceived(self, piece: bytes) -> None:
        """Take bytes of an answer."""
        if self._reader is not None:
            self._receive_body(piece)
        elif self._signal is not None:
            self._receive_head(piece)
        elif self.tunnel is not None:
            self.tunnel.receive(self, piece, self._now())
        elif self._is_switching:
            self._held += piece
        else:
            # unsolicited: a target that takes its leave (408), or worse; it is nobody's answer
            self.abort()

    def outlet(self) -> tuple[Any, int] | None:
        """Return where the rest of a counted body goes if nobody has to see it, and how long it is."""
        reader, body = self._reader, self._body
        if not isinstance(reader, LengthReader) or body is None or self._is_paused:
            return None
        transport = body.outlet
        return None if transport is None else (transport, reader.remaining)

    def passed(self, size: int) -> None:
        """So much of a counted body was passed on unseen."""
        reader, body = self._reader, self._body
        assert isinstance(reader, LengthReader)
        assert body is not None
        if not self._is_paused:
            self.deadline = self._now() + self._terms.read_timeout
        body.passed(size)
        reader.skip(size)
        if reader.is_complete:
            self._end_body(reader)

    def readConnectionLost(self) -> None:
        """The target sent all it had to send."""
        if self.tunnel is not None:
            self.tunnel.half_closed(self)
        else:
            self._ended(is_clean=True)
            # at once: until the reactor tells that it is lost, it must not be lent
            self._cut()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.is_open = False
        if self.opened is not None:
            self.trouble = reason.getErrorMessage()
        self._lender.lost(self)
        if self.tunnel is not None:
            self.tunnel.close()
        else:
            # TLS tells its own end; a TCP connection that ends well has told so before
            self._ended(is_clean=not self._is_plain and reason.check(ConnectionDone) is not None)
        self._codec.close()

    # the answer

    def _receive_head(self, piece: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        whole = None if exchange.request.method == "HEAD" else self._codec.whole_answer(piece)
        if whole is not None:
            self._receive_whole(exchange, *whole)
            return
        try:
            framing = self._codec.receive(piece, exchange.request.method)
            while framing is not None and framing.response.status < 200 and framing.response.status != 101:
                self._receive_interim(exchange, framing)
                framing = self._codec.receive(self._codec.rest, exchange.request.method)
            if framing is not None:
                self._receive_final(exchange, framing)
        except BadMessage as error:
            self._fail_head(UpstreamFailure(502, "bad-response", error.detail, wrote=True))

    def _receive_whole(self, exchange: Exchange, known: KnownHead, body: bytes) -> None:
        """Take an answer whose head was seen before, and that is here to its end."""
        said = known.said
        exchange.first_byte = now = self._now()
        response = Response(known.status, None, body)
        response.phrase = known.phrase
        response.written = known.written
        self.keep_alive_timeout = said.keep_alive_timeout
        is_calm = self._outgoing is None and not self._is_clogged and not self._is_paused
        if is_calm and said.keep_alive and self.is_open:
            self._exchange = None
            self._lender.give_back(self, now)
        else:
            self._keep_alive = said.keep_alive
            self._finish_exchange(b"", now)
        signal, self._signal = self._signal, None
        if signal is not None:
            signal.set(response)

    def _receive_interim(self, exchange: Exchange, framing: ResponseFraming) -> None:
        self._interims += 1
        if self._interims > MAX_INTERIM:
            raise BadMessage(502, "bad-response", "too many interim responses")
        if exchange.interim is not None:
            exchange.interim(framing.response)

    def _receive_final(self, exchange: Exchange, framing: ResponseFraming) -> None:
        response = framing.response
        exchange.first_byte = now = self._now()
        rest = self._codec.rest
        self._codec.rest = b""  # an idle connection holds nothing
        if response.status == 101:
            check_upgrade(exchange.request, framing)
            self._wait_for_tunnel(response, rest)
            return
        self._keep_alive = framing.keep_alive
        self.keep_alive_timeout = framing.keep_alive_timeout
        if 0 < response.length <= len(rest):
            # all of the body came with its head
            response.body = rest[: response.length]
            rest = rest[response.length :]
        elif response.length:
            reader = make_reader(response.length, 502, self._terms.max_trailers)
            piece = reader.receive(rest) if rest else b""
            if not reader.is_complete or reader.trailers is not None:
                self._begin_body(response, reader, piece, now)
                return
            response.body = piece
            response.length = len(piece)
            rest = reader.rest
        elif exchange.request.method == "HEAD" or response.status == 304:
            response.length = NO_FRAMING
        self._finish_exchange(rest, now)
        self._give(response)

    def _begin_body(self, response: Response, reader: BodyReader, piece: bytes, now: float) -> None:
        self._reader = reader
        self._body = response.body = IncomingAnswer(self, piece)
        if self._is_plain and isinstance(reader, LengthReader):
            self.transport.passes_on = True
        self.deadline = now + self._terms.read_timeout
        self._give(response)

    def attached(self) -> None:
        """A sink takes the body: go on, or end it if nothing more comes."""
        reader, body = self._reader, self._body
        if reader is not None and not reader.is_complete:
            self.resume()
        elif reader is not None:
            self._end_body(reader)
        elif body is not None:
            self._body = None
            body.fail()

    def _receive_body(self, piece: bytes) -> None:
        reader, body = self._reader, self._body
        assert reader is not None
        assert body is not None
        if not self._is_paused:
            self.deadline = self._now() + self._terms.read_timeout
        try:
            data = reader.receive(piece)
        except BadMessage as error:
            self._complain(f"a body that is not valid ({error.detail})")
            self._fail_body()
            return
        if data:
            body.deliver(data)
        if reader.is_complete and body.is_attached and self._reader is reader:
            self._end_body(reader)

    def _end_body(self, reader: BodyReader) -> None:
        body, self._body = self._body, None
        self._reader = None
        if self._is_plain:
            self.transport.passes_on = False
        trailers = reader.trailers
        self._finish_exchange(reader.rest, self._now())
        if body is not None:
            body.finish(trailers)

    def _finish_exchange(self, rest: bytes, now: float) -> None:
        """The answer is complete: lend the connection again if nothing speaks against it."""
        self._exchange = None
        if self._is_paused:
            self.resume()
        self.deadline = NEVER
        if rest:
            self._complain("bytes after the end of an answer")
        is_sent = self._outgoing is None and not self._is_clogged
        if is_sent and self._keep_alive and not rest and self.is_open:
            self._lender.give_back(self, now)
        elif is_sent:
            self.close()
        else:
            # answered before the request was sent: the rest of it is not wanted (RFC 9112 section 9.3)
            self._leave_request()
            self._cut()

    def _complain(self, what: str) -> None:
        _complaints.tell(self.target.name, what, self._now())

    # how it ends

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        self.deadline = NEVER
        if self._signal is not None:
            self._fail_head(UpstreamFailure(504, "response-timeout", wrote=True))
        elif self._reader is not None:
            if self._exchange is not None:
                self._exchange.reason = "read-timeout"
            self._fail_body()
        elif self.tunnel is not None and self.tunnel.is_open:
            self.deadline = now + CLOSING_SECONDS
        elif self.tunnel is not None and self.is_open:
            # the tunnel is closing it; what is left to send has as long as that of any other
            self.is_open = False
            self.deadline = now + CLOSING_SECONDS
        elif self.is_open:
            self.close()
        else:
            self._cut()

    def _fail_head(self, failure: UpstreamFailure) -> None:
        signal, self._signal = self._signal, None
        self._exchange = None
        self._leave_request()
        self._cut()
        if signal is not None:
            signal.fail(failure)

    def _fail_body(self) -> None:
        body, self._body = self._body, None
        exchange, self._exchange = self._exchange, None
        self._reader = None
        if exchange is not None and not exchange.reason:
            exchange.reason = "truncated"
        self._leave_request()
        self._cut()
        if body is not None:
            if not body.is_attached:
                # whoever attaches later is told then
                self._body = body
            body.fail()

    def _ended(self, is_clean: bool) -> None:
        """The target will send no more."""
        if self._signal is not None:
            if self._codec.has_begun or self._interims:
                # something of an answer has been seen: not to be asked for again
                self._fail_head(UpstreamFailure(502, "bad-response", "it ends within its head", wrote=True))
                return
            kind = StaleConnection if self.uses > 1 else UpstreamFailure
            self._fail_head(kind(502, "reset", wrote=has_written(self.transport, self._handed)))
        elif isinstance(self._reader, UntilCloseReader) and is_clean:
            self._reader.is_complete = True
            self._keep_alive = False
            if self._body is not None and self._body.is_attached:
                self._end_body(self._reader)
        elif self._reader is not None and not self._reader.is_complete:
            self._fail_body()

    def _wait_for_tunnel(self, response: Response, rest: bytes) -> None:
        """Both sides agree to speak another protocol: what comes now is held until the tunnel stands."""
        response.tunnel = self
        response.body = rest
        response.length = NO_FRAMING
        self._exchange = None
        self._is_switching = True
        self.deadline = NEVER
        self.transport.pauseProducing()
        self._give(response)

    def _give(self, response: Response) -> None:
        """Wake the line with the head of the answer."""
        signal, self._signal = self._signal, None
        if signal is not None:
            signal.set(response)

    def join(self, tunnel: Tunnel) -> None:
        """Hand everything that comes from now on to ``tunnel``."""
        self.tunnel = tunnel
        self._is_switching = False
        held, self._held = self._held, b""
        if held:
            tunnel.receive(self, held, self._now())
        if self.is_open:
            self.deadline = self._now() + CLOSING_SECONDS
            self.transport.resumeProducing()
        else:
            tunnel.close()
