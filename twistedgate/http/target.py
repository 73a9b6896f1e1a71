"""The target of a request and its host, normalised once and here only.

Rules (RFC 9112 section 3.2, RFC 3986):

- One canonical path serves matching, limits, logs and what is sent.  Escapes of unreserved characters are
  decoded and all others upper-cased, then repeated slashes are merged, then dot segments are resolved.  In
  that order, as nginx and file systems do it: ``/a//../b`` is ``/b``.
- What two readers could understand in two ways is refused, never repaired: a path that climbs above the
  root, a broken escape, ``%00``, an overlong UTF-8 form (another spelling of ``/`` or ``.`` for a lax
  decoder), and ``..;`` (a parent directory for servers that cut ``;params`` off first).  Any other
  ``;params`` are an opaque part of their segment.
- ``%2F`` and ``%5C`` stay as they are, never separate, and are reported: the route decides about them.
- The query goes on untouched.  It may hold only what RFC 3986 lets stand unescaped, and ``[`` and ``]``,
  which browsers send; its escapes are not judged, since nothing here depends on what they mean.
- An absolute-form target has the last word over ``Host``, which must be valid all the same.

This module knows neither routes nor headers: it is given two byte strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from twistedgate.errors import BadMessage

# No possessive quantifiers: CPython 3.11.2, which Debian 12 ships, lets them match what they must not.  What
# follows a repetition here is never one of its own characters, so that nothing is tried twice.
_SEGMENT = r"A-Za-z0-9\-._~!$&'()*+,;=:@\[\]"
_CLEAN = re.compile(rf"(/[{_SEGMENT}/]*)(\?[{_SEGMENT}/?%]*)?").fullmatch
"""What needs no look at escapes; whether the path is canonical is then a matter of ``//`` and ``/.``."""
_PATH = re.compile(rf"/[{_SEGMENT}/]*(?:%[0-9A-Fa-f]{{2}}[{_SEGMENT}/]*)*").fullmatch
_QUERY = re.compile(rf"(?:\?[{_SEGMENT}/?%]*)?").fullmatch
_ABSOLUTE = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)([^?]*)(.*)", re.DOTALL).fullmatch

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_OVERLONG = re.compile(r"%(?:C[01]%[89AB]|E0%[89]|F0%8|F8%8[0-7]|FC%8[0-3])")
"""The first bytes of a sequence that RFC 3629 section 3 forbids; in Latin-1 no text looks like that."""
_DOTS_WITH_PARAMETERS = re.compile(r"/\.{1,2};")
_SLASHES = re.compile("//+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_HOST = re.compile(
    r"(?:(?P<name>[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?)|\[(?P<six>[0-9a-f:.]{2,45})\])(?::(?P<port>[0-9]{1,5}))?"
).fullmatch
"""Narrower than RFC 3986's reg-name: without escapes and sub-delims, of which no host name is made."""
_LONGEST_NAME = 254  # RFC 1035 section 2.3.4: 255 octets on the wire; here with the final dot
_HOSTS_KEPT = 1024  # enough for the hosts of one gateway; a flood of invented ones costs a parse each


@dataclass(frozen=True, slots=True, init=False)
class RequestTarget:
    """Where a request is meant to go, in canonical form."""

    path: str
    """Begins with ``/``; or is ``*``, for ``OPTIONS *`` only."""
    query: str
    """As it came, with its ``?``; empty when there is none."""
    host: str
    """Lower-case, without port and final dot; IPv6 compressed, in brackets; empty if none was sent."""
    authority: str
    """What goes out as ``Host``: host and port as they came, in lower case."""
    has_encoded_slash: bool
    """Whether ``%2F`` or ``%5C`` is in the path."""

    def __init__(self, path: str, query: str, host: str, authority: str, has_encoded_slash: bool) -> None:
        # A frozen dataclass writes its fields by object.__setattr__: 570 ns; the slots themselves: 350 ns.
        _set_path(self, path)
        _set_query(self, query)
        _set_host(self, host)
        _set_authority(self, authority)
        _set_has_encoded_slash(self, has_encoded_slash)


_set_path = RequestTarget.__dict__["path"].__set__
_set_query = RequestTarget.__dict__["query"].__set__
_set_host = RequestTarget.__dict__["host"].__set__
_set_authority = RequestTarget.__dict__["authority"].__set__
_set_has_encoded_slash = RequestTarget.__dict__["has_encoded_slash"].__set__


def parse_target(method: str, raw: bytes, host: bytes | None, is_http10: bool) -> RequestTarget:
    """Understand the target of a request line together with the ``Host`` field (``None`` if there is none).

    Raises ``BadMessage`` 400: ``bad-path``, ``bad-host``, or ``bad-request`` for the form or the query.
    """
    if len(raw) <= _REMEMBERED_LENGTH:
        return _remembered(method, raw, host, is_http10)
    return _parse(method, raw, host, is_http10)


def _parse(method: str, raw: bytes, host: bytes | None, is_http10: bool) -> RequestTarget:
    if host is not None:
        clean = _CLEAN(raw.decode("latin-1"))
        if clean is not None:
            path, query = clean.groups("")
            if "//" not in path and "/." not in path:
                name, authority = parse_host(host) if host or not is_http10 else ("", "")
                return RequestTarget(path, query, name, authority, False)
    return _parse_unusual(method, raw, host, is_http10)


_REMEMBERED_LENGTH = 128
_remembered = lru_cache(1024)(_parse)
"""Targets that were asked for a moment ago: endpoints without an id, and whatever is polled."""


def _parse_unusual(method: str, raw: bytes, host: bytes | None, is_http10: bool) -> RequestTarget:
    if not host and is_http10:  # RFC 9112 section 3.2: only HTTP/1.1 requires it
        name = authority = ""
    elif host is None:
        raise BadMessage(400, "bad-host", "no Host")
    else:
        name, authority = parse_host(host)
    text = raw.decode("latin-1")
    if text == "*":  # section 3.2.4
        if method != "OPTIONS":
            raise BadMessage(400, "bad-request", "an asterisk is the target of OPTIONS only")
        return RequestTarget("*", "", name, authority, False)
    if text.startswith("/"):
        path, mark, rest = text.partition("?")
        query = mark + rest
    else:
        absolute = _ABSOLUTE(text)
        if absolute is None:  # authority-form is CONNECT's, which goes no further than the codec
            raise BadMessage(400, "bad-request", "the target is neither a path nor an http URI")
        path, query = absolute[2], absolute[3]
        name, authority = parse_host(absolute[1].encode("latin-1"))
        if not path and not query and method == "OPTIONS":
            return RequestTarget("*", "", name, authority, False)
    if _QUERY(query) is None:
        raise BadMessage(400, "bad-request", "the query holds what must be escaped")
    path = canonical_path(path or "/")
    return RequestTarget(path, query, name, authority, "%2F" in path or "%5C" in path)


def canonical_path(path: str) -> str:
    """Return the one spelling of ``path``; ``BadMessage`` 400 ``bad-path`` if it has none."""
    if _PATH(path) is None:
        raise BadMessage(400, "bad-path", "a broken escape, or a character that must be escaped")
    if "%" in path:
        path = _ESCAPE.sub(_spell, path)
        if "%00" in path:
            raise BadMessage(400, "bad-path", "an escaped NUL")
        if _OVERLONG.search(path) is not None:
            raise BadMessage(400, "bad-path", "an overlong UTF-8 form")
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if "/." in path:
        if _DOTS_WITH_PARAMETERS.search(path) is not None:
            raise BadMessage(400, "bad-path", "a dot segment with parameters")
        path = _without_dots(path)
    return path


def _spell(escape: re.Match[str]) -> str:
    """RFC 3986 section 6.2.2: an unreserved character stands for itself, any other escape is upper-case."""
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, except that nothing is above the root."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if not kept:
                raise BadMessage(400, "bad-path", "above the root")
            kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


@lru_cache(maxsize=_HOSTS_KEPT)
def parse_host(raw: bytes) -> tuple[str, str]:
    """Return ``(host, authority)`` of the value of a ``Host`` field; ``BadMessage`` 400 ``bad-host``.

    A host name or an IPv4 address, or an IPv6 address in brackets, and a port of one to five digits
    (RFC 9110 section 7.2).  Userinfo, a list, an empty value and an empty port are refused.
    """
    authority = raw.decode("latin-1").lower()
    found = _HOST(authority)
    if found is None or int(found["port"] or 0) > 65535 or len(found["name"] or "") > _LONGEST_NAME:
        raise BadMessage(400, "bad-host", "not host or host:port")
    if found["name"] is not None:
        return found["name"].removesuffix("."), authority
    try:
        return f"[{IPv6Address(found['six'])}]", authority
    except AddressValueError:
        raise BadMessage(400, "bad-host", "not an IPv6 address") from None
