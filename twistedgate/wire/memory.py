"""What was judged of blocks of bytes, remembered by exactly these bytes, within bounds.

Clients and servers say the same over and over.  This module does not know how anything is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from twistedgate.http.message import WrittenHead
from twistedgate.http.status import status_line
from twistedgate.wire.framing import ResponseFields

Said = TypeVar("Said")

MEMORY_BLOCK = 2048
"""Bytes of the largest block of fields that is remembered."""
MEMORY_SIZE = 2 * 1024 * 1024
"""Bytes of memory, roughly, for the younger half of what is remembered; the older is no larger."""

_FIELD_COST = 256
"""Bytes of memory, roughly, for a field beside its text: a triple and three objects."""


class Memory(Generic[Said]):
    """What was judged of blocks of bytes; the older half is forgotten when the younger is full."""

    __slots__ = ("_room", "older", "younger")

    def __init__(self) -> None:
        self.younger: dict[bytes, Said] = {}
        self.older: dict[bytes, Said] = {}
        self._room = MEMORY_SIZE

    def recall(self, block: bytes) -> Said | None:
        """Return what was judged of exactly these bytes."""
        said = self.younger.get(block)
        if said is None and (said := self.older.pop(block, None)) is not None:
            self.keep(block, said)
        return said

    def keep(self, block: bytes, said: Said) -> None:
        """Remember a judgement."""
        if len(block) > MEMORY_BLOCK:
            return
        cost = 4 * len(block) + _FIELD_COST * block.count(b"\r\n")
        if cost > self._room:
            self.older, self.younger = self.younger, {}
            self._room = MEMORY_SIZE
        self._room -= cost
        self.younger[block] = said


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The head of an answer that was judged before."""

    status: int
    phrase: bytes
    said: ResponseFields
    written: WrittenHead | None
    """How it goes on to a client, if it is a final one and announces how long a body follows."""


def written_head(status: int, phrase: bytes, said: ResponseFields) -> WrittenHead | None:
    """Return how the head of a final answer is written, if it announces how long a body follows."""
    if (
        status < 200
        or status in (204, 304)
        or said.length < 0
        or all(key != b"date" for key, _, _ in said.fields)
    ):
        return None
    line = status_line(status, phrase)
    text = b"%b%bContent-Length: %d\r\n" % (line, said.lines, said.length)
    return WrittenHead(status, phrase, said.fields, said.lines, said.length, text)
