"""TLS of listeners and of https upstreams.

TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers only, ALPN ``http/1.1`` only, no compression,
no renegotiation, no early data.  A context is built once for a configuration and shared by its connections;
a new certificate means a new object, which serves new connections while the old ones go on.  An upstream's
certificate is verified against its chain and against the host that the configuration names, never against
what the name resolved to.  Files are read by the function that is given, which may have their content.
This module does not know when connections are made.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from twistedgate.config.model import ListenerConfig, TargetConfig, UpstreamConfig

HTTP_1_1 = b"http/1.1"
"""The one application protocol that is spoken (RFC 7301)."""

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: Mozilla's "intermediate" without its finite-field DH; those of TLS 1.3 are all good."""

_VERDICTS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself and not trusted",
    19: "leads to an authority that is not trusted",
    20: "is signed by an unknown authority",
    21: "comes without the certificates between it and a trusted authority",
    26: "is not made for a server",
}
"""OpenSSL's verdicts on a chain (x509_vfy.h) that an operator meets, in words."""

Read = Callable[[str], bytes]
"""Gives the content of a file by its path; raises ``ValueError`` if it has none to give."""

_log = Logger()


def read_file(path: str) -> bytes:
    """Return what the file holds now."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"the file '{path}' cannot be read ({os.strerror(error.errno or 0)})") from None


class TLSRefused(SSL.Error):
    """The handshake is refused by us, for a reason that can be told."""

    def __init__(self, reason: str) -> None:
        # In the shape of OpenSSL's own error queue, which Twisted looks into.
        super().__init__([("twistedgate", "", reason)])
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """The TLS side of a listener; raises ``ValueError`` if its certificate or key cannot be used."""

    def __init__(self, certificate: str, key: str, read: Read = read_file) -> None:
        context = _settings(SSL.TLS_SERVER_METHOD)
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_alpn_select_callback(_select_protocol)
        # Tickets resume sessions with nothing kept here; a cache is memory for clients to fill.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        _use_certificate(context, (certificate, read(certificate)), (key, read(key)))
        self._settings = context

    @classmethod
    def of(cls, listener: ListenerConfig, read: Read = read_file) -> ServerTLS | None:
        """Return the TLS of a listener, ``None`` if it speaks plain text."""
        if listener.tls_certificate is None or listener.tls_key is None:
            return None
        return cls(listener.tls_certificate, listener.tls_key, read)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return the connection that ``tlsProtocol`` drives."""
        return SSL.Connection(self._settings, None)


@implementer(IOpenSSLServerConnectionCreator)
class CurrentTLS:
    """The TLS of an open listener, which a reload may replace for new connections."""

    def __init__(self, current: ServerTLS) -> None:
        self.current = current

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return a connection by the settings of now."""
        return self.current.serverConnectionForTLS(tlsProtocol)


class ServerTLSFactory(TLSMemoryBIOFactory):
    """Speaks TLS on the connections that another factory accepts, and on no others.

    Twisted's own wraps the ``None`` of a factory that turns a connection away: the connection stays.
    """

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]
        """Accept a connection if the other factory does."""
        wrapped = self.wrappedFactory.buildProtocol(addr)
        return None if wrapped is None else self.protocol(self, wrapped)


class UpstreamTLS:
    """The TLS of every https upstream of one configuration: one context for each way to verify."""

    def __init__(self, read: Read = read_file) -> None:
        self._read = read
        self._shared: dict[tuple[str | None, bool], tuple[SSL.Context, bytes]] = {}
        self._creators: dict[tuple[str, str], ClientTLS] = {}

    def creator(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS | None:
        """Return what makes connections to ``target``, ``None`` if it speaks plain text.

        Raises ``ValueError`` if ``tls_ca`` cannot be used.
        """
        if target.scheme != "https":
            return None
        key = upstream.name, target.host
        found = self._creators.get(key)
        if found is None:
            found = self._creators[key] = ClientTLS(target.host, *self._settings_of(upstream))
        return found

    def _settings_of(self, upstream: UpstreamConfig) -> tuple[SSL.Context, bytes]:
        if not upstream.tls_verify and not any(name == upstream.name for name, _ in self._creators):
            _log.warn(
                "The certificates of upstream {name} are not verified (tls_verify = no): "
                "whoever stands on the way can read and change what is sent.",
                name=upstream.name,
            )
        key = upstream.tls_ca, upstream.tls_verify
        found = self._shared.get(key)
        if found is None:
            trusted = upstream.tls_ca if upstream.tls_verify else None
            authority = hashlib.sha256(self._read(trusted)).digest() if trusted else b""
            found = self._shared[key] = client_settings(*key, self._read), authority
        return found


def authorities(
    upstream: UpstreamConfig, tls: Callable[[UpstreamConfig, TargetConfig], ClientTLS | None]
) -> set[bytes]:
    """Return what stands for the content of the files that say whom an upstream trusts."""
    found = (tls(upstream, target) for target in upstream.targets)
    return {one.authority for one in found if one is not None}


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """Makes connections to ``host``, a name or an address, whose certificate must be its own.

    ``authority`` stands for the content of the file that says whom to trust, empty if there is none: what was
    made under another one has not been asked for this proof.
    """

    def __init__(self, host: str, context: SSL.Context, authority: bytes = b"") -> None:
        self.host = host
        self.authority = authority
        self._settings = context
        self._server_name = None if _is_address(host) else host.encode("ascii")

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return the connection that ``tlsProtocol`` drives."""
        connection = _ExpectingConnection(self._settings, self.host)
        # No address in the server name (RFC 6066 section 3).
        if self._server_name is not None:
            connection.set_tlsext_host_name(self._server_name)
        return connection


class _ExpectingConnection(SSL.Connection):
    """A connection that knows whom it should find at its other end."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        super().__init__(context, None)
        self.expected_host = host


def client_settings(
    tls_ca: str | None, verify: bool, read: Read = read_file, protocols: tuple[bytes, ...] = (HTTP_1_1,)
) -> SSL.Context:
    """Return a context that trusts ``tls_ca``, the system if that is ``None``; raises ``ValueError``."""
    context = _settings(SSL.TLS_CLIENT_METHOD)
    if protocols:
        context.set_alpn_protos(list(protocols))
    if not verify:
        context.set_verify(SSL.VERIFY_NONE)
        return context
    context.set_verify(SSL.VERIFY_PEER, _verify)
    if tls_ca is None:
        context.set_default_verify_paths()
        return context
    text = read(tls_ca)
    store = context.get_cert_store()
    assert store is not None
    try:
        for certificate in x509.load_pem_x509_certificates(text):
            store.add_cert(X509.from_cryptography(certificate))
    except (ValueError, SSL.Error):
        raise ValueError(f"the file '{tls_ca}' holds no certificate that can be trusted") from None
    return context


def _settings(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    # An idle connection keeps no record buffers: 34 KiB less for each.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def _use_certificate(context: SSL.Context, certificate: tuple[str, bytes], key: tuple[str, bytes]) -> None:
    try:
        leaf, *chain = x509.load_pem_x509_certificates(certificate[1])
        context.use_certificate(leaf)
        for issuer in chain:
            context.add_extra_chain_cert(issuer)
    except (ValueError, SSL.Error) as error:
        raise ValueError(f"the file '{certificate[0]}' holds no certificate that can be used") from error
    try:
        context.use_privatekey(load_pem_private_key(key[1], None))  # type: ignore[arg-type]
        context.check_privatekey()
    except (TypeError, ValueError, SSL.Error) as error:
        raise ValueError(
            f"the key in '{key[0]}' does not belong to the certificate '{certificate[0]}'"
        ) from error


def _select_protocol(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose HTTP/1.1; a client that offers only other protocols is refused (RFC 7301 section 3.2)."""
    if HTTP_1_1 in offered:
        return HTTP_1_1
    raise TLSRefused("the client speaks no HTTP/1.1")


def _verify(connection: SSL.Connection, certificate: X509, verdict: int, depth: int, is_good: int) -> bool:
    """Judge one certificate of a chain; what is raised here ends the handshake."""
    if not is_good:
        raise TLSRefused(f"the certificate {_VERDICTS.get(verdict, f'is refused by OpenSSL ({verdict})')}")
    if depth == 0:
        assert isinstance(connection, _ExpectingConnection)
        _check_identity(certificate.to_cryptography(), connection.expected_host)
    return True


def _check_identity(certificate: x509.Certificate, host: str) -> None:
    """Refuse a certificate that is not ``host``'s own (RFC 9525)."""
    verify = verify_certificate_ip_address if _is_address(host) else verify_certificate_hostname
    try:
        verify(certificate, host)
    except (CertificateError, VerificationError):
        raise TLSRefused(f"the certificate is not that of {host}") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
