"""What becomes of a field, by its name alone: passed on, dropped, set apart, or judged.

Rules
- Hop-by-hop fields end here (RFC 9110 section 7.6.1), and so do names with an underscore, which many servers
  take for a hyphen, and those by which the gateway itself tells an upstream who is calling.
- Fields by which a proxy speaks for a client are claims: whether they are believed is decided where the peer
  is known.

This module decides by tables; what a field's value means is judged in ``framing``.
"""

from __future__ import annotations

PLAIN, DROP, CLAIM, HOST, LENGTH, CODING, CONNECTION, UPGRADE, EXPECT, TE = range(10)
"""Kinds of fields; plain numbers, which are compared for every field of every message."""

REQUEST_KINDS: dict[bytes, int] = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"te": TE,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authorization": DROP,
    b"proxy-authenticate": DROP,
    b"trailer": DROP,
    b"http2-settings": DROP,
    b"x-forwarded-for": CLAIM,
    b"x-forwarded-proto": CLAIM,
    b"x-forwarded-host": CLAIM,
    b"x-forwarded-port": CLAIM,
    b"x-forwarded-server": CLAIM,
    b"x-forwarded-prefix": CLAIM,
    b"forwarded": CLAIM,
    b"x-real-ip": CLAIM,
    b"x-original-url": CLAIM,
    b"x-original-host": CLAIM,
    b"x-rewrite-url": CLAIM,
    b"x-request-id": CLAIM,
    b"via": CLAIM,
}

RESPONSE_KINDS: dict[bytes, int] = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authenticate": DROP,
    b"proxy-authorization": DROP,
    b"te": DROP,
    b"trailer": DROP,
    # the gateway says under which id it knows the exchange; a second one would only confuse
    b"x-request-id": DROP,
}

UNREMOVABLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"authorization", b"cookie"))
"""Fields that a Connection header may not take away: a client must not blind the next hop."""

SINGLE = frozenset(
    b"authorization content-type content-range range if-range if-match if-none-match if-modified-since "
    b"if-unmodified-since date depth destination overwrite".split()
)
"""Fields of a request that servers read the first or the last of: twice is refused, as nginx does."""

FORBIDDEN_TRAILERS = frozenset(
    b"transfer-encoding content-length host connection te trailer upgrade expect keep-alive proxy-connection "
    b"cache-control max-forwards authorization proxy-authorization proxy-authenticate www-authenticate "
    b"cookie set-cookie content-encoding content-type content-range content-location age date expires "
    b"location retry-after vary x-forwarded-for x-forwarded-host x-forwarded-proto forwarded".split()
)
"""Fields that have no meaning after a body, or a dangerous one (RFC 9110 section 6.5.1)."""

_MAX_NAMES = 2048
_MAX_NAME = 64
"""Spellings remembered for each direction, and the longest of them: under a MiB in all.  A client that
invents names costs a little time, never memory."""


class Names:
    """Remembers, for each spelling of a field name, its lower-cased key and its kind."""

    def __init__(self, kinds: dict[bytes, int], *, drops_identity: bool) -> None:
        self._kinds = kinds
        self._drops_identity = drops_identity
        self._known: dict[bytes, tuple[bytes, int]] = {}
        self.get = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, name: bytes) -> tuple[bytes, int]:
        """Judge a name that was not seen before."""
        key = name.lower()
        kind = self._kinds.get(key, PLAIN)
        is_identity = key == b"x-consumer" or key.startswith(b"x-consumer-")
        if b"_" in name or (self._drops_identity and is_identity):
            kind = DROP
        if len(self._known) < _MAX_NAMES and len(name) <= _MAX_NAME:
            self._known[name] = (key, kind)
        return key, kind


REQUEST_NAMES = Names(REQUEST_KINDS, drops_identity=True)
RESPONSE_NAMES = Names(RESPONSE_KINDS, drops_identity=False)
