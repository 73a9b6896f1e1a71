"""One connection of a client: requests in, one exchange at a time, answers out in order.

Rules
- One exchange is under way; what the same read held behind it waits, bounded by that read, while reading pauses.
- After a refusal for form nothing more is read as HTTP: the answer, ``Connection: close``, a bounded drain, the end
  (RFC 9112 sections 9.6 and 11.2).
- A client that closes its side while an exchange is under way is gone, and the exchange is cut; in a tunnel a
  half-close is a half-close.
- Where half an answer is out and the rest will not come, the connection is aborted, so that nobody takes half for
  whole.

Raw callbacks live here; everything that waits above them is the line's ``async def``.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Port

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedgate.config.model import ListenerConfig
from twistedgate.downstream.pace import Pace
from twistedgate.downstream.relay import IncomingBody, OutgoingBody
from twistedgate.errors import BadMessage, ClientGone, Refusal
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.http.hops import Forwarder, Introduction, Peer
from twistedgate.http.message import CHUNKED, UNTIL_CLOSE, Request, Response
from twistedgate.http.status import status_line
from twistedgate.net.task import Signal, Task
from twistedgate.net.transport import queued, written
from twistedgate.net.tunnel import Tunnel
from twistedgate.wire import serialise
from twistedgate.wire.body import make_reader
from twistedgate.wire.codec import HeadLimits, RequestCodec

NEVER = float("inf")

LINGER_BYTES = 64 * 1024
"""What is read and thrown away after the last answer of a connection, so that a reset does not destroy it."""
LINGER_SECONDS = 2.0

_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Serving(Port):
    """What a reload swaps."""

    gateway: Gateway
    forwarder: Forwarder
    wall_offset: float


class Host(Port):
    """What a connection needs of the listener that accepted it."""

    config: ListenerConfig
    limits: HeadLimits
    serving: Serving
    is_draining: bool

    def now(self) -> float:
        """Monotonic seconds."""

    def make_request_id(self) -> str:
        """A new id."""

    def date(self) -> bytes:
        """The value of a Date header."""

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Connection(Protocol):
    """Speaks HTTP/1.1 to one client."""

    transport: Any

    def __init__(self, host: Host, peer: Peer) -> None:
        self.peer = peer
        self.deadline = host.now() + host.config.header_timeout
        self._host = host
        self._codec = RequestCodec(host.limits)
        self._exchange: Exchange | None = None
        self._task: Task | None = None
        self._body: IncomingBody | None = None
        self._outgoing: OutgoingBody | None = None
        self._tunnel: Tunnel | None = None
        self._waiting = b""
        self._keeps_alive = True
        self._is_looping = False
        self._is_paused = False
        self._is_clogged = False
        self._is_lost = False
        self._is_fresh = True
        self._last = 0.0
        self._discards: int | None = None
        self._pace = Pace()
        self._introduction = Introduction(peer)

    def __repr__(self) -> str:
        state = "idle" if self._exchange is None else f"serving {self._exchange.request_id}"
        return f"<Connection {self.peer.address} {'lost' if self._is_lost else state}>"

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self._exchange is None and not self._codec.has_begun and not self._waiting

    # what the reactor calls

    def connectionMade(self) -> None:
        """The client is connected."""
        self.transport.registerProducer(self, True)

    def dataReceived(self, piece: bytes) -> None:
        """Take bytes from the client."""
        if self._discards is not None:
            self._discard(piece)
        elif self._exchange is None:
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

    def writeConnectionLost(self) -> None:
        """Our own half-close went out."""

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:
        """The client is gone."""
        self._is_lost = True
        self.deadline = NEVER
        if self._tunnel is not None:
            self._tunnel.lost(self)
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
        elif self._exchange is None and self._discards is None:
            self._go_on()

    def stopProducing(self) -> None:
        """The transport is closing."""

    # requests

    def _receive_heads(self, piece: bytes) -> None:
        """Begin the exchanges in ``piece``, as long as each ends before the next is looked at."""
        self._is_looping = True
        while True:
            try:
                request = self._codec.receive(piece)
            except BadMessage as refusal:
                self._refuse(None, refusal)
                break
            if request is None:
                self._wait_for_head()
                break
            self._begin(request)
            if self._exchange is not None or self._discards is not None or self._is_lost or self._is_clogged:
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

    def _wait_for_request(self) -> None:
        self._is_fresh = False
        self.deadline = self._last + self._host.config.idle_timeout
        if self._is_paused:
            self.resume_reading()

    def _begin(self, request: Request) -> None:
        host = self._host
        now = host.now()
        exchange = Exchange(request, self.peer, host.make_request_id(), now, now + host.serving.wall_offset)
        self._exchange = exchange
        self.deadline = NEVER
        rest = self._codec.rest
        try:
            caller = host.serving.forwarder.dress(request, self._codec.claims, self._introduction, exchange.request_id)
            if caller is not None:
                exchange.client, exchange.scheme, exchange.request_id = (
                    caller.client,
                    caller.scheme,
                    caller.request_id,
                )
            if not request.is_http10:
                exchange.interim = self._send_interim
            if request.length:
                rest = self._begin_body(exchange, rest, now)
        except Refusal as refusal:
            self._refuse(exchange, refusal)
            return
        if rest:
            self._waiting = rest
            self.pause_reading()
        task = self._task = Task(host.serving.gateway.serve(exchange, self), self._ended)
        task.step()

    def _begin_body(self, exchange: Exchange, rest: bytes, now: float) -> bytes:
        """Make the body of the request, give it what is here, and return what came behind it."""
        limits = self._host.limits
        reader = make_reader(exchange.request.length, 400, (limits.max_head, limits.max_headers))
        body = self._body = IncomingBody(self, exchange, reader)
        exchange.request.body = body
        if rest:
            body.receive(rest)
        if body.is_complete:
            self._body = None
            return body.rest
        self._pace.begin(now)
        self.deadline = now + self._host.config.body_timeout
        return b""

    def _receive_body(self, body: IncomingBody, piece: bytes) -> None:
        self.deadline = self._host.now() + self._host.config.body_timeout
        try:
            body.receive(piece)
        except Refusal as refusal:
            self._discards = 0
            self._interrupt(refusal)
            return
        if body.is_complete and self._body is body:
            self._body = None
            self.deadline = NEVER
            if body.rest:
                self._waiting = body.rest
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

    def body_wanted(self) -> None:
        """The gateway itself reads the body: the client need not wait for the upstream's 100."""
        exchange = self._exchange
        if exchange is not None and exchange.request.expects_continue and exchange.bytes_in == 0:
            exchange.request.expects_continue = False
            self.transport.write(serialise.CONTINUE)

    # answers

    def reply(self, exchange: Exchange, response: Response) -> Any:
        """Send the head, and the body by relay; returns what to wait for, if anything."""
        exchange.interim = None
        request = exchange.request
        body = response.body
        length = self._length(request, response)
        if request is None or not request.keep_alive or response.closes or self._body is not None or self._host.is_draining or (length == serialise.NO_FRAMING and self._ends_by_close(request, response)):
            self._keeps_alive = False
        head = self._head(exchange, response, length)
        if response.tunnel is not None:
            return self._open_tunnel(exchange, response, head)
        if isinstance(body, bytes):
            if request is not None and request.method == "HEAD":
                body = b""
            exchange.bytes_out = len(body)
            exchange.finished = exchange.first_byte
            self.transport.write(head + body if body else head)
            return None
        if request.method == "HEAD" or response.status in (204, 304):
            body.abandon()
            self.transport.write(head)
            return None
        outgoing = self._outgoing = OutgoingBody(
            self.transport, exchange, head, body, chunks=length == CHUNKED
        )
        return self._relay(outgoing)

    def _length(self, request: Request | None, response: Response) -> int:
        """Return the framing of the answer, as ``serialise.head`` takes it (RFC 9112 section 6)."""
        status = response.status
        if status == 204 or status == 304 or response.tunnel is not None:
            return serialise.NO_FRAMING
        length = response.length
        if length in (CHUNKED, UNTIL_CLOSE):
            return serialise.NO_FRAMING if request is None or request.is_http10 else CHUNKED
        return length

    def _ends_by_close(self, request: Request, response: Response) -> bool:
        """Whether only the end of the connection tells an HTTP/1.0 client where the body ends."""
        return response.length in (CHUNKED, UNTIL_CLOSE) and request.method != "HEAD" and request.is_http10

    def _head(self, exchange: Exchange, response: Response, length: int) -> bytes:
        headers = response.headers
        extra = b"X-Request-Id: %b\r\n" % exchange.request_id.encode("ascii")
        if headers.get(b"date") is None:
            extra += b"Date: %b\r\n" % self._host.date()
        if response.tunnel is not None:
            extra += _UPGRADE
        elif not self._keeps_alive:
            extra += _CLOSE
        elif exchange.request.is_http10:
            extra += _KEEP_ALIVE
        return serialise.head(status_line(response.status, response.phrase), headers, length, extra)

    async def _relay(self, outgoing: OutgoingBody) -> None:
        outgoing.start()
        if self._is_clogged:
            outgoing.pause()
        is_whole = await outgoing.ended
        self._outgoing = None
        if not is_whole:
            self.abort()

    async def _open_tunnel(self, exchange: Exchange, response: Response, head: bytes) -> None:
        """Pass bytes both ways until the tunnel is over."""
        early = response.body
        assert isinstance(early, bytes)
        self._keeps_alive = False
        self.transport.write(head + early)
        upstream: Any = response.tunnel
        tunnel = self._tunnel = Tunnel(self, upstream, self._host.now())
        self.deadline = tunnel.last_byte + self._host.config.idle_timeout
        ended: Signal[None] = Signal()
        tunnel.when_ended(lambda: ended.set(None))
        upstream.join(tunnel)
        waiting, self._waiting = self._waiting, b""
        if waiting:
            tunnel.receive(self, waiting, tunnel.last_byte)
        self.resume_reading()
        try:
            await ended
        finally:
            tunnel.close()
            exchange.bytes_in += tunnel.bytes_from[self]
            exchange.bytes_out += len(early) + tunnel.bytes_from[upstream]

    def _send_interim(self, response: Response) -> None:
        """Pass on an interim response; 100 only to a client that waits for it (RFC 9110 section 15.2)."""
        exchange = self._exchange
        if exchange is None or self._is_lost:
            return
        if response.status == 100:
            self.body_wanted()
            return
        head = serialise.head(
            status_line(response.status, response.phrase), response.headers, serialise.NO_FRAMING
        )
        self.transport.write(head)

    def _refuse(self, exchange: Exchange | None, refusal: Refusal) -> None:
        """Refuse what never came as far as the line, and read nothing more."""
        host = self._host
        if exchange is None:
            now = host.now()
            exchange = Exchange(None, self.peer, host.make_request_id(), now, now + host.serving.wall_offset)
        self._exchange = exchange
        refusal.closes = True
        host.serving.gateway.refuse(exchange, refusal, self)
        self._discards = 0
        self._ended()

    # what comes after an exchange

    def _ended(self) -> None:
        """The exchange is over: go on with the next request, or end the connection."""
        if self._exchange is not None:
            self._last = self._exchange.finished
            self._exchange = None
        self._task = None
        self._outgoing = None
        if self._is_lost or self._tunnel is not None:
            return
        if not self._keeps_alive:
            self._end()
        elif not self._is_looping and not self._is_clogged:
            self._go_on()

    def _go_on(self) -> None:
        """Take up what waited, or wait for the next request."""
        waiting, self._waiting = self._waiting, b""
        if waiting:
            self._receive_heads(waiting)
        else:
            self._wait_for_request()

    def _end(self) -> None:
        """Close after the answer; what the client still sends is thrown away first, within bounds."""
        is_clean = self._body is None and not self._waiting and self._discards is None
        self._discards = 0
        self._body = None
        self._waiting = b""
        self.deadline = self._host.now() + LINGER_SECONDS
        if is_clean or self.peer.scheme == "https":
            self._close()
            return
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self.resume_reading()

    def _discard(self, piece: bytes) -> None:
        self._discards = (self._discards or 0) + len(piece)
        if self._discards > LINGER_BYTES:
            self.transport.abortConnection() if queued(self.transport) else self._close()

    def _close(self) -> None:
        if not self._is_lost:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection: what was sent must not be taken for whole."""
        self._leave()
        if not self._is_lost:
            self.transport.abortConnection()

    def _leave(self) -> None:
        """Cut what is under way for a client that is gone."""
        outgoing, self._outgoing = self._outgoing, None
        body, self._body = self._body, None
        if outgoing is not None:
            outgoing.abandon()
        if body is not None:
            body.fail()
        if self._task is not None:
            self._task.throw(ClientGone())

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
            elif self._body is not None and self._pace.is_slow(exchange.bytes_in, now, self._host.config):
                self._time_out_body()
        size = queued(self.transport)
        if size and self._pace.is_stalled(written(self.transport), now, self._host.config.send_timeout):
            self.abort()
        elif not size:
            self._pace.is_flowing()

    def _expire(self, now: float) -> None:
        self.deadline = NEVER
        if self._discards is not None:
            self.transport.abortConnection()
        elif self._tunnel is not None:
            quiet_until = self._tunnel.last_byte + self._host.config.idle_timeout
            if quiet_until <= now:
                self._tunnel.close()
            else:
                self.deadline = quiet_until
        elif self._body is not None:
            self._time_out_body()
        elif self._exchange is None and self._is_fresh:
            self._refuse(None, Refusal(408, "request-timeout"))
        elif self._exchange is None:
            self._close()

    def _time_out_body(self) -> None:
        self._discards = 0
        self._interrupt(Refusal(408, "request-timeout", closes=True))

    def drain(self) -> None:
        """Close if nothing is under way; otherwise the answer under way will be the last."""
        if self.is_idle and self._discards is None and self._tunnel is None:
            self._close()
