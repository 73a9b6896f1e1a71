from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from tests.admin.conftest import Orders
from tests.certificates import Authority
from tests.conftest import LoggedFailures
from twistedgate.admin.site import LONGEST_BODY, MOST_CONNECTIONS, MOST_HEADERS, AdminSite, admin_factory
from twistedgate.config.model import Endpoint, GatewayConfig, ListenerConfig
from twistedgate.net.tls import ClientTLS, ServerTLS, client_settings

Converse = Callable[..., Any]
MakeSite = Callable[..., AdminSite]


def test_answers_one_request_after_the_other(converse: Converse) -> None:
    conversation = converse()
    assert conversation.ask("/live").status == 200
    assert conversation.ask("/ready").status == 200
    assert not conversation.transport.disconnecting


def test_tells_nothing_about_the_software(converse: Converse) -> None:
    conversation = converse()
    for path in ("/live", "/nothing", "*"):
        answer = conversation.ask(path)
        assert "server" not in answer.headers
        assert b"wisted" not in answer.body


def test_a_foreign_host_is_misdirected(converse: Converse) -> None:
    answer = converse().ask("/live", host="evil.example.com")
    assert (answer.status, answer.phrase) == (421, "Misdirected Request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.document["reason"] == "bad-host"


def test_the_address_that_was_connected_to_is_a_host(converse: Converse) -> None:
    conversation = converse(host=IPv4Address("TCP", "192.0.2.7", 9000))
    assert conversation.ask("/live", host="192.0.2.7:9000").status == 200
    assert conversation.ask("/live", host="192.0.2.8:9000").status == 421


def test_a_unix_socket_takes_any_host(converse: Converse) -> None:
    conversation = converse(host=UNIXAddress("/run/twistedgate.sock"))
    assert conversation.ask("/live", host="anything.example").status == 200


def test_the_token_opens_every_path_and_nothing_else_does(converse: Converse, make_site: MakeSite) -> None:
    conversation = converse(make_site("s3cret"))
    for path in ("/live", "/ready", "/status", "/nothing", "*"):
        answer = conversation.ask(path)
        assert (answer.status, answer.document["reason"]) == (401, "no-credentials")
        assert answer.headers["www-authenticate"].startswith("bearer ")
        assert conversation.ask(path, Authorization="Bearer wrong").status == 401
    assert conversation.ask("/live", Authorization="Bearer s3cret").status == 200


def test_what_went_wrong_is_for_the_log_only(
    converse: Converse, view: Any, logged_failures: LoggedFailures
) -> None:
    view.failure = RuntimeError("s3cret")
    conversation = converse()
    answer = conversation.ask("/ready")
    assert (answer.status, answer.document["reason"]) == (500, "internal")
    assert b"s3cret" not in answer.body
    assert "server" not in answer.headers
    assert len(logged_failures.flush(RuntimeError)) == 1
    assert conversation.ask("/live").status == 200


def test_a_body_is_thrown_away(converse: Converse) -> None:
    conversation = converse()
    body = b"x" * 1000
    raw = b"POST /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + body
    assert conversation.send(raw).startswith(b"HTTP/1.1 405 ")
    assert conversation.ask("/live").status == 200


@pytest.mark.parametrize("framing", [b"Content-Length: 9999999", b"Transfer-Encoding: chunked"])
def test_a_body_without_end_is_cut(framing: bytes, converse: Converse) -> None:
    conversation = converse()
    conversation.send(b"POST /live HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
    piece = b"x" * 0x4000
    if b"chunked" in framing:
        piece = b"4000\r\n" + piece + b"\r\n"
    for _ in range(LONGEST_BODY // 0x4000):
        conversation.send(piece)
        assert not conversation.transport.disconnecting
    conversation.send(piece)
    assert conversation.transport.disconnecting


def test_a_head_with_too_many_fields_is_refused(converse: Converse) -> None:
    conversation = converse()
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(MOST_HEADERS + 1))
    conversation.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n")
    assert conversation.transport.disconnecting


def test_a_head_that_trickles_in_has_a_deadline(
    converse: Converse, make_site: MakeSite, clock: Clock
) -> None:
    conversation = converse(make_site(header_timeout=10.0))
    conversation.send(b"GET /live HTTP/1.1\r\n")
    for _ in range(9):
        clock.advance(1)
        conversation.send(b"X-Field: y\r\n")
    assert not conversation.transport.disconnecting
    clock.advance(1)
    assert conversation.transport.disconnecting


def test_a_connection_that_says_nothing_is_cut(converse: Converse, make_site: MakeSite, clock: Clock) -> None:
    conversation = converse(make_site(header_timeout=10.0))
    clock.advance(10)
    assert conversation.transport.disconnecting


def test_an_idle_connection_is_closed(converse: Converse, make_site: MakeSite, clock: Clock) -> None:
    conversation = converse(make_site(header_timeout=10.0, idle_timeout=60.0))
    assert conversation.ask("/live").status == 200
    clock.advance(59)
    assert not conversation.transport.disconnecting
    clock.advance(1)
    assert conversation.transport.disconnecting
    conversation.close()
    assert not clock.getDelayedCalls()


def test_too_many_connections_are_not_accepted(converse: Converse, make_site: MakeSite, clock: Clock) -> None:
    site = make_site()
    conversations = [converse(site) for _ in range(MOST_CONNECTIONS)]
    assert converse(site).channel is None
    conversations[0].close()
    assert converse(site).channel is not None


def test_a_connection_leaves_no_timer_behind(converse: Converse, clock: Clock) -> None:
    conversation = converse()
    conversation.ask("/live")
    conversation.send(b"GET /li")
    conversation.close()
    assert not clock.getDelayedCalls()


def test_keeps_no_log_of_requests(converse: Converse) -> None:
    with capturedLogs() as events:
        conversation = converse()
        for method in ("GET", "HEAD", "POST"):
            conversation.ask("/live", method)
        conversation.close()
    assert not events


@implementer(IAgentEndpointFactory)
class To:
    """Connects to one endpoint, whatever the URI says."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:
        return self._endpoint


async def fetch(reactor: Any, endpoint: IStreamClientEndpoint, host: str) -> tuple[int, Any]:
    pool = HTTPConnectionPool(reactor, persistent=False)
    client = HTTPClient(Agent.usingEndpointFactory(reactor, To(endpoint), pool))
    response = await client.get(f"http://{host}/status", reactor=reactor)
    return response.code, await response.json()


def real_site(view: Any, reactor: Any, operations: Orders | None = None) -> AdminSite:
    endpoint = Endpoint("tcp:0:interface=127.0.0.1", "tcp", 0, "127.0.0.1")
    listener = ListenerConfig("operator", endpoint=endpoint)
    return admin_factory(view, operations or Orders(), listener, GatewayConfig(), reactor)


async def test_answers_over_a_real_socket(view: Any, reactor: Any) -> None:
    port = reactor.listenTCP(0, real_site(view, reactor), interface="127.0.0.1")
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    assert await fetch(reactor, endpoint, "127.0.0.1") == (200, view.document)
    assert (await fetch(reactor, endpoint, "evil.example.com"))[0] == 421
    await port.stopListening()


async def test_answers_over_a_unix_socket(tmp_path: Path, view: Any, reactor: Any) -> None:
    path = str(tmp_path / "admin.sock")
    port = reactor.listenUNIX(path, real_site(view, reactor))
    assert await fetch(reactor, UNIXClientEndpoint(reactor, path), "any.example") == (200, view.document)
    await port.stopListening()


async def test_answers_over_tls(tmp_path: Path, view: Any, reactor: Any) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    site = real_site(view, reactor)
    factory = TLSMemoryBIOFactory(ServerTLS(pair.certificate, pair.key), False, site)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    creator = ClientTLS("localhost", client_settings(authority.path, True))
    plain = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    assert await fetch(reactor, wrapClientTLS(creator, plain), "localhost") == (200, view.document)
    await port.stopListening()
