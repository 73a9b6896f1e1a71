"""Who may speak to the operator's resources: pure decisions about one request.

A page of some other site, open in the operator's browser, can send requests to this machine's addresses under
its own name (DNS rebinding); so the ``Host`` must name this machine: a loopback name or address, or the
address that the connection came to.  A unix socket is out of a browser's reach.  The token is compared in
constant time.  A request that may change something must not be one that a web page can have sent without
being asked first (cross-site request forgery): a browser tells of every such request where it came from, and
a form cannot send JSON.  This module does not know what a request asks for.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Sequence

from twistedgate.errors import BadMessage, Refusal
from twistedgate.http.target import parse_host

CHALLENGE = (b"WWW-Authenticate", b'Bearer realm="twistedgate admin"')

OF_BROWSERS = (b"origin", b"sec-fetch-site")
"""Fields that browsers send with what a page asks for, and pages cannot leave out."""


class Guard:
    """Lets requests through that speak to this machine and bear the token, if there is one."""

    def __init__(self, token: str) -> None:
        self._digest = _digest(token.encode()) if token else None

    def check(self, hosts: Sequence[bytes], local: str | None, credentials: Sequence[bytes]) -> None:
        """Raise ``Refusal`` unless the request may pass.

        ``hosts`` and ``credentials`` are the values of ``Host`` and ``Authorization``; ``local`` is the
        address that the connection came to, ``None`` for a unix socket.
        """
        if local is not None and (len(hosts) != 1 or not is_own_host(hosts[0], local)):
            # RFC 9110 section 15.5.20: this server does not answer for that authority.
            raise Refusal(421, "bad-host")
        if self._digest is None:
            return
        if not credentials:
            raise Refusal(401, "no-credentials", fields=(CHALLENGE,))
        scheme, _, token = credentials[0].partition(b" ")
        is_right = hmac.compare_digest(_digest(token.strip()), self._digest)
        if len(credentials) != 1 or scheme.lower() != b"bearer" or not is_right:
            raise Refusal(401, "bad-credentials", fields=(CHALLENGE,))


def check_origin(has_field: Callable[[bytes], bool], kinds: Sequence[bytes]) -> None:
    """Raise ``Refusal`` if a web page may have sent a request that is more than reading.

    ``has_field`` tells whether the request has a field of that name, ``kinds`` are the values of
    ``Content-Type``: none, or JSON, which no page may send elsewhere unasked.
    """
    is_json = all(kind.partition(b";")[0].strip().lower() == b"application/json" for kind in kinds)
    if not is_json or any(has_field(name) for name in OF_BROWSERS):
        raise Refusal(403, "cross-site")


def is_own_host(host: bytes, local: str) -> bool:
    """Tell whether a ``Host`` names this machine: by a loopback name or address, or as ``local``.

    The port is not looked at: what forwards one port to another leaves the client's in the field.
    """
    try:
        name, _ = parse_host(host)
    except BadMessage:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name.strip("[]"))
    return address is not None and (address.is_loopback or address == _address(local))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket of both families tells an IPv4 address in IPv6's form.
    return getattr(address, "ipv4_mapped", None) or address


def _digest(token: bytes) -> bytes:
    # Of one length, whatever was sent.
    return hashlib.sha256(token).digest()
