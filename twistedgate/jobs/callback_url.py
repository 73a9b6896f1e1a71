"""Whether a client may have a URL called back: its form, its host, and the addresses that the host has.

Rules:

- A URL has one reading, or it is refused: ASCII only (an international name is written as its A-labels),
  no user name, no fragment, no backslash, no escape in the host, a port from 1 to 65535 if there is one.
  Upper case and a final dot of the host are not kept.
- Its host is in the route's list: exactly, or under a ``*.suffix``, which no address is ever under.  An
  address is in the list if it is that very address; one that is spelled in another way than usual
  (``127.1``, ``0x7f000001``, ``2130706433``, ``0177.0.0.1``) is none, and nothing else either.
- It is https; http only where the list says ``http://HOST`` or names an address, for which hardly anybody
  has a certificate: on the way the status and the id of the job would be everybody's to read.
- All addresses of the host are public, or in the list themselves: with one that is not, the host is refused.
  The list speaks of addresses, not of what they stand for: ``127.0.0.1`` does not admit ``::ffff:127.0.0.1``.

The same is asked at submission and each time before it is called.  Nothing here looks a name up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twistedgate.config.notation import is_host
from twistedgate.jobs.addresses import Address, is_public, read_address
from twistedgate.routing.match import covers_host

LONGEST = 2048
"""Characters of a URL: what is commonly understood everywhere, and kept with each job."""

_PORTS = {"https": 443, "http": 80}
_PATH = r"[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2}"
_URL = re.compile(rf"([A-Za-z]+)://([^/?#]*)((?:/(?:{_PATH})*)?)((?:\?(?:{_PATH}|[?\[\]])*)?)").fullmatch
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::([0-9]{1,5}))?").fullmatch


class CallbackRefused(ValueError):
    """The URL, or what its host resolves to, is not to be called; the text says why."""


@dataclass(frozen=True, slots=True)
class CallbackURL:
    """A URL that was understood."""

    scheme: str
    """``https`` or ``http``."""
    host: str
    """In lower case, without final dot; an IPv6 address compressed, without brackets."""
    port: int
    target: str
    """Path and query, as they are sent."""

    @property
    def authority(self) -> str:
        """What is sent as ``Host``: without the port where that is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return its one spelling, which is read as the same URL again."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_callback_url(text: str) -> CallbackURL:
    """Understand the value of ``Callback-URL``; raises ``CallbackRefused``."""
    if len(text) > LONGEST:
        raise CallbackRefused(f"the URL is longer than {LONGEST} characters")
    found = _URL(text)
    if found is None:
        raise CallbackRefused("it is not an absolute URL without a fragment, in ASCII")
    scheme, authority, path, query = found[1].lower(), found[2], found[3], found[4]
    if scheme not in _PORTS:
        raise CallbackRefused("it is neither https nor http")
    host, port = _parse_authority(authority)
    return CallbackURL(scheme, host, _PORTS[scheme] if port is None else port, f"{path or '/'}{query}")


def _parse_authority(text: str) -> tuple[str, int | None]:
    if "@" in text:
        raise CallbackRefused("it has a user name")
    found = _AUTHORITY(text)
    if found is None:
        raise CallbackRefused("its host or port is not valid")
    host, port = found[1].lower().removesuffix("."), None if found[2] is None else int(found[2])
    if port is not None and not 0 < port < 65536:
        raise CallbackRefused("its port is not one of 1 to 65535")
    # Not only the form: of the spellings of an address only the usual one is left after this.
    if not is_host(host):
        raise CallbackRefused("its host is not a name, nor an address in its usual form")
    address = read_address(host)
    return host if address is None else str(address), port


@dataclass(frozen=True, slots=True)
class _Entry:
    """One host of a list: a pattern, or an address."""

    pattern: str
    address: Address | None
    takes_http: bool

    @classmethod
    def parse(cls, text: str) -> _Entry:
        pattern = text.removeprefix("http://").lower().removesuffix(".")
        address = read_address(pattern)
        suffix = pattern.removeprefix("*.")
        if address is None and (not is_host(suffix) or read_address(suffix) is not None):
            raise ValueError(f"'{text}' is not a host, exact or *.suffix")
        return cls(pattern, address, address is not None or text.startswith("http://"))

    def covers(self, url: CallbackURL) -> bool:
        """Tell whether the URL may be called as far as this entry goes."""
        if url.scheme == "http" and not self.takes_http:
            return False
        address = read_address(url.host)
        if address is not None or self.address is not None:
            return address == self.address
        return covers_host(self.pattern, url.host)


@dataclass(frozen=True, slots=True)
class CallbackHosts:
    """The hosts that a route lets its clients name."""

    entries: tuple[_Entry, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> CallbackHosts:
        """Read ``HOST``, ``*.SUFFIX``, an address, each with ``http://`` before it or not; ``ValueError``."""
        return cls(tuple(_Entry.parse(text) for text in texts))

    def judge(self, text: str) -> CallbackURL:
        """Return the URL that may be called back; raises ``CallbackRefused``."""
        url = parse_callback_url(text)
        if any(entry.covers(url) for entry in self.entries):
            return url
        raise CallbackRefused(f"{url.scheme}://{url.authority} is not among the hosts of this route")

    def judge_addresses(self, host: str, found: Sequence[str]) -> tuple[str, ...]:
        """Return the addresses of a host, all of which may be connected to; raises ``CallbackRefused``."""
        if not found:
            raise CallbackRefused(f"{host} has no address")
        return tuple(self._judge_address(host, text) for text in found)

    def _judge_address(self, host: str, text: str) -> str:
        address = read_address(text)
        if address is None or not (is_public(address) or any(one.address == address for one in self.entries)):
            raise CallbackRefused(f"{host} has the address {text}, which is not public")
        return str(address)
