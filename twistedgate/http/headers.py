"""Header fields of one message: order and case as they came, names compared without case.

A field is the triple ``(key, name, value)``, all bytes: the lower-cased name, the name as it was
written, the value without surrounding blanks.  Whoever puts a value in answers for its form: ``set``
and ``add`` refuse what could end a line (RFC 9110 section 5.5), the codec has checked the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

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
    """An ordered list of fields, searched by lower-cased name, that remembers how it is written."""

    __slots__ = ("_fields", "known_lines")

    def __init__(self, fields: Sequence[Field] = (), lines: bytes | None = None) -> None:
        """``fields`` are checked already; ``lines`` is how they are written, where that is known."""
        self._fields: tuple[Field, ...] = tuple(fields)
        self.known_lines = lines
        """How the fields are written, ``None`` until somebody asks; see ``lines``."""

    @classmethod
    def of(cls, *pairs: tuple[bytes, bytes]) -> Headers:
        """Build from ``(name, value)`` pairs, which are checked."""
        return cls([field(name, value) for name, value in pairs])

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field, in order."""
        return self._fields

    @fields.setter
    def fields(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)
        self.known_lines = None

    @property
    def lines(self) -> bytes:
        """The fields as they stand in a head, each line with its CRLF."""
        lines = self.known_lines
        if lines is None:
            lines = self.known_lines = write_lines(self._fields)
        return lines

    def get(self, key: bytes) -> bytes | None:
        """Return the first value under the lower-cased ``key``."""
        for present, _, value in self._fields:
            if present == key:
                return value
        return None

    def get_all(self, key: bytes) -> list[bytes]:
        """Return every value under the lower-cased ``key``, in order."""
        return [value for present, _, value in self._fields if present == key]

    def has(self, key: bytes) -> bool:
        """Whether a field with the lower-cased ``key`` is there."""
        return self.get(key) is not None

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field."""
        self.fields = (*self._fields, field(name, value))

    def extend(self, fields: tuple[Field, ...], lines: bytes) -> None:
        """Append checked fields of which it is known how they are written."""
        self._fields += fields
        if self.known_lines is not None:
            self.known_lines += lines

    def set(self, name: bytes, value: bytes) -> None:
        """Put one field in the place of the first of that name (or last); the others go."""
        new = field(name, value)
        kept: list[Field] = []
        is_placed = False
        for old in self._fields:
            if old[0] != new[0]:
                kept.append(old)
            elif not is_placed:
                kept.append(new)
                is_placed = True
        if not is_placed:
            kept.append(new)
        self.fields = kept

    def remove(self, key: bytes) -> None:
        """Take every field with the lower-cased ``key`` away."""
        self.keep(lambda present: present != key)

    def keep(self, wanted: Callable[[bytes], bool]) -> None:
        """Keep only the fields whose lower-cased name is ``wanted``."""
        kept = [old for old in self._fields if wanted(old[0])]
        if len(kept) != len(self._fields):
            self.fields = kept

    def rename(self, key: bytes, name: bytes) -> None:
        """Give every field with the lower-cased ``key`` the new ``name``, value and place unchanged."""
        self.fields = [field(name, old[2]) if old[0] == key else old for old in self._fields]

    def copy(self) -> Headers:
        """Return an independent list of the same fields."""
        return Headers(self._fields, self.known_lines)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __repr__(self) -> str:
        return f"<Headers {[(name, value) for _, name, value in self._fields]}>"


def write_lines(fields: Iterable[Field]) -> bytes:
    """Return checked fields as the lines of a head."""
    pieces: list[bytes] = []
    for _, name, value in fields:
        pieces += (name, b": ", value, b"\r\n")
    return b"".join(pieces)


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """Split list-valued fields at commas (RFC 9110 section 5.6.1): lower-cased, empty members dropped."""
    found = [member.strip(b" \t").lower() for value in values for member in value.split(b",")]
    return [member for member in found if member]
