"""Header fields of one message: order and case as they came, names compared without case.

A field is the triple ``(key, name, value)``, all bytes: the lower-cased name, the name as it was
written, the value without surrounding blanks.  Whoever puts a value in answers for its form: ``set``
and ``add`` refuse what could end a line (RFC 9110 section 5.5), the codec has checked the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

Field = tuple[bytes, bytes, bytes]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def field(name: bytes, value: bytes) -> Field:
    """Return a checked field; ``ValueError`` if it could not stand on one line of a head."""
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"not a field name: {name!r}")
    if _BAD_VALUE.search(value) is not None:
        raise ValueError(f"a control character in the value of {name!r}")
    return name.lower(), name, value.strip(b" \t")


class Headers:
    """An ordered list of fields, searched by lower-cased name."""

    __slots__ = ("fields",)

    def __init__(self, fields: list[Field] | None = None) -> None:
        self.fields: list[Field] = [] if fields is None else fields

    @classmethod
    def of(cls, *pairs: tuple[bytes, bytes]) -> Headers:
        """Build from checked ``(name, value)`` pairs."""
        return cls([field(name, value) for name, value in pairs])

    def get(self, key: bytes) -> bytes | None:
        """Return the first value under the lower-cased ``key``."""
        for present, _, value in self.fields:
            if present == key:
                return value
        return None

    def get_all(self, key: bytes) -> list[bytes]:
        """Return every value under the lower-cased ``key``, in order."""
        return [value for present, _, value in self.fields if present == key]

    def has(self, key: bytes) -> bool:
        """Whether a field with the lower-cased ``key`` is there."""
        return any(present == key for present, _, _ in self.fields)

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field."""
        self.fields.append(field(name, value))

    def set(self, name: bytes, value: bytes) -> None:
        """Put one field in the place of the first of that name (or last); the others go."""
        new = field(name, value)
        kept: list[Field] = []
        for old in self.fields:
            if old[0] != new[0]:
                kept.append(old)
            elif new not in kept:
                kept.append(new)
        if new not in kept:
            kept.append(new)
        self.fields = kept

    def remove(self, key: bytes) -> None:
        """Take every field with the lower-cased ``key`` away."""
        self.keep(lambda present: present != key)

    def keep(self, wanted: Callable[[bytes], bool]) -> None:
        """Keep only the fields whose lower-cased name is ``wanted``."""
        self.fields = [old for old in self.fields if wanted(old[0])]

    def rename(self, key: bytes, name: bytes) -> None:
        """Give every field with the lower-cased ``key`` the new ``name``, value and place unchanged."""
        self.fields = [
            field(name, old[2]) if old[0] == key else old for old in self.fields
        ]

    def copy(self) -> Headers:
        """Return an independent list of the same fields."""
        return Headers(list(self.fields))

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __repr__(self) -> str:
        return f"<Headers {[(name, value) for _, name, value in self.fields]}>"


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """Split list-valued fields at commas (RFC 9110 section 5.6.1): lower-cased, empty members dropped."""
    found = []
    for value in values:
        for member in value.split(b","):
            member = member.strip(b" \t").lower()
            if member:
                found.append(member)
    return found
