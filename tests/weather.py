"""Clients and targets that do anything, at any time, to a gateway that runs in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.error import ConnectionLost

from tests.downstream.conversation import Line, get, post
from tests.running import FRONT, WORD, Running, orders
from tests.upstream.conversation import OK
from tests.upstream.network import Attempt


class Weather:
    """Everybody around a gateway."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.clients: list[Line] = []

    @property
    def client(self) -> Line:
        """Somebody: who came last, as long as there is one."""
        present = [line for line in self.clients if not line.is_over]
        if not present:
            self.clients.append(self.running.connect())
            return self.clients[-1]
        return present[-1]

    def say(self, text: bytes) -> None:
        """Let a client send, if it is read."""
        line = self.client
        if line.is_reading:
            line.protocol.dataReceived(text)

    def target(self, act: Callable[[Attempt], object]) -> None:
        """Let something happen to the connection to a target that was made last, if it is still there."""
        made = [attempt for attempt in self.running.reactor.attempts if self._is_there(attempt)]
        if made:
            act(made[-1])

    @staticmethod
    def _is_there(attempt: Attempt) -> bool:
        return hasattr(attempt, "connection") and not attempt.wire.is_over

    def make(self, act: Callable[[Attempt], object]) -> None:
        """Let something become of an attempt to connect."""
        waiting = self.running.server.upstreams.upstreams["orders"].pool.connecting
        for attempt in self.running.reactor.attempts:
            if any(attempt._factory is one for one in waiting):
                act(attempt)
                return

    def expire(self) -> None:
        """Let every deadline pass."""
        later = time.monotonic() + 10_000
        self.running.server.listeners.sweep(later)
        self.running.server.upstreams.sweep(later)
        self.running.alone.judges.sweep(later)

    def turn(self) -> None:
        """Let the reactor tell what was closed and cut."""
        gone = [line for line in self.clients if line.is_over]
        self.running.settle(*gone)
        self.clients = [line for line in self.clients if line not in gone]
        for attempt in self.running.reactor.attempts[:]:
            if hasattr(attempt, "connection") and attempt.wire.is_over:
                self.running.reactor.attempts.remove(attempt)
                attempt.lose(ConnectionLost())

    def leave(self, line: Line) -> None:
        """Let a client leave."""
        line.is_closed = True

    def settle(self) -> None:
        """Let everybody leave, and everything end."""
        for line in self.clients:
            self.leave(line)
        self.turn()
        self.running.reactor.advance(10)
        for _ in range(3):
            self.expire()
            self.turn()


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
BEGUN_POST = post(length=12, body=b"half")

HAPPENINGS: dict[str, Callable[[Weather], object]] = {
    "another client": lambda weather: weather.clients.append(weather.running.connect()),
    "get": lambda weather: weather.say(get()),
    "two at once": lambda weather: weather.say(get() + get("/word")),
    "post": lambda weather: weather.say(post(body=b"whole")),
    "half a post": lambda weather: weather.say(BEGUN_POST),
    "the other half": lambda weather: weather.say(b"the rest"),
    "nonsense": lambda weather: weather.say(b"\x16\x03\x01"),
    "client leaves": lambda weather: weather.leave(weather.client),
    "client finishes": lambda weather: weather.client.protocol.readConnectionLost(),
    "connected": lambda weather: weather.make(lambda attempt: attempt.succeed()),
    "refused": lambda weather: weather.make(lambda attempt: attempt.fail()),
    "answer": lambda weather: weather.target(lambda attempt: attempt.connection.dataReceived(OK)),
    "unavailable": lambda weather: weather.target(
        lambda attempt: attempt.connection.dataReceived(OK.replace(b"200", b"503"))
    ),
    "half an answer": lambda weather: weather.target(lambda attempt: attempt.connection.dataReceived(CHUNKS)),
    "its end": lambda weather: weather.target(lambda attempt: attempt.connection.dataReceived(b"0\r\n\r\n")),
    "target finishes": lambda weather: weather.target(
        lambda attempt: attempt.connection.readConnectionLost()
    ),
    "target resets": lambda weather: weather.target(lambda attempt: attempt.wire.abortConnection()),
    "turn": lambda weather: weather.turn(),
    "connect timeout": lambda weather: weather.running.reactor.advance(2),
    "deadlines": lambda weather: weather.expire(),
    "reload": lambda weather: weather.running.reload(),
    "change": lambda weather: weather.running.reload_with(
        FRONT, orders("http://192.0.2.1, http://192.0.2.3", max_requests=3), WORD.format("new")
    ),
}
