"""What a client prefers (RFC 7240): to be answered asynchronously, and how long it would wait before that.

Rules
- Names are compared without case; of several of one name the first counts (section 2).  What is not known or
  not well formed is no preference of ours; it is neither refused nor changed.
- ``respond-async`` and ``wait`` are the gateway's own, and are taken out of what goes on to the upstream.

This module knows neither routes nor what they allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

RESPOND_ASYNC: Final = b"respond-async"
WAIT: Final = b"wait"

# no two alternatives begin alike, so that nothing is ever read twice
_PIECE: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[^,"]+|,', re.DOTALL)
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_SECONDS: Final = re.compile(rb"[0-9]{1,9}")
_BLANKS: Final = b" \t"


@dataclass(frozen=True, slots=True)
class Preference:
    """What a request prefers, as far as jobs are concerned."""

    is_async: bool = False
    wait: float | None = None
    """Seconds that the client would wait; ``None`` where it does not say."""
    rest: bytes | None = None
    """The other preferences, as one field's value for the upstream; ``None`` where there are none."""


NOTHING: Final = Preference()


def parse_prefer(values: Iterable[bytes]) -> Preference:
    """Read the values of all ``Prefer`` fields of a request."""
    is_async, wait = False, None
    rest: list[bytes] = []
    seen: set[bytes] = set()
    for member in _members(values):
        name, value = _read(member)
        if name not in {RESPOND_ASYNC, WAIT}:
            rest.append(member)
        elif name not in seen:
            seen.add(name)
            if name == RESPOND_ASYNC:
                is_async = value == b""
            elif value is not None and _SECONDS.fullmatch(value):
                wait = float(value)
    return Preference(is_async, wait, b", ".join(rest) if rest else None)


def _members(values: Iterable[bytes]) -> Iterator[bytes]:
    """Split lists at their commas, those in quotes apart; empty members are dropped."""
    for value in values:
        member: list[bytes] = []
        for piece in [*_PIECE.findall(value), b","]:
            if piece != b",":
                member.append(piece)
                continue
            whole = b"".join(member).strip(_BLANKS)
            member.clear()
            if whole:
                yield whole


def _read(member: bytes) -> tuple[bytes, bytes | None]:
    """Return name and value of a member, its parameters apart; ``None`` as value if it is not well formed."""
    found = _NAME.match(member)
    if found is None:
        return b"", None
    name, rest = found[0].lower(), member[found.end() :].lstrip(_BLANKS)
    value = b""
    if rest.startswith(b"="):
        given = _VALUE.match(rest[1:].lstrip(_BLANKS))
        if given is None:
            return name, None
        rest = rest[1:].lstrip(_BLANKS)[given.end() :].lstrip(_BLANKS)
        value = given[0]
        if value.startswith(b'"'):
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL)
    # an empty value is none (section 2)
    return name, value if not rest or rest.startswith(b";") else None


def applied(preference: Preference, *, waited: bool) -> bytes:
    """Return the value of ``Preference-Applied`` (section 3): what of the preference was followed."""
    if not waited or preference.wait is None:
        return RESPOND_ASYNC
    wait = b"wait=%d" % int(preference.wait)
    return b"respond-async, " + wait if preference.is_async else wait
