"""The answering half of a client's connection: heads, bodies by relay, tunnels, and how it all ends.

``connection`` adds the half that reads.  What either half knows of the other is declared in ``Answering``.
"""

from __future__ import annotations

from typing import Any

from twistedgate.downstream.answer import ends_by_close, frame, write_head, write_interim
from twistedgate.downstream.hosting import Host
from twistedgate.downstream.relay import IncomingBody, OutgoingBody
from twistedgate.errors import ClientGone
from twistedgate.exchange import Exchange
from twistedgate.http.hops import Peer
from twistedgate.http.message import CHUNKED, Response
from twistedgate.net.speaking import NEVER, Speaking
from twistedgate.net.task import Signal, Task
from twistedgate.net.transport import can_half_close, lowest, queued
from twistedgate.net.tunnel import Tunnel
from twistedgate.wire import serialise

LINGER_BYTES = 64 * 1024
"""What is read and thrown away after the last answer of a connection, so that a reset does not destroy it."""

LINGER_SECONDS = 2.0


class Answering(Speaking):
    """Sends answers to one client."""

    def __init__(self, host: Host, peer: Peer) -> None:
        self.peer = peer
        self._host = host
        self._exchange: Exchange | None = None
        self._task: Task | None = None
        self._body: IncomingBody | None = None
        """The body of the request, until it is complete."""
        self._outgoing: OutgoingBody | None = None
        self._tunnel: Tunnel | None = None
        self._waiting = b""
        """What came behind the request."""
        self._keeps_alive = True
        self._is_clogged = False
        self._is_lost = False
        self._discarded: int | None = None
        """Bytes that were thrown away; ``None`` as long as what comes is read as HTTP."""

    def pause_reading(self) -> None:
        """Read no more for now."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Read on."""
        raise NotImplementedError

    def reply(self, exchange: Exchange, response: Response) -> Any:
        """Send the head, and the body by relay; returns what to wait for, if anything."""
        exchange.interim = None
        written = response.written
        if written is not None and written.is_of(response):
            request = exchange.request
            body = response.body
            if (
                isinstance(body, bytes)
                and len(body) == written.length
                and request.keep_alive
                and not request.is_http10
                and not response.closes
                and self._body is None
                and not self._host.is_draining
            ):
                self._keeps_alive = True
                exchange.bytes_out = written.length
                exchange.finished = exchange.first_byte
                text = exchange.request_id.encode()
                self.transport.write(b"".join((written.text, b"X-Request-Id: ", text, b"\r\n\r\n", body)))
                return None
        return self._reply_anew(exchange, response)

    def _reply_anew(self, exchange: Exchange, response: Response) -> Any:
        """Send an answer whose head was not written before."""
        request = exchange.request
        body = response.body
        length = frame(request, response)
        self._keeps_alive = (
            request is not None
            and request.keep_alive
            and not response.closes
            and self._body is None
            and not self._host.is_draining
            and not (length == serialise.NO_FRAMING and ends_by_close(request, response))
        )
        head = write_head(exchange, response, length, self._keeps_alive, self._host.date())
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
        return self._relay(OutgoingBody(self.transport, exchange, head, body, chunks=length == CHUNKED))

    async def _relay(self, outgoing: OutgoingBody) -> None:
        self._outgoing = outgoing
        outgoing.start()
        if self._is_clogged:
            # attaching has made the source deliver
            outgoing.pause()
        is_whole = await outgoing.ended
        self._outgoing = None
        if not is_whole:
            self.abort()

    async def _open_tunnel(self, exchange: Exchange, response: Response, head: bytes) -> None:
        """Pass bytes both ways until the tunnel is over."""
        self._keeps_alive = False
        waiting, self._waiting = self._waiting, b""
        tunnel = self._tunnel = Tunnel(self, response.tunnel, self._host.now())
        self.deadline = tunnel.last_byte + self._host.config.idle_timeout
        ended: Signal[None] = Signal()
        assert isinstance(response.body, bytes)
        self.resume_reading()
        tunnel.open(head, response.body, waiting, lambda: ended.set(None))
        if self._is_clogged:
            # joining has made the other side deliver
            tunnel.pause(self)
        try:
            await ended
        finally:
            tunnel.close()
            exchange.bytes_in += tunnel.bytes_up
            exchange.bytes_out += tunnel.bytes_down

    def body_wanted(self) -> None:
        """Somebody reads the body now: a client that waits to be told is told (RFC 9110 section 10.1.1)."""
        exchange = self._exchange
        if exchange is not None and exchange.request.expects_continue and exchange.bytes_in == 0:
            exchange.request.expects_continue = False
            self.transport.write(serialise.CONTINUE)

    def _send_interim(self, response: Response) -> None:
        """Pass on an interim response; 100 only to a client that waits for it (RFC 9110 section 15.2)."""
        if self._exchange is None or self._is_lost:
            return
        if response.status == 100:
            self.body_wanted()
        else:
            self.transport.write(write_interim(response))

    # how it ends

    def _end(self) -> None:
        """Close after the answer; what the client still sends is thrown away first, within bounds."""
        is_clean = self._body is None and not self._waiting and self._discarded is None
        self._body = None
        self._waiting = b""
        if is_clean or not can_half_close(self.transport):
            # TLS reads on until the other side says that it is done
            self.resume_reading()
            self._close()
            return
        self._discarded = 0
        self.deadline = self._host.now() + LINGER_SECONDS
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self.resume_reading()

    def _discard(self, piece: bytes) -> None:
        """Throw away what comes after the last answer, or instead of a body that was refused."""
        self._discarded = (self._discarded or 0) + len(piece)
        if self._discarded <= LINGER_BYTES:
            return
        if self._exchange is not None:
            self.pause_reading()
        else:
            self._hang_up()

    def _let_go(self, now: float) -> None:
        """The time to linger is over."""
        if queued(self.transport):
            # it still takes its answer; whether too slowly is judged by ``send_timeout``
            self.deadline = now + LINGER_SECONDS
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        """Read no more, and close when all is sent, whether or not the other side of TLS agrees."""
        lowest(self.transport).loseConnection()

    def _close(self) -> None:
        """Close after what was written; what still comes is not read as HTTP."""
        if not self._is_lost:
            self._discarded = self._discarded or 0
            self.deadline = self._host.now() + LINGER_SECONDS
            self.close_after_writing()

    def abort(self) -> None:
        """Cut the connection: what was sent must not be taken for whole."""
        if not self._is_lost:
            # nothing that waits is begun any more
            self._is_lost = True
            self.deadline = NEVER
            self._leave()
            self.transport.abortConnection()

    def _leave(self) -> None:
        """Cut what is under way for a client that is gone."""
        outgoing, self._outgoing = self._outgoing, None
        body, self._body = self._body, None
        if outgoing is not None:
            outgoing.abandon()
        if body is not None:
            body.fail()
        task, self._task = self._task, None
        if task is not None:
            task.throw(ClientGone())
