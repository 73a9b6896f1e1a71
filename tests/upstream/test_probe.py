from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from tests.certificates import Authority
from twistedgate.net.outgoing import CLOSING_SECONDS
from twistedgate.net.tls import ClientTLS, ServerTLS, client_settings
from twistedgate.upstream.probe import LONGEST_ANSWER, LONGEST_BODY, HTTPProbe
from twistedgate.upstream.prober import HealthCheck

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Target(Protocol):
    """Keeps what it hears; answers the first piece of it; closes only if it was told to."""

    def __init__(self, answer: bytes, closes: bool) -> None:
        self._answer = answer
        self._closes = closes
        self.heard = b""
        self.asked: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        assert self.transport is not None
        if not self.asked.called:
            self.transport.write(self._answer)
            if self._closes:
                self.transport.loseConnection()
            self.asked.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class LocalServer:
    """A server on a real port of this machine."""

    def __init__(self, reactor: Any, answer: bytes = NO_CONTENT, closes: bool = False) -> None:
        self._reactor = reactor
        self.connections: list[Target] = []
        self.accepted: Deferred[None] = Deferred()
        self._answer = answer
        self._closes = closes
        self.factory = Factory.forProtocol(self._accept)
        self.factory.noisy = False
        self._port: Any = None

    def _accept(self) -> Target:
        self.connections.append(Target(self._answer, self._closes))
        if not self.accepted.called:
            self.accepted.callback(None)
        return self.connections[-1]

    def listen(self, factory: Any = None) -> LocalServer:
        self._port = self._reactor.listenTCP(0, factory or self.factory, interface="127.0.0.1")
        return self

    @property
    def port(self) -> int:
        return int(self._port.getHost().port)

    def check(self, path: str = "/health", tls: ClientTLS | None = None) -> HealthCheck:
        scheme = "http" if tls is None else "https"
        name = f"127.0.0.1:{self.port}"
        return HealthCheck(
            name, scheme, "127.0.0.1", self.port, "orders.example.com", path, 5.0, 2.0, ((200, 399),), tls
        )

    async def close(self) -> None:
        """Wait until both ends of every connection are closed, and listen no more."""
        for connection in self.connections:
            await connection.gone
        while any("_cut" in str(call) for call in self._reactor.getDelayedCalls()):
            await deferLater(self._reactor, 0)
        await self._port.stopListening()


async def test_asks_as_configured_and_takes_the_status(reactor: Any) -> None:
    server = LocalServer(reactor).listen()
    assert await HTTPProbe(reactor)(server.check("/health?deep=1&x=%2F")) == 204
    (connection,) = server.connections
    request, *fields = connection.heard.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert request == "GET /health?deep=1&x=%2F HTTP/1.1"
    assert sorted(field.title() for field in fields) == [
        "Accept: */*",
        "Connection: Close",
        "Host: Orders.Example.Com",
        "User-Agent: Twistedgate-Health",
    ]
    await server.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nsorry", 503),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 200),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 33\r\n\r\n"
            + gzip.compress(b"x" * 10_000, mtime=0)[:33],
            200,
        ),
    ],
)
async def test_takes_every_whole_answer_as_it_is(answer: bytes, status: int, reactor: Any) -> None:
    server = LocalServer(reactor, answer).listen()
    assert await HTTPProbe(reactor)(server.check()) == status
    assert len(server.connections) == 1
    await server.close()


async def test_an_answer_may_end_with_its_connection(reactor: Any) -> None:
    server = LocalServer(reactor, b"HTTP/1.0 200 OK\r\n\r\nwell", closes=True).listen()
    assert await HTTPProbe(reactor)(server.check()) == 200
    await server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
async def test_half_an_answer_is_none(answer: bytes, reactor: Any) -> None:
    server = LocalServer(reactor, answer, closes=True).listen()
    with pytest.raises((ResponseNeverReceived, ResponseFailed)):
        await HTTPProbe(reactor)(server.check())
    await server.close()


async def test_a_body_without_end_is_cut(reactor: Any) -> None:
    server = LocalServer(reactor, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LONGEST_BODY + 1)).listen()
    assert await HTTPProbe(reactor)(server.check()) == 200
    await server.close()


async def test_a_head_without_end_is_cut(reactor: Any) -> None:
    field = b"X-Field: " + b"x" * 1000 + b"\r\n"
    server = LocalServer(reactor, b"HTTP/1.1 200 OK\r\n" + field * (LONGEST_ANSWER // 1000)).listen()
    with pytest.raises((ResponseNeverReceived, ResponseFailed)):
        await HTTPProbe(reactor)(server.check())
    await server.close()


async def test_a_check_that_is_given_up_closes_its_connection(reactor: Any) -> None:
    server = LocalServer(reactor, b"").listen()
    asking = HTTPProbe(reactor)(server.check())
    await server.accepted
    await server.connections[0].asked
    asking.cancel()
    with pytest.raises((CancelledError, ResponseNeverReceived)):
        await asking
    await server.close()


async def test_a_check_that_is_given_up_in_the_body_closes_its_connection(reactor: Any) -> None:
    server = LocalServer(reactor, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").listen()
    asking = HTTPProbe(reactor)(server.check())
    await server.accepted
    await server.connections[0].asked
    asking.cancel()
    with pytest.raises((CancelledError, ResponseNeverReceived, ResponseFailed)):
        await asking
    await server.close()


async def test_nobody_there_is_a_failure(reactor: Any) -> None:
    server = LocalServer(reactor).listen()
    check = server.check()
    await server.close()
    with pytest.raises(Refused):
        await HTTPProbe(reactor)(check)


async def test_keeps_no_cookies(reactor: Any) -> None:
    server = LocalServer(reactor, b"HTTP/1.1 204 No\r\nSet-Cookie: a=b; Path=/\r\n\r\n").listen()
    probe = HTTPProbe(reactor)
    for _ in range(2):
        await probe(server.check())
    assert all(b"Cookie" not in connection.heard for connection in server.connections)
    await server.close()


class SecureServer:
    """A server that speaks TLS as ``orders.example.com``."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self._authority = Authority(folder)
        pair = self._authority.issue("orders.example.com")
        self.server = LocalServer(reactor)
        tls = ServerTLS(pair.certificate, pair.key)
        self.server.listen(TLSMemoryBIOFactory(tls, False, self.server.factory))

    def check(self, host: str) -> HealthCheck:
        return self.server.check(tls=ClientTLS(host, client_settings(self._authority.path, True)))


async def test_https_is_checked_against_the_targets_own_name(tmp_path: Path, reactor: Any) -> None:
    secure = SecureServer(reactor, tmp_path)
    assert await HTTPProbe(reactor)(secure.check("orders.example.com")) == 204
    assert secure.server.connections[0].heard.startswith(b"GET /health HTTP/1.1\r\n")
    await secure.server.close()


async def test_https_with_the_wrong_certificate_fails(tmp_path: Path, reactor: Any) -> None:
    secure = SecureServer(reactor, tmp_path)
    with pytest.raises(ResponseNeverReceived) as raised:
        await HTTPProbe(reactor)(secure.check("other.example.com"))
    assert "not that of other.example.com" in str(raised.value.reasons[0].value)
    assert secure.server.connections[0].heard == b""
    await secure.server.close()


class Deaf(Protocol):
    """Answers once, and then never reads again: its side of TLS is never closed."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(NO_CONTENT)
        transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


async def test_a_target_that_never_closes_tls_is_cut(tmp_path: Path, reactor: Any) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("orders.example.com")
    deaf = Deaf()
    factory = Factory.forProtocol(lambda: deaf)
    factory.noisy = False
    tls = TLSMemoryBIOFactory(ServerTLS(pair.certificate, pair.key), False, factory)
    port = reactor.listenTCP(0, tls, interface="127.0.0.1")
    creator = ClientTLS("orders.example.com", client_settings(authority.path, True))
    number = port.getHost().port
    check = HealthCheck("x", "https", "127.0.0.1", number, "x", "/", 5.0, 2.0, ((200, 399),), creator)
    assert await HTTPProbe(reactor)(check) == 204
    now = reactor.seconds()
    (cutting,) = [call for call in reactor.getDelayedCalls() if 0 < call.getTime() - now <= CLOSING_SECONDS]
    cutting.reset(0)
    deaf.transport.resumeProducing()  # type: ignore[union-attr]
    await deaf.gone
    await port.stopListening()


async def test_a_check_leaves_no_line_in_the_log(tmp_path: Path, reactor: Any) -> None:
    secure = SecureServer(reactor, tmp_path)
    with capturedLogs() as events:
        await HTTPProbe(reactor)(secure.check("orders.example.com"))
        with pytest.raises(ResponseNeverReceived):
            await HTTPProbe(reactor)(secure.check("other.example.com"))
    await secure.server.close()
    assert [formatEvent(event) for event in events] == []
