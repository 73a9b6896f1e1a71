"""What one hop tells the next: who the client is, through whom the request came, and under which id.

Rules
- A peer that ``trusted_proxies`` does not name is the client, and what it claims to be is overwritten
  (RFC 7239 section 8.1).  A trusted peer's claims are believed: the client is the right-most address of
  X-Forwarded-For that is not itself a trusted proxy.
- Via grows by this gateway's name; a request that carries the name already has come round (RFC 9110
  section 7.6.3).

This module reads claims and writes fields; it knows neither sockets nor connections.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twistedgate.errors import Refusal
from twistedgate.http.headers import Field, write_lines
from twistedgate.http.message import Request

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
_HOST = re.compile(rb"[A-Za-z0-9._~-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_PORT = re.compile(rb"[0-9]{1,5}")
_SCHEMES = {b"http": "http", b"https": "https"}

_KEPT = frozenset(
    (b"x-forwarded-prefix", b"x-forwarded-server", b"x-real-ip", b"x-original-url", b"x-rewrite-url")
)
"""Claims of a trusted peer that go on as they are."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a downstream connection, and how it came in."""

    address: str
    """The peer's IP address, or ``unix:`` for a unix socket."""
    port: int
    """The listener's port, as ``X-Forwarded-Port`` tells it; 0 for a unix socket."""
    scheme: str
    """``http`` or ``https``: what the client spoke to the listener."""
    is_trusted: bool
    """Whether ``trusted_proxies`` names the address."""
    listener: str
    """The listener's name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of a request beside its bytes: the client, what it spoke, the request's id."""

    client: str
    scheme: str
    request_id: str


class Introduction:
    """What is written of one peer for every request of its connection; the last host's is remembered."""

    __slots__ = ("authority", "fields", "lines", "peer")

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.authority: str | None = None
        self.fields: tuple[Field, ...] = ()
        self.lines = b""
        """How they are written, and the name of the request's id behind them."""


class Forwarder:
    """Writes the fields that this gateway adds to every request."""

    def __init__(self, name: str, trusted: Iterable[Network] = ()) -> None:
        """``name`` is this gateway's pseudonym in Via: a token that no other hop has."""
        self._name = name.encode("ascii")
        self._via: Field = (b"via", b"Via", b"1.1 " + self._name)
        self._trusted = tuple(trusted)

    def is_trusted(self, address: str) -> bool:
        """Whether ``trusted_proxies`` names the address; a peer on a unix socket is local and never named."""
        if not self._trusted:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)

    def dress(
        self, request: Request, claims: Sequence[Field], introduction: Introduction, request_id: str
    ) -> Caller | None:
        """Add the gateway's own fields to the request, believing ``claims`` as far as the peer is trusted.

        Returns what a trusted peer said of the caller, ``None`` where the peer is the caller.  Raises
        ``Refusal`` (508) for a request that has been here before.
        """
        peer = introduction.peer
        if claims:
            self._take_via(request, claims)
            if peer.is_trusted:
                return self._believe(request, claims, peer, request_id)
        authority = request.target.authority
        if authority != introduction.authority:
            introduction.authority = authority
            fields = self._own_fields(peer.address, peer.scheme, peer.port, authority)
            introduction.fields = tuple(fields)
            introduction.lines = write_lines(fields) + b"X-Request-Id: "
        text = request_id.encode()
        request.headers.extend(
            (*introduction.fields, (b"x-request-id", b"X-Request-Id", text)),
            introduction.lines + text + b"\r\n",
        )
        return None

    def _own_fields(self, address: str, scheme: str, port: int, authority: str) -> list[Field]:
        client, host = address.encode("ascii"), authority.encode("ascii")
        own: list[Field] = [
            (b"x-forwarded-for", b"X-Forwarded-For", client),
            (b"x-forwarded-proto", b"X-Forwarded-Proto", scheme.encode("ascii")),
        ]
        if host:
            own.append((b"x-forwarded-host", b"X-Forwarded-Host", host))
        if port:
            own.append((b"x-forwarded-port", b"X-Forwarded-Port", b"%d" % port))
        own.append((b"forwarded", b"Forwarded", _element(client, host, scheme.encode("ascii"))))
        own.append(self._via)
        return own

    def _take_via(self, request: Request, claims: Sequence[Field]) -> None:
        """Keep the Via that came, unless it names this gateway."""
        for claim in claims:
            if claim[0] == b"via":
                if _passed_through(claim[2], self._name):
                    raise Refusal(508, "loop")
                request.headers.extend((claim,), write_lines((claim,)))

    def _believe(self, request: Request, claims: Sequence[Field], peer: Peer, request_id: str) -> Caller:
        """Extend what a trusted peer says instead of replacing it."""
        said: dict[bytes, bytes] = {}
        for key, _, value in claims:
            said[key] = said[key] + b", " + value if key in said else value
        scheme = _SCHEMES.get(said.get(b"x-forwarded-proto", b"").lower(), peer.scheme)
        if _REQUEST_ID.fullmatch(said.get(b"x-request-id", b"")):
            request_id = said[b"x-request-id"].decode("ascii")
        host = said.get(b"x-forwarded-host", b"")
        port = said.get(b"x-forwarded-port", b"")
        own = self._own_fields(
            peer.address,
            scheme,
            int(port) if _PORT.fullmatch(port) else peer.port,
            host.decode("ascii") if _HOST.fullmatch(host) else request.target.authority,
        )
        fields: list[Field] = []
        for key, name, value in own:
            is_list = key in (b"x-forwarded-for", b"forwarded") and said.get(key)
            fields.append((key, name, said[key] + b", " + value if is_list else value))
        fields += [claim for claim in claims if claim[0] in _KEPT]
        fields.append((b"x-request-id", b"X-Request-Id", request_id.encode("ascii")))
        request.headers.extend(tuple(fields), write_lines(fields))
        return Caller(self._client(said.get(b"x-forwarded-for", b""), peer.address), scheme, request_id)

    def _client(self, chain: bytes, peer_address: str) -> str:
        """Walk X-Forwarded-For from the right, past trusted proxies, to the first address that is none."""
        client = peer_address
        for member in reversed(chain.split(b",")):
            address = _address(member.strip())
            if address is None:
                break
            client = address
            if not self.is_trusted(address):
                break
        return client


def _passed_through(via: bytes, name: bytes) -> bool:
    """Whether a member of Via was received by ``name``; a longer name that holds it is another's."""
    return name in via and any(member.split()[1:2] == [name] for member in via.split(b","))


def _address(member: bytes) -> str | None:
    """Return a member of X-Forwarded-For as an address, without brackets or port; ``None`` if it is none."""
    text = member.decode("latin-1")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _element(client: bytes, host: bytes, scheme: bytes) -> bytes:
    """Return one element of Forwarded (RFC 7239 section 4)."""
    node = client
    if b":" in client:
        node = b"unknown" if client.startswith(b"unix") else b'"[%b]"' % client
    if not host:
        return b"for=%b;proto=%b" % (node, scheme)
    if b":" in host or b"[" in host:
        host = b'"%b"' % host
    return b"for=%b;host=%b;proto=%b" % (node, host, scheme)
