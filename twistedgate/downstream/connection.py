"""One connection of a client: requests in, one exchange at a time, answers out in order.

Rules
- One exchange is under way; what the same read held behind it waits, bounded by that read, while reading
  pauses.
- After a refusal for form nothing more is read as HTTP: the answer, ``Connection: close``, a bounded drain,
  the end (RFC 9112 sections 9.6 and 11.2).
- A client that closes its side while an exchange is under way is gone, and the exchange is cut; in a tunnel
  a half-close is a half-close.
- Where half an answer is out and the rest will not come, the connection is aborted, so that nobody takes
  half for whole.

Raw callbacks live here; everything that waits above them is the line's ``async def``.
"""

from __future__ import annotations

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from twistedgate.downstream.answering import Answering
from twistedgate.downstream.hosting import Host
from twistedgate.downstream.pace import Pace
from twistedgate.downstream.relay import IncomingBody
from twistedgate.errors import BadMessage, Refusal
from twistedgate.exchange import Exchange, RefusedExchange
from twistedgate.http.hops import Introduction, Peer
from twistedgate.http.message import Request
from twistedgate.net.speaking import NEVER
from twistedgate.net.task import Task
from twistedgate.net.transport import queued, written
from twistedgate.wire.body import make_reader
from twistedgate.wire.codec import RequestCodec


class Connection(Answering):
    """Speaks HTTP/1.1 to one client."""

    def __init__(self, host: Host, peer: Peer) -> None:
        super().__init__(host, peer)
        self.deadline = host.now() + host.config.header_timeout
        self._codec = RequestCodec(host.limits)
        self._introduction = Introduction(peer)
        self._pace = Pace()
        self._is_looping = False
        self._is_paused = False
        self._renewed: Task | None = None
        """What serves one exchange after another."""
        self._is_fresh = True
        """Whether the deadline is that of a head."""
        self._finished = host.now()
        """When the last exchange was over, or there was to be a first one."""

    def __repr__(self) -> str:
        state = "idle" if self._exchange is None else f"serving {self._exchange.request_id}"
        return f"<Connection {self.peer.address} {'lost' if self._is_lost else state}>"

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self._exchange is None and not self._codec.has_begun and not self._waiting

    # what the reactor calls

    def dataReceived(self, piece: bytes) -> None:
        """Take bytes from the client."""
        if self._discarded is not None:
            self._discard(piece)
        elif self._exchange is None and not self._is_clogged:
            self._receive_heads(piece)
        elif self._body is not None:
            self._receive_body(self._body, piece)
        elif self._tunnel is not None:
            self._tunnel.receive(self, piece, self._host.now())
        else:
            self._waiting += piece
            self.pause_reading()

    def readConnectionLost(self) -> None:
        """The client closed its side."""
        if self._tunnel is not None:
            self._tunnel.half_closed(self)
        elif self._exchange is not None:
            self.abort()
        else:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._is_lost = True
        self.deadline = NEVER
        self._codec.close()
        if self._tunnel is not None:
            self._tunnel.close()
        self._leave()
        self._host.closed(self)

    def pauseProducing(self) -> None:
        """The client takes no more for now."""
        self._is_clogged = True
        if self._tunnel is not None:
            self._tunnel.pause(self)
        elif self._outgoing is not None:
            self._outgoing.pause()

    def resumeProducing(self) -> None:
        """The client takes more."""
        self._is_clogged = False
        if self._tunnel is not None:
            self._tunnel.resume(self)
        elif self._outgoing is not None:
            self._outgoing.resume()
        elif self._exchange is None and self._discarded is None:
            # it is idle only since it has its answer
            self._finished = self._host.now()
            self._go_on()

    # requests

    def _receive_heads(self, piece: bytes) -> None:
        """Begin the exchanges in ``piece``, as long as each ends before the next is looked at."""
        self._is_looping = True
        while True:
            try:
                request = self._codec.receive(piece)
            except BadMessage as refusal:
                self._refuse(None, refusal, piece)
                break
            if request is None:
                self._wait_for_head()
                break
            self._begin(request)
            if self._exchange is not None or self._discarded is not None or self._is_lost or self._is_clogged:
                break
            piece, self._waiting = self._waiting, b""
            if not piece:
                self._wait_for_request()
                break
        self._is_looping = False

    def _wait_for_head(self) -> None:
        """Part of a head is here: the rest has until the header timeout."""
        if not self._is_fresh:
            self._is_fresh = True
            self.deadline = self._host.now() + self._host.config.header_timeout
        if self._is_paused:
            self.resume_reading()

    def _wait_for_request(self) -> None:
        self._is_fresh = False
        self.deadline = self._finished + self._host.config.idle_timeout
        if self._is_paused:
            self.resume_reading()

    def _begin(self, request: Request) -> None:
        host = self._host
        serving = host.serving
        now = host.now()
        exchange = Exchange(request, self.peer, host.make_request_id(), now, now + serving.wall_offset)
        self._exchange = exchange
        self._is_fresh = False
        self.deadline = NEVER
        try:
            caller = serving.forwarder.dress(
                request, self._codec.claims, self._introduction, exchange.request_id
            )
            if caller is not None:
                exchange.client = caller.client
                exchange.scheme = caller.scheme
                exchange.request_id = caller.request_id
            if not request.is_http10:
                exchange.interim = self._send_interim
            if request.upgrade is not None and host.is_draining:
                raise Refusal(503, "draining")
            if request.length:
                self._begin_body(exchange, now)
            elif self._codec.rest:
                self._wait_with(self._codec.take_rest())
        except Refusal as refusal:
            self._refuse(exchange, refusal)
            return
        coroutine = serving.gateway.serve(exchange, self)
        task = self._task = self._renewed
        if task is None:
            task = self._task = self._renewed = Task(coroutine, self._ended)
        else:
            task.renew(coroutine, self._ended)
        task.step()

    def _begin_body(self, exchange: Exchange, now: float) -> None:
        """Make the body of the request, and give it what is here."""
        limits = self._host.limits
        reader = make_reader(exchange.request.length, 400, (limits.max_head, limits.max_headers))
        body = self._body = exchange.request.body = IncomingBody(self, exchange, reader)
        self._pace.begin(now)
        self.deadline = now + self._host.config.body_timeout
        if self._is_paused:
            # it came behind another request
            self.resume_reading()
        if self._codec.rest:
            body.receive(self._codec.take_rest())

    def _receive_body(self, body: IncomingBody, piece: bytes) -> None:
        self.deadline = self._host.now() + self._host.config.body_timeout
        try:
            body.receive(piece)
        except Refusal as refusal:
            self._give_up_body(refusal)

    def body_ended(self, rest: bytes) -> None:
        """The body of the request is here; ``rest`` came behind it."""
        self._body = None
        self.deadline = NEVER
        if rest:
            self._wait_with(rest)

    def _wait_with(self, rest: bytes) -> None:
        """Keep what came behind a request until that is answered."""
        self._waiting = rest
        self.pause_reading()

    def pause_reading(self) -> None:
        """Read no more from the client for now."""
        if not self._is_paused and not self._is_lost:
            self._is_paused = True
            self._pace.pause(self._host.now())
            if self._body is not None:
                self.deadline = NEVER
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_paused and not self._is_lost:
            self._is_paused = False
            now = self._host.now()
            self._pace.resume(now)
            if self._body is not None:
                self.deadline = now + self._host.config.body_timeout
            self.transport.resumeProducing()

    def _refuse(self, exchange: Exchange | None, refusal: Refusal, piece: bytes = b"") -> None:
        """Refuse what never came as far as the line, and read nothing more; ``piece`` came last."""
        host = self._host
        if exchange is None:
            now = host.now()
            understood, opened = self._codec.glean(piece), now + host.serving.wall_offset
            exchange = RefusedExchange(understood, self.peer, host.make_request_id(), now, opened)
        self._exchange = exchange
        refusal.closes = True
        host.serving.gateway.refuse(exchange, refusal, self)
        self._discarded = 0
        self._ended()

    # what comes after an exchange

    def _ended(self) -> None:
        """The exchange is over: go on with the next request, or end the connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._finished = exchange.finished
            if exchange.request is not None and exchange.request.length:
                # the body knows its exchange: a cycle that nobody needs any more
                exchange.request.body = b""
        self._task = None
        self._outgoing = None
        if self._is_lost:
            return
        if not self._keeps_alive:
            self._end()
        elif not self._is_looping and not self._is_clogged:
            if self._waiting:
                self._go_on()
            else:
                self._wait_for_request()

    def _go_on(self) -> None:
        """Take up what waited, or wait for the next request."""
        waiting, self._waiting = self._waiting, b""
        if waiting:
            self._receive_heads(waiting)
        else:
            self._wait_for_request()

    def _interrupt(self, refusal: Refusal) -> None:
        """Refuse the exchange that is under way."""
        if self._task is not None:
            self._task.throw(refusal)

    # time

    def sweep(self, now: float) -> None:
        """End what has taken too long."""
        exchange = self._exchange
        if self.deadline <= now:
            self._expire(now)
        elif exchange is not None and self._tunnel is None:
            timeout = None if exchange.pipeline is None else exchange.pipeline.timeout
            if timeout is not None and now - exchange.started >= timeout:
                self._interrupt(Refusal(504, "timeout"))
            elif (
                self._body is not None
                and self._discarded is None
                and self._pace.is_slow(exchange.bytes_in, now, self._host.config)
            ):
                self._give_up_body(_too_slow())
        size = queued(self.transport)
        if size and self._pace.is_stalled(written(self.transport), now, self._host.config.send_timeout):
            self.abort()
        elif not size:
            self._pace.is_flowing()

    def _expire(self, now: float) -> None:
        self.deadline = NEVER
        if self._discarded is not None:
            self._let_go(now)
        elif self._tunnel is not None:
            quiet_until = self._tunnel.last_byte + self._host.config.idle_timeout
            if quiet_until <= now:
                self._tunnel.close()
            else:
                self.deadline = quiet_until
        elif self._body is not None:
            self._give_up_body(_too_slow())
        elif self._exchange is None and self._is_fresh:
            self._refuse(None, Refusal(408, "request-timeout"))
        elif self._exchange is None:
            self._close()

    def _give_up_body(self, refusal: Refusal) -> None:
        """Refuse the exchange that is under way; the rest of its body is thrown away."""
        self._discarded = 0
        self.deadline = NEVER
        self._interrupt(refusal)

    def drain(self) -> None:
        """Close if nothing is under way; otherwise the answer under way will be the last."""
        if self.is_idle and self._discarded is None and self._tunnel is None:
            self._close()
        # one whose head is out already promised more
        self._keeps_alive = False

    def drain_gently(self, quiet_since: float) -> None:
        """Close if nothing was under way since then; otherwise the next answer will be the last.

        A client that was promised more may be sending just now, and must not meet a closed connection.
        """
        is_quiet = self.is_idle and self._discarded is None and self._tunnel is None
        if is_quiet and self._finished <= quiet_since:
            self._close()


def _too_slow() -> Refusal:
    return Refusal(408, "request-timeout", closes=True)
