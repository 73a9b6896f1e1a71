"""Which addresses are everybody's, and which lead into this machine, its network or nowhere.

An address is public if it is a global unicast address that is nobody's special one, and neither is an IPv4
address that it stands for: ``::ffff:10.0.0.1`` and ``64:ff9b::10.0.0.1`` are ``10.0.0.1``.  The tables are
those of IANA's registries of special-purpose addresses (RFC 6890); ``ipaddress.is_global`` is another table
with each patch release of Python, and older ones lack some of these.  This module knows no names.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_SPECIAL_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # behind a carrier's NAT, RFC 6598; the metadata of one cloud is in it
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # looks public, and is the platform of Azure's machines
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; the metadata of one cloud
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4, given up by RFC 7526
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; the broadcast address
    )
)

_UNICAST = IPv6Network("2000::/3")
"""What is global unicast so far (RFC 4291 section 2.4); all else is special, or belongs to nobody."""

_SPECIAL_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation, RFC 9637
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052; 64:ff9b:1::/48 is for a site's own use, so it is special
_SIX_TO_FOUR = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""How an interface identifier begins that ends with the IPv4 address of a site (RFC 5214 section 6.1)."""


def read_address(text: str) -> Address | None:
    """Return the address that is written here in its usual form, ``None`` if it is none.

    Brackets may be around IPv6.  Numbers that only some readers take for addresses (``127.1``,
    ``0177.0.0.1``, ``2130706433``), and addresses with a zone, are none.
    """
    try:
        address = ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address if address.scope_id is None else None
    return address if not text.startswith("[") else None


def is_public(address: Address) -> bool:
    """Tell whether anybody may be sent there: neither it nor what it stands for is special."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    if not all(is_public(embedded) for embedded in _embedded(address)):
        return False
    if address in _MAPPED or address in _NAT64:
        return True
    return address in _UNICAST and not any(address in network for network in _SPECIAL_6)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Give the IPv4 addresses that a packet to this address may end at."""
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if address in _MAPPED or address in _NAT64 or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield low
    if address in _SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & 0xFFFFFFFF)
