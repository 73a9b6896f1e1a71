from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.certificates import Authority, Pair
from twistedgate.config.model import Endpoint, ListenerConfig, TargetConfig, UpstreamConfig
from twistedgate.net.tls import (
    HTTP_1_1,
    ClientTLS,
    ServerTLS,
    TLSRefused,
    UpstreamTLS,
    authorities,
    client_settings,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("orders.example.com", "*.shop.example.com", "192.0.2.1", "2001:db8::1")


def server(pair: Pair) -> SSL.Connection:
    connection = ServerTLS(pair.certificate, pair.key).serverConnectionForTLS(None)
    connection.set_accept_state()
    return connection


def client(host: str, authority: Authority) -> SSL.Connection:
    connection = ClientTLS(host, client_settings(authority.path, True)).clientConnectionForTLS(None)
    connection.set_connect_state()
    return connection


def pump(source: SSL.Connection, sink: SSL.Connection) -> None:
    try:
        sink.bio_write(source.bio_read(1 << 20))
    except SSL.WantReadError:
        return


def shake(one: SSL.Connection, other: SSL.Connection) -> None:
    """Shake hands; raises what either side raises."""
    finished: set[SSL.Connection] = set()
    for _ in range(10):
        for connection, peer in ((one, other), (other, one)):
            try:
                connection.do_handshake()
                finished.add(connection)
            except SSL.WantReadError:
                pass
            finally:
                pump(connection, peer)
        if len(finished) == 2:
            return
    raise AssertionError("the handshake does not end")


class PlainPeer:
    """A client of Python's own ssl module, in memory."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake(self, server: SSL.Connection) -> None:
        """Shake hands; raises what either side raises."""
        for _ in range(10):
            done = True
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            if self._outgoing.pending:
                server.bio_write(self._outgoing.read())
            try:
                server.do_handshake()
            except SSL.WantReadError:
                done = False
            with contextlib.suppress(SSL.WantReadError):
                self._incoming.write(server.bio_read(1 << 20))
            if done:
                return
        raise AssertionError("the handshake does not end")


def plain_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.path)
    context.set_alpn_protocols(["http/1.1"])
    return context


def test_provides_what_twisted_asks_for(authority: Authority, pair: Pair) -> None:
    verifyObject(IOpenSSLServerConnectionCreator, ServerTLS(pair.certificate, pair.key))
    verifyObject(IOpenSSLClientConnectionCreator, ClientTLS("a", client_settings(authority.path, True)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_serves_tls_1_2_and_1_3(version: ssl.TLSVersion, authority: Authority, pair: Pair) -> None:
    context = plain_context(authority)
    context.minimum_version = context.maximum_version = version
    peer = PlainPeer(context, "orders.example.com")
    peer.shake(server(pair))
    assert peer.tls.version() == version.name.replace("_", ".")
    assert peer.tls.selected_alpn_protocol() == "http/1.1"
    assert peer.tls.compression() is None
    cipher = peer.tls.cipher()
    assert cipher is not None
    assert ("GCM" in cipher[0]) or ("CHACHA20" in cipher[0])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_refuses_tls_1_1(authority: Authority, pair: Pair) -> None:
    context = plain_context(authority)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((SSL.Error, ssl.SSLError)):
        PlainPeer(context, "orders.example.com").shake(server(pair))


@pytest.mark.parametrize("ciphers", ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256"])
def test_refuses_ciphers_without_forward_secrecy_or_authentication(
    ciphers: str, authority: Authority, pair: Pair
) -> None:
    context = plain_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with pytest.raises((SSL.Error, ssl.SSLError)):
        PlainPeer(context, "orders.example.com").shake(server(pair))


def test_a_client_without_alpn_is_served(authority: Authority, pair: Pair) -> None:
    peer = PlainPeer(ssl.create_default_context(cafile=authority.path), "orders.example.com")
    peer.shake(server(pair))
    assert peer.tls.selected_alpn_protocol() is None


def test_a_client_that_speaks_only_other_protocols_is_refused(authority: Authority, pair: Pair) -> None:
    context = plain_context(authority)
    context.set_alpn_protocols(["h2"])
    with pytest.raises(TLSRefused, match=r"no HTTP/1\.1"):
        PlainPeer(context, "orders.example.com").shake(server(pair))


def test_renegotiation_is_refused(pair: Pair) -> None:
    old = SSL.Context(SSL.TLS_CLIENT_METHOD)
    old.set_max_proto_version(SSL.TLS1_2_VERSION)
    ours, theirs = server(pair), SSL.Connection(old, None)
    theirs.set_connect_state()
    shake(ours, theirs)
    assert theirs.renegotiate()
    with pytest.raises(SSL.WantReadError):
        theirs.do_handshake()
    pump(theirs, ours)
    with pytest.raises(SSL.WantReadError):
        ours.recv(1)
    pump(ours, theirs)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        theirs.do_handshake()


def test_sends_the_whole_chain(tmp_path: Path, authority: Authority) -> None:
    between = Authority(tmp_path, "between", authority)
    one, other = server(between.issue("orders.example.com")), client("orders.example.com", authority)
    shake(one, other)
    chain = other.get_peer_cert_chain(as_cryptography=True)
    assert chain is not None
    assert chain[1] == between.certificate


def test_connections_share_the_context_and_a_new_certificate_serves_new_ones(
    authority: Authority, pair: Pair
) -> None:
    before, after = ServerTLS(pair.certificate, pair.key), None
    first, second = before.serverConnectionForTLS(None), before.serverConnectionForTLS(None)
    assert first.get_context() is second.get_context()
    renewed = authority.issue("orders.example.com")
    after = ServerTLS(renewed.certificate, renewed.key)
    for creator in (before, after):
        one, other = creator.serverConnectionForTLS(None), client("orders.example.com", authority)
        one.set_accept_state()
        shake(one, other)
        assert other.get_peer_certificate(as_cryptography=True) == one.get_certificate(as_cryptography=True)


@pytest.mark.parametrize(
    "host", ["orders.example.com", "ORDERS.example.com", "a.shop.example.com", "192.0.2.1", "2001:db8::1"]
)
def test_a_target_with_its_own_certificate_is_believed(host: str, authority: Authority, pair: Pair) -> None:
    one, other = server(pair), client(host, authority)
    shake(one, other)
    assert other.get_alpn_proto_negotiated() == HTTP_1_1
    expected = None if host[0] in "12" else host.encode()
    assert one.get_servername() == expected


@pytest.mark.parametrize(
    "host", ["other.example.com", "example.com", "a.b.shop.example.com", "192.0.2.2", "2001:db8::2", "orders"]
)
def test_a_certificate_of_somebody_else_is_refused(host: str, authority: Authority, pair: Pair) -> None:
    with pytest.raises(TLSRefused, match=f"the certificate is not that of {host}"):
        shake(server(pair), client(host, authority))


def test_a_certificate_for_nobody_is_refused(authority: Authority) -> None:
    with pytest.raises(TLSRefused, match="not that of orders"):
        shake(server(authority.issue()), client("orders.example.com", authority))


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    expired = authority.issue("orders.example.com", days=-1)
    with pytest.raises(TLSRefused, match="has expired"):
        shake(server(expired), client("orders.example.com", authority))


def test_an_unknown_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    stranger = Authority(tmp_path)
    with pytest.raises(TLSRefused, match="the certificate"):
        shake(server(stranger.issue("orders.example.com")), client("orders.example.com", authority))


def test_the_system_does_not_trust_just_anybody(pair: Pair) -> None:
    connection = ClientTLS("orders.example.com", client_settings(None, True)).clientConnectionForTLS(None)
    connection.set_connect_state()
    with pytest.raises(TLSRefused, match="unknown authority"):
        shake(server(pair), connection)


def upstream(**options: Any) -> UpstreamConfig:
    targets = (TargetConfig("https", "orders.example.com", 443),)
    return UpstreamConfig("orders", targets=targets, **options)


def test_a_context_is_built_once_for_each_way_to_verify(authority: Authority) -> None:
    contexts = UpstreamTLS()
    config = upstream(tls_ca=authority.path)
    creators = [
        contexts.creator(config, TargetConfig("https", host, 443)) for host in ("a.example", "b.example")
    ]
    first, second = (creator.clientConnectionForTLS(None) for creator in creators if creator is not None)
    assert first.get_context() is second.get_context()
    assert contexts.creator(config, TargetConfig("https", "a.example", 8443)) is creators[0]


def test_whom_an_upstream_trusts_is_told_by_the_content_of_the_file(tmp_path: Path) -> None:
    first, second = (Path(Authority(tmp_path, name).path).read_bytes() for name in ("first", "second"))
    path = tmp_path / "trusted.pem"
    told = []
    for content in (first, second, first):
        path.write_bytes(content)
        creator = UpstreamTLS().creator(upstream(tls_ca=str(path)), upstream().targets[0])
        assert creator is not None
        told.append(creator.authority)
    assert told[0] == told[2]
    assert len({*told, b""}) == 3


@pytest.mark.parametrize("tls_verify", [True, False])
def test_the_system_or_nobody_is_no_file(tls_verify: bool, authority: Authority) -> None:
    config = upstream(tls_ca=None if tls_verify else authority.path, tls_verify=tls_verify)
    creator = UpstreamTLS().creator(config, config.targets[0])
    assert creator is not None
    assert creator.authority == b""


def test_plain_text_needs_no_creator() -> None:
    assert UpstreamTLS().creator(upstream(), TargetConfig("http", "a.example", 80)) is None


def test_verification_can_be_turned_off_and_that_is_said_once(pair: Pair) -> None:
    contexts = UpstreamTLS()
    config = upstream(tls_verify=False)
    with capturedLogs() as events:
        for host in ("other.example.com", "192.0.2.9"):
            creator = contexts.creator(config, TargetConfig("https", host, 443))
            assert creator is not None
            connection = creator.clientConnectionForTLS(None)
            connection.set_connect_state()
            shake(server(pair), connection)
    (event,) = events
    assert "The certificates of upstream orders are not verified" in formatEvent(event)


def test_files_that_cannot_be_used_are_named(tmp_path: Path, authority: Authority, pair: Pair) -> None:
    other = authority.issue("other.example.com")
    empty = tmp_path / "empty.pem"
    empty.touch()
    with pytest.raises(ValueError, match="cannot be read"):
        ServerTLS(str(tmp_path / "missing.pem"), pair.key)
    with pytest.raises(ValueError, match=r"empty\.pem' holds no certificate"):
        ServerTLS(str(empty), pair.key)
    with pytest.raises(ValueError, match="does not belong to"):
        ServerTLS(pair.certificate, other.key)
    with pytest.raises(ValueError, match="does not belong to"):
        ServerTLS(pair.certificate, str(empty))
    with pytest.raises(ValueError, match=r"empty\.pem' holds no certificate"):
        client_settings(str(empty), True)
    with pytest.raises(ValueError, match="cannot be read"):
        client_settings(str(tmp_path / "missing.pem"), True)


def test_the_content_of_files_may_come_from_elsewhere(authority: Authority, pair: Pair) -> None:
    contents = {"pair.pem": pair.certificate, "pair.key": pair.key, "ca.pem": authority.path}

    def read(path: str) -> bytes:
        return Path(contents[path]).read_bytes()

    where = Endpoint("tcp:8443", "tcp", 8443)
    listener = ListenerConfig("a", endpoint=where, tls_certificate="pair.pem", tls_key="pair.key")
    serving = ServerTLS.of(listener, read)
    config = upstream(tls_ca="ca.pem")
    creator = UpstreamTLS(read).creator(config, config.targets[0])
    assert serving is not None
    assert creator is not None
    server, client = serving.serverConnectionForTLS(None), creator.clientConnectionForTLS(None)
    server.set_accept_state()
    client.set_connect_state()
    shake(server, client)


class Speaker(Protocol):
    """Says ``words`` when connected; keeps what it hears and how it ended."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self.heard = b""
        self.reason: Failure = connectionDone
        self.ended: Deferred[None] = Deferred()
        self.answered: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._words)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if not self.answered.called:
            self.answered.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.ended.callback(None)


class Loopback:
    """A TLS server on a real port, and clients of it."""

    def __init__(self, reactor: Any, pair: Pair, authority: Authority) -> None:
        self.reactor = reactor
        self._authority = authority
        self.served = Speaker(b"")
        factory = Factory.forProtocol(lambda: self.served)
        factory.noisy = False
        listening = TLSMemoryBIOFactory(ServerTLS(pair.certificate, pair.key), False, factory)
        self.port = reactor.listenTCP(0, listening, interface="127.0.0.1")

    async def connect(self, host: str, words: bytes) -> Speaker:
        creator = ClientTLS(host, client_settings(self._authority.path, True))
        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.port.getHost().port)
        factory = Factory.forProtocol(lambda: Speaker(words))
        factory.noisy = False
        connected = await wrapClientTLS(creator, endpoint).connect(factory)
        assert isinstance(connected, Speaker)
        return connected


async def test_bytes_pass_over_a_real_connection(reactor: Any, authority: Authority, pair: Pair) -> None:
    loopback = Loopback(reactor, pair, authority)
    connected = await loopback.connect("orders.example.com", b"hello")
    await loopback.served.answered
    assert loopback.served.heard == b"hello"
    connected.transport.loseConnection()  # type: ignore[union-attr]
    await connected.ended
    await loopback.served.ended
    await loopback.port.stopListening()


async def test_not_a_byte_goes_to_somebody_else(reactor: Any, authority: Authority, pair: Pair) -> None:
    loopback = Loopback(reactor, pair, authority)
    connected = await loopback.connect("other.example.com", b"secret")
    await connected.ended
    assert connected.reason.check(TLSRefused)
    assert connected.reason.getErrorMessage() == "the certificate is not that of other.example.com"
    await loopback.served.ended
    assert loopback.served.heard == b""
    await loopback.port.stopListening()


def test_the_authorities_of_an_upstream_are_those_of_its_https_targets() -> None:
    upstream = UpstreamConfig("a", targets=(TargetConfig("http", "a", 80), TargetConfig("https", "b", 443)))
    made = ClientTLS("b", client_settings(None, verify=False), b"whom")
    found = authorities(upstream, lambda upstream, target: made if target.scheme == "https" else None)
    assert found == {b"whom"}
