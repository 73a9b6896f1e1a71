"""How a client says that two calls are one: ``Idempotency-Key``, and by what it is seen that they are not.

A key is a string of RFC 8941 (``"a\\"b"``), as draft-ietf-httpapi-idempotency-key-header wants, or the same
without quotes, as most clients write it: both forms of one key are the same key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

LONGEST_KEY: Final = 255
"""Characters of a key, as Stripe and others have it."""

_QUOTED: Final = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_PLAIN: Final = re.compile(rb"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
"""Without blanks, quotes, backslashes and commas: two fields that were joined are not one key."""


class BadKey(ValueError):
    """The ``Idempotency-Key`` cannot be understood."""


def parse_key(values: Sequence[bytes]) -> str:
    """Return the key of a request by the values of its ``Idempotency-Key`` fields; empty if there is none."""
    if not values:
        return ""
    if len(values) > 1:
        raise BadKey("there are several keys")
    value = values[0].strip(b" \t")
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        key = re.sub(rb"\\(.)", rb"\1", quoted[1])
    elif _PLAIN.fullmatch(value) is not None:
        key = value
    else:
        raise BadKey("the key is not a string")
    if not 0 < len(key) <= LONGEST_KEY:
        raise BadKey(f"the key has not 1 to {LONGEST_KEY} characters")
    return key.decode("ascii")


class Fingerprint:
    """What tells a call from another one under the same key: method, path, query and body."""

    __slots__ = ("_hash",)

    def __init__(self, method: str, path: str, query: str) -> None:
        self._hash = hashlib.sha256()
        for part in (method, path, query):
            text = part.encode()
            # with its length, so that nothing of one part is taken for another's
            self._hash.update(b"%d:%b" % (len(text), text))

    def add(self, piece: bytes) -> None:
        """Take a piece of the body, in order."""
        self._hash.update(piece)

    def text(self) -> str:
        """Return the fingerprint of what came so far."""
        return self._hash.hexdigest()


def fingerprint(method: str, path: str, query: str, body: bytes) -> str:
    """Return the fingerprint of a call whose body is here."""
    whole = Fingerprint(method, path, query)
    whole.add(body)
    return whole.text()
