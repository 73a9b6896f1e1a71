"""How header fields and paths are written in options, and what of them an option may not touch.

A header's value may be a template: ``{client} {host} {request_id} {route} {consumer}`` stand for values
of the exchange, any other brace for itself.  Paths are wanted in the one canonical form that requests
are matched in, so that a rule cannot be written that never applies.
"""

from __future__ import annotations

import re
from typing import Final

from twistedgate.config.values import lines_of, list_of, scalar, wrong
from twistedgate.errors import BadMessage
from twistedgate.http.target import canonical_path

TEMPLATE_NAMES: Final = ("client", "host", "request_id", "route", "consumer")
"""What a template may hold: values of the exchange."""

FRAMING_NAMES: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that frame or route a message (RFC 9112 section 6, RFC 9110 section 7): the gateway's own."""

HeaderLine = tuple[bytes, bytes]

_WORD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


def _parse_field_name(text: str) -> bytes:
    if _WORD.fullmatch(text) is None:
        raise wrong(text, "a header's name")
    name = text.encode("ascii")
    if name.lower() in FRAMING_NAMES:
        advice = "; see host_header of the upstream" if name.lower() == b"host" else ""
        raise ValueError(f"'{text}' belongs to the gateway and cannot be changed{advice}")
    return name


def _parse_header_line(text: str) -> HeaderLine:
    name, colon, value = text.partition(":")
    if not colon:
        raise wrong(text, "a header; it lacks the colon")
    if _CONTROL.search(value):
        raise ValueError(f"the value of {name.strip()} holds a line break or another control character")
    for found in _PLACEHOLDER.finditer(value):
        if found[1] not in TEMPLATE_NAMES:
            known = " ".join(f"{{{known}}}" for known in TEMPLATE_NAMES)
            raise ValueError(f"{found[0]} is not a value of the exchange; there are {known}")
    return _parse_field_name(name.strip()), value.strip().encode()


def _parse_renaming(text: str) -> HeaderLine:
    old, colon, new = text.partition(":")
    if not colon:
        raise wrong(text, "a renaming; it lacks the colon")
    return _parse_field_name(old.strip()), _parse_field_name(new.strip())


def split_template(value: bytes) -> tuple[bytes, ...]:
    """Split a template: literals at even places, names of ``TEMPLATE_NAMES`` at odd ones."""
    return tuple(part.encode() for part in _PLACEHOLDER.split(value.decode()))


def _check_segments(text: str, segments: list[str]) -> None:
    """Refuse what no request's path can hold: only the canonical spelling ever matches."""
    for segment in segments:
        if not segment.isascii():
            raise ValueError(f"'{segment}' in '{text}' is not ASCII; write {_escaped(segment)}")
        if segment in (".", ".."):
            raise ValueError(f"'{text}' never matches; dot segments are resolved before")
        try:
            canonical = canonical_path(f"/{segment}")[1:]
        except BadMessage as error:
            raise ValueError(f"'{segment}' in '{text}' is refused in requests: {error.detail}") from None
        if canonical != segment:
            raise ValueError(f"'{segment}' in '{text}' never matches; write {canonical}")


def _escaped(segment: str) -> str:
    return "".join(
        char if char.isascii() else "".join(f"%{byte:02X}" for byte in char.encode()) for char in segment
    )


def _check_shape(text: str) -> None:
    if not text.startswith("/") or re.search(r"\s", text):
        raise wrong(text, "a path")
    if "?" in text or "#" in text:
        raise ValueError(f"'{text}' has a query or a fragment, which are not matched")
    if "//" in text:
        raise ValueError(
            f"'{text}' never matches; repeated slashes are merged, write {re.sub('//+', '/', text)}"
        )


def _parse_route_path(text: str) -> str:
    if text == "*":
        return text
    _check_shape(text)
    segments = text.removesuffix("/*").split("/")[1:]
    parameters = [segment for segment in segments if _PARAMETER.fullmatch(segment)]
    if len(set(parameters)) < len(parameters):
        raise ValueError(f"'{text}' has a parameter twice")
    literals = [segment for segment in segments if segment not in parameters]
    for segment in literals:
        if "{" in segment or "}" in segment:
            raise ValueError(f"'{segment}' in '{text}': a {{parameter}} is a whole segment")
        if "*" in segment:
            raise ValueError(f"'{text}': * stands only at the end, as /*; write %2A for the character")
    _check_segments(text, literals)
    return text


def _parse_prefix(text: str) -> str:
    _check_shape(text)
    if text.endswith("/"):
        raise ValueError(f"'{text}' ends with a slash; write {text.rstrip('/') or 'nothing'}")
    if set("*{}") & set(text):
        raise ValueError(f"'{text}' is a pattern; a prefix is literal")
    _check_segments(text, text.split("/")[1:])
    return text


def _parse_origin(text: str) -> str:
    """Check a path with its query, as a request line has it (RFC 9112 section 3.2.1)."""
    if re.fullmatch(r"/(?:[!$&'()*+,./:;=?@_~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*", text) is None:
        raise wrong(text, "a path")
    return text


_TEMPLATE_HELP = "Name: value, which may hold " + " ".join(f"{{{known}}}" for known in TEMPLATE_NAMES)

header_lines = lines_of(scalar("header", _TEMPLATE_HELP, _parse_header_line))
renamings = lines_of(scalar("renaming", "Old-Name: New-Name", _parse_renaming))
field_name = scalar("header's name", "a header's name", _parse_field_name)
field_names = list_of(scalar("header's name", "names of headers", _parse_field_name))
route_path = scalar(
    "route path", "/exact, /prefix/*, /users/{id}/cart, or * for everything", _parse_route_path
)
prefix = scalar("prefix", "the beginning of a path, such as /orders", _parse_prefix)
origin = scalar("request path", "a path, such as /health", _parse_origin)
