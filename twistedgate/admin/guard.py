"""Who may speak to the operator's resources: pure decisions about one request.

A page of some other site, open in the operator's browser, can send requests to this machine's addresses under
its own name (DNS rebinding); so the ``Host`` must name this machine: a loopback name or address, or the
address that the connection came to.  A unix socket is out of a browser's reach.  The token is compared in
constant time.  This module does not know what a request asks for.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence

from twistedgate.errors import BadMessage, Refusal
from twistedgate.http.target import parse_host

CHALLENGE = (b"WWW-Authenticate", b'Bearer realm="twistedgate admin"')


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
