"""How the things of HTTP and of the network are written in options: targets, endpoints, paths, headers.

Each notation is a type (see ``config.values``) and, where a word is not enough, a frozen value.  What
could mean two things is refused here, so that nothing later has to guess.  Nothing here opens a socket
or asks a name server.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode
from dataclasses import dataclass

from twistedgate.config.values import (
    NAME_PATTERN,
    Secret,
    Surroundings,
    ValueType,
    lines_of,
    list_of,
    matching,
    scalar,
    secret,
    wrong,
)
from twistedgate.errors import BadMessage
from twistedgate.http.target import parse_host

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_SOCKET_PATH = 107  # sun_path of Linux, with its final NUL
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def is_host(text: str) -> bool:
    """Whether ``text`` is a host name, an IPv4 address, or an IPv6 address in brackets.

    Numbers that some resolvers take for IPv4 addresses (``127.1``, ``0x7f000001``) are refused.
    """
    if text.startswith("[") and text.endswith("]"):
        return _is_address(text[1:-1], 6)
    if len(text) > 253 or _HOST.fullmatch(text) is None:
        return False
    return _is_address(text, 4) if _NUMERIC_LABEL.fullmatch(text.rsplit(".", 1)[-1]) else True


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version and "%" not in text
    except ValueError:
        return False


def _parse_port(text: str, low: int = 1) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or not low <= int(text) <= 65535:
        raise ValueError(f"'{text}' is not a port ({low} to 65535)")
    return int(text)


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One address of an upstream; an IPv6 ``host`` stands without its brackets."""

    scheme: str
    host: str
    port: int
    weight: int = 1

    @property
    def authority(self) -> str:
        """``host:port`` as a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """``scheme://host:port``."""
        return f"{self.scheme}://{self.authority}"


def _parse_target(text: str) -> TargetConfig:
    url, *words = text.split()
    weight = 1
    for word in words:
        found = re.fullmatch(r"weight=([0-9]{1,4})", word)
        if found is None or int(found[1]) > 1000:
            raise ValueError(f"'{word}' of the target '{url}' is not a weight; write weight=0 to weight=1000")
        weight = int(found[1])
    found = re.fullmatch(r"(https?)://(\[[^\]]*\]|[^:/?#@\[\]]*)(?::([^/?#@]*))?(.*)", url, re.DOTALL)
    if found is None:
        raise wrong(url, "a target")
    scheme, host, port, rest = found.groups()
    if rest:
        raise ValueError(
            f"the target '{url}' has something after its port; "
            "a path belongs into the route's add_prefix, a user name into a header"
        )
    if not is_host(host):
        raise ValueError(f"the target '{url}' has no valid host (a name in ASCII, or a full IP address)")
    number = _parse_port(port) if port is not None else {"http": 80, "https": 443}[scheme]
    return TargetConfig(scheme, host.strip("[]").lower(), number, weight)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a listener listens.  ``text`` is what Twisted's ``serverFromString`` takes.

    ``scheme`` is ``tcp``, ``tcp6``, ``unix`` or ``systemd``; ``port`` and ``interface`` belong to the first
    two (an empty interface means every address), ``path`` to the third.
    """

    text: str
    scheme: str
    port: int = 0
    interface: str = ""
    path: str = ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it: a loopback address or a unix socket."""
        if self.scheme == "unix":
            return True
        try:
            return ipaddress.ip_address(self.interface).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return self.text


_PARAMETERS = {
    "tcp": ("port", "interface"),
    "tcp6": ("port", "interface"),
    "unix": ("address",),
    "systemd": ("domain", "index", "name"),
}


def _split_endpoint(text: str) -> list[str]:
    r"""Split at colons, except after ``\``, which takes the next character as it is."""
    parts = [""]
    for found in re.finditer(r"\\(.)|(:)|([^\\:]+|\\)", text, re.DOTALL):
        if found[2]:
            parts.append("")
        else:
            parts[-1] += found[1] or found[3]
    return parts


def _endpoint_parameters(scheme: str, parts: list[str]) -> dict[str, str]:
    known = _PARAMETERS[scheme]
    found: dict[str, str] = {}
    if "" in parts[1:]:
        raise ValueError("an address with colons wants them escaped, as interface=\\:\\:1")
    for place, part in enumerate(parts):
        word, equals, value = part.partition("=")
        if not equals:
            word, value = (known[0], part) if place == 0 else (part, "")
        if word not in known or word in found:
            raise ValueError(
                f"'{part}' does not belong into a {scheme}: endpoint, which takes {', '.join(known)} "
                "(mode, backlog and TLS are options of their own)"
            )
        found[word] = value
    return found


def _parse_endpoint(text: str) -> Endpoint:
    if any(char.isspace() for char in text):
        raise wrong(text, "an endpoint")
    scheme, *parts = _split_endpoint(text)
    if scheme in ("ssl", "tls"):
        raise ValueError(f"'{text}': write tcp:, and tls_certificate and tls_key for TLS")
    if scheme not in _PARAMETERS:
        raise wrong(text, "an endpoint")
    parameters = _endpoint_parameters(scheme, parts)
    if scheme == "systemd":
        if parameters.get("domain") not in ("INET", "INET6", "UNIX"):
            raise ValueError(f"'{text}' wants a domain: INET, INET6 or UNIX")
        if ("index" in parameters) == ("name" in parameters):
            raise ValueError(f"'{text}' wants either index=NUMBER or name=NAME")
        return Endpoint(text, scheme)
    if scheme == "unix":
        if not parameters.get("address"):
            raise ValueError(f"'{text}' has no path")
        if len(parameters["address"].encode()) > _LONGEST_SOCKET_PATH:
            raise ValueError(f"the path of '{text}' is longer than {_LONGEST_SOCKET_PATH} bytes")
        return Endpoint(text, scheme, path=parameters["address"])
    interface = parameters.get("interface", "")
    if interface and not _is_address(interface, 6 if scheme == "tcp6" else 4):
        raise ValueError(f"the interface '{interface}' is not an IP address of {scheme}:")
    return Endpoint(text, scheme, _parse_port(parameters.get("port", ""), 0), interface)


@dataclass(frozen=True, slots=True)
class Respond:
    """An answer that the gateway gives by itself."""

    status: int
    text: str


def _parse_respond(text: str) -> Respond:
    found = re.fullmatch(r'([2-5][0-9][0-9])(?:\s+"(.*)")?', text, re.DOTALL)
    if found is None:
        raise wrong(text, "an answer")
    status, body = int(found[1]), found[2] or ""
    # RFC 9110 sections 15.3.5 and 15.4.5: these two have no content.
    if status in (204, 304) and body:
        raise ValueError(f"an answer of status {status} has no text")
    return Respond(status, body)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect that the gateway gives by itself (RFC 9110 section 15.4)."""

    status: int
    location: str


def _parse_redirect(text: str) -> Redirect:
    found = re.fullmatch(r"(301|302|303|307|308)[ \t]+(\S+)", text)
    if found is None:
        raise wrong(text, "a redirect")
    location = found[2]
    if re.fullmatch(r"(?:https?://[^/?#]+|/(?!/))[!#$%&'()*+,./:;=?@_~0-9A-Za-z\[\]-]*", location) is None:
        raise ValueError(f"'{location}' is not a location: http://..., https://... or /...")
    return Redirect(int(found[1]), location)


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            near = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"'{text}' has bits set past its prefix; write {near}") from None
        raise wrong(text, "an address or a network") from None


def _parse_host_pattern(text: str) -> str:
    """Return the pattern with its host spelled as ``parse_host`` spells a request's."""
    if text == "*":
        raise ValueError("'*' is not a host; leave host empty for any")
    wildcard = "*." if text.startswith("*.") else ""
    try:
        host, written = parse_host(text.removeprefix("*.").encode())
    except BadMessage:
        raise wrong(text, "a host") from None
    if ":" in written.rpartition("]")[2]:
        raise ValueError(f"'{text}' has a port, which is not matched; write {wildcard}{host}")
    if wildcard and host.startswith("["):
        raise wrong(text, "a host")
    return f"{wildcard}{host}"


def _parse_method(text: str) -> str:
    if re.fullmatch(_WORD, text) is None or len(text) > 32:
        raise wrong(text, "a method")
    if text in ("CONNECT", "TRACE"):
        raise ValueError(f"{text} never reaches a route")
    if text != text.upper():
        raise ValueError(f"methods are case-sensitive; write {text.upper()}")
    return text


def _parse_condition(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if re.fullmatch(_WORD, name) is None or not value.isprintable() or not value.isascii():
        raise wrong(text, "a condition")
    return name, value if equals else None


def _parse_statuses(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?", text)
    if found is None:
        raise wrong(text, "a status or a range of them")
    low, high = int(found[1]), int(found[2] or found[1])
    if high < low:
        raise ValueError(f"'{text}' runs backwards; write {high}-{low}")
    return low, high


def _parse_host_header(text: str) -> str:
    if text in ("preserve", "target"):
        return text
    return _parse_authority(text)


def _parse_authority(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "80"
    if not is_host(host):
        raise wrong(text, "a host")
    _parse_port(port)
    return text


def _parse_callback_host(text: str) -> str:
    """Return a host that callbacks may go to, with ``http://`` before it or not."""
    scheme, bare = ("http://", text[7:]) if text.startswith("http://") else ("", text)
    suffix = bare.removeprefix("*.")
    host = f"[{suffix}]" if _is_address(suffix, 6) else suffix
    if not is_host(host) or (suffix != bare and (_is_address(suffix, 4) or host.startswith("["))):
        raise wrong(text, "a host")
    return f"{scheme}{bare.lower()}"


def _read_webhook_secret(text: str, around: Surroundings) -> Secret:
    """Read what Standard Webhooks signs with: ``whsec_`` and 24 to 64 bytes in base64; it is never shown."""
    found = secret.read(text, around)
    if not found:
        return found
    try:
        size = len(b64decode(found.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not found.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("is not whsec_ and 24 to 64 bytes in base64")
    return found


def _parse_digest(text: str) -> bytes:
    found = re.fullmatch(r"sha256:([0-9a-fA-F]{64})", text)
    if found is None:
        # The text may be the key itself, so it is not shown.
        raise ValueError("is not the digest of a key; `twistedgate keys new` prints a key and its line")
    return bytes.fromhex(found[1])


target = scalar(
    "target", "http://HOST:PORT or https://HOST:PORT, then weight=N if it is not 1", _parse_target
)
targets = list_of(target)
endpoint = scalar(
    "endpoint",
    "tcp:PORT:interface=ADDRESS, tcp6:PORT:interface=ADDRESS, unix:PATH, or systemd:domain=INET:index=0",
    _parse_endpoint,
)
respond = scalar("answer", 'a status from 200 to 599, and "text" in quotes', _parse_respond)
redirect = scalar("redirect", "301, 302, 303, 307 or 308, and a location", _parse_redirect)
network = scalar("network", "IP addresses and networks in CIDR notation", _parse_network)
host_pattern = scalar("host", "host names, exact or *.suffix", _parse_host_pattern)
method = scalar("method", "methods in upper case, such as GET", _parse_method)
condition = scalar("condition", "Name=value (equals) or Name (is there)", _parse_condition)
conditions = lines_of(condition)
statuses = scalar("status", "statuses and ranges, such as 200-399", _parse_statuses)
host_header = scalar("host", "preserve, target, or a literal host", _parse_host_header)
authority = scalar("host", "a host, with :PORT if need be", _parse_authority)
callback_host = scalar(
    "host",
    "host names, exact or *.suffix, and IP addresses, with http:// before what needs no TLS",
    _parse_callback_host,
)
webhook_secret = ValueType(
    "secret",
    "whsec_ and 24 to 64 bytes in base64, ${VARIABLE}, or file:PATH as the whole value",
    _read_webhook_secret,
)
digest = scalar("digest", "sha256:HEX as `twistedgate keys new` prints it", _parse_digest)
hash_key = matching(
    "key", "ip, path, header:NAME, cookie:NAME or query:NAME", rf"ip|path|(?:header|cookie|query):{_WORD}"
)
group = matching("group", "names of groups", NAME_PATTERN)
parameter = matching("parameter", "names of query parameters", r"[!$'()*+,./:;@_~0-9A-Za-z\[\]-]+")
