"""Lends upstream connections: kept-alive ones, the last one used first, or new ones.

Rules
- An unsafe request gets no connection that has been idle for 2 s or more: the target may be closing it now.
- ``keepalive`` bounds the idle connections of all targets together; each is kept for ``keepalive_timeout``,
  or for less if the target says so.
- A connection that cannot be made within ``connect_timeout``, TLS included, is a failure of that name.
- When it changes whom to trust, what was made before is not lent again, whatever is under way on it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from twistedgate.config.model import UpstreamConfig
from twistedgate.errors import UpstreamFailure
from twistedgate.net.task import Signal
from twistedgate.upstream.connection import UpstreamConnection
from twistedgate.upstream.lending import OUT_OF_DESCRIPTORS, Terms
from twistedgate.upstream.target import Target
from twistedgate.wire.codec import HeadLimits

UNSAFE_IDLE = 2.0
"""Seconds after which an idle connection is not trusted with a request that must not be sent twice."""

CLOSING_MARGIN = 1.0
"""Seconds by which the pool gives up a connection before the target said it would."""

MAX_RESPONSE_FIELDS = 200

_log = Logger()


class _Connecting(ClientFactory):
    """One attempt to connect."""

    noisy = False

    def __init__(self, pool: Pool, target: Target) -> None:
        self._pool = pool
        self._target = target
        self._connection: UpstreamConnection | None = None
        self._connector: Any = None
        self._timeout: Any = None
        self.is_outdated = False
        """Whether the pool was renewed since it began."""
        self.signal: Signal[UpstreamConnection] = Signal()

    def start(self) -> None:
        """Begin to connect."""
        pool = self._pool
        factory: Any = self
        creator = pool.tls_creator(self._target)
        if creator is not None:
            factory = TLSMemoryBIOFactory(creator, True, self)
            factory.noisy = False
        pool.connecting.add(self)
        timeout = pool.config.connect_timeout
        self._timeout = pool.reactor.callLater(timeout, self._expire)
        self._connector = pool.reactor.connectTCP(
            self._target.address, self._target.config.port, factory, timeout + 1
        )

    def buildProtocol(self, addr: IAddress | None) -> UpstreamConnection:
        """The socket is connected."""
        self._pool.connecting.discard(self)
        connection = self._connection = self._pool.make_connection(self._target)
        connection.opened = self._opened
        if self.is_outdated:
            self._pool.lend_no_more(connection)
        return connection

    def _opened(self) -> None:
        connection = self._connection
        assert connection is not None
        self._end()
        if self.signal.is_waited_for:
            self.signal.set(connection)
        else:
            # whoever wanted it has left meanwhile; the next one will want it, and get it as one that was used
            connection.uses += 1
            self._pool.give_back(connection, self._pool.now())

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """The socket could not be connected."""
        self._pool.connecting.discard(self)
        self._end()
        if reason.check(ConnectTimeout):
            self.signal.fail(UpstreamFailure(504, "connect-timeout"))
        else:
            is_ours = getattr(reason.value, "osError", None) in (errno.EMFILE, errno.ENFILE)
            detail = OUT_OF_DESCRIPTORS if is_ours else reason.getErrorMessage()
            if is_ours:
                self.signal.fail(UpstreamFailure(503, "too-many", detail))
            else:
                self.signal.fail(UpstreamFailure(502, "connect-failed", detail))

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """The connection is gone: a failure if it was never usable, as when TLS did not come about."""
        trouble = "" if self._connection is None else self._connection.trouble
        self._end()
        if not self.signal.is_set:
            self.signal.fail(UpstreamFailure(502, "connect-failed", trouble or reason.getErrorMessage()))

    def _end(self) -> None:
        """Forget the timeout, and what would keep the attempt alive as long as its connection."""
        timeout, self._timeout = self._timeout, None
        if timeout is not None and timeout.active():
            timeout.cancel()
        self._connection = self._connector = None

    def _expire(self) -> None:
        # first, as the end of the attempt is reported as a failure to connect
        self.signal.fail(UpstreamFailure(504, "connect-timeout"))
        self.give_up()

    def give_up(self) -> None:
        """Connect no more."""
        connection, connector = self._connection, self._connector
        self._end()
        if connection is not None:
            connection.abort()
        elif connector is not None:
            connector.stopConnecting()


class Pool:
    """The connections of one upstream."""

    def __init__(
        self,
        config: UpstreamConfig,
        reactor: Any,
        now: Callable[[], float],
        tls_creator: Callable[[Target], Any],
    ) -> None:
        """``tls_creator`` gives the TLS settings for a target, ``None`` for plain TCP."""
        self.config = config
        self.reactor = reactor
        self.tls_creator = tls_creator
        self.now = now
        limits = HeadLimits(max_head=config.max_head, max_headers=MAX_RESPONSE_FIELDS)
        self._terms = Terms(limits, config.response_timeout, config.read_timeout, now)
        self.connecting: set[_Connecting] = set()
        self._connections: set[UpstreamConnection] = set()
        self._outdated: set[UpstreamConnection] = set()
        self._idle: dict[Target, list[UpstreamConnection]] = {}
        self._most_idle = config.keepalive
        self._keep = config.keepalive_timeout
        self.idle_count = 0

    def __repr__(self) -> str:
        return f"<Pool {self.config.name} open={len(self._connections)} idle={self.idle_count}>"

    @property
    def open_count(self) -> int:
        """Connections that hold a descriptor."""
        return len(self._connections) + len(self.connecting)

    def take(self, target: Target, is_safe: bool, now: float) -> UpstreamConnection | None:
        """Lend the idle connection that was used last, if there is one that can be trusted."""
        idle = self._idle.get(target)
        if not idle:
            return None
        if not is_safe and now - idle[-1].idle_since >= UNSAFE_IDLE:
            return None
        self.idle_count -= 1
        return idle.pop()

    def connect(self, target: Target) -> Signal[UpstreamConnection]:
        """Make a connection; the signal fails with ``UpstreamFailure``."""
        connecting = _Connecting(self, target)
        connecting.start()
        return connecting.signal

    def make_connection(self, target: Target) -> UpstreamConnection:
        """Return the protocol for a new socket."""
        connection = UpstreamConnection(target, self, self._terms)
        self._connections.add(connection)
        return connection

    def give_back(self, connection: UpstreamConnection, now: float) -> None:
        """Keep an idle connection, or close one that is too many."""
        if self.idle_count >= self._most_idle or (self._outdated and connection in self._outdated):
            connection.close()
            return
        keep = self._keep
        if connection.keep_alive_timeout is not None:
            keep = min(keep, max(connection.keep_alive_timeout - CLOSING_MARGIN, 0.0))
        connection.idle_since = now
        connection.deadline = now + keep
        idle = self._idle.get(connection.target)
        if idle is None:
            idle = self._idle[connection.target] = []
        idle.append(connection)
        self.idle_count += 1

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection is not to be lent any more, idle or not."""
        idle = self._idle.get(connection.target)
        if idle is not None and connection in idle:
            idle.remove(connection)
            self.idle_count -= 1

    def lost(self, connection: UpstreamConnection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._outdated.discard(connection)
        self.forget(connection)
        if not self._idle.get(connection.target, True):
            # addresses come and go
            del self._idle[connection.target]

    def sweep(self, now: float) -> None:
        """End what is past its deadline."""
        for connection in [connection for connection in self._connections if connection.deadline <= now]:
            try:
                connection.expire(now)
            except Exception:  # noqa: BLE001 -- as in the reactor: it ends this connection, and only this one
                _log.failure("a connection to a target failed when its time was over")
                connection.abort()

    def drop(self, target: Target) -> None:
        """Close the idle connections of a target that is down or gone."""
        for connection in self._idle.pop(target, [])[:]:
            self.idle_count -= 1
            connection.close()

    def retire(self) -> None:
        """Close every idle connection, and keep none that comes back."""
        self._most_idle = 0
        self._drop_all()

    def renew(self) -> None:
        """Close every idle connection, and keep none that comes back of those that there are now."""
        self._drop_all()
        self._outdated |= self._connections
        for attempt in self.connecting:
            attempt.is_outdated = True

    def lend_no_more(self, connection: UpstreamConnection) -> None:
        """Close a connection when it comes back."""
        self._outdated.add(connection)

    def _drop_all(self) -> None:
        for target in list(self._idle):
            self.drop(target)

    def abort(self) -> None:
        """Cut everything."""
        self.retire()
        for attempt in list(self.connecting):
            attempt.give_up()
        for connection in list(self._connections):
            connection.abort()
