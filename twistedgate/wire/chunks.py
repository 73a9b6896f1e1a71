"""Where a chunked body ends: found by the sizes of its chunks, so that its parser is fed not a byte more.

llhttp judges every byte of the body (RFC 9112 section 7.1); it only cannot tell where in a feed a message
ended.  What this scan cannot follow, or what the parser sees otherwise, is refused by whoever uses both.
"""

from __future__ import annotations

import re

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n").fullmatch

_PLAIN_LINE = re.compile(rb"(0{0,15}[1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n").match

LONGEST_LINE = 16 * 1024 + 32
"""Bytes of a line with a chunk's size: all the extensions of a body, and more digits than a size has."""


class ChunkScan:
    """Follows one body.

    ``extensions`` counts the bytes of the lines with sizes beyond their shortest form, ``trailers`` those
    behind the last chunk.
    """

    __slots__ = ("_is_behind", "_line", "_skip", "_tail", "extensions", "trailers")

    def __init__(self) -> None:
        self._line = b""
        self._skip = 0
        self._is_behind = False
        self._tail = b""
        self.extensions = 0
        self.trailers = 0

    def find_end(self, piece: bytes) -> int:
        """Return where in ``piece`` the body ends, -1 if further on; ``ValueError`` for what is no chunk."""
        at, size = 0, len(piece)
        while at < size and not self._is_behind:
            if not self._line:
                at = self._skip_chunks(piece, at)
                if at >= size:
                    break
            end = piece.find(b"\n", at) + 1
            self._line += piece[at : end or size]
            if len(self._line) > LONGEST_LINE:
                raise ValueError("a line with a chunk's size is too long")
            if not end:
                return -1
            at = end
            self._begin_chunk()
        return self._find_end_of_trailers(piece, at) if self._is_behind else -1

    def _skip_chunks(self, piece: bytes, at: int) -> int:
        """Pass over the chunk that is under way and over every plain one behind it."""
        size = len(piece)
        at += self._skip
        while at < size and (found := _PLAIN_LINE(piece, at)) is not None:
            digits = found[1]
            self.extensions += len(digits) - len(digits.lstrip(b"0"))
            at = found.end() + int(digits, 16) + 2
        self._skip = max(at - size, 0)
        return at

    def _begin_chunk(self) -> None:
        line, self._line = self._line, b""
        found = _SIZE_LINE(line)
        if found is None:
            raise ValueError("a line with a chunk's size is not valid")
        count = int(found[1], 16)
        self.extensions += len(line) - len(f"{count:x}") - 2
        if count:
            self._skip = count + 2
        else:
            self._is_behind = True
            self._tail = b"\r\n"

    def _find_end_of_trailers(self, piece: bytes, at: int) -> int:
        text = self._tail + piece[at:]
        end = text.find(b"\r\n\r\n")
        if end < 0:
            self.trailers += len(piece) - at
            self._tail = text[-3:]
            return -1
        self.trailers += end + 4 - len(self._tail)
        return at + end + 4 - len(self._tail)
