"""A result that is written where an operator wants it: raw, or as JSON, to a file or to standard output.

On a terminal nothing is written that moves its cursor or speaks to it: strangers may have chosen the bytes.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def head_text(result: Mapping[str, Any]) -> bytes:
    """Return the head of an answer as HTTP would write it; credentials are not in it."""
    lines = [f"HTTP/1.1 {result['status']} {result['phrase']}".rstrip()]
    lines += [f"{name}: {value}" for name, value in result["headers"]]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1", "replace")


def as_json(result: Mapping[str, Any], pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give one JSON object: what is known of an answer, and its body in base64, which holds any bytes."""
    written = json.dumps({**result, "encoding": "base64", "body": ""}, indent=2)
    yield written.removesuffix('"\n}').encode()
    rest = b""
    for piece in pieces:
        rest += piece
        whole = len(rest) // 3 * 3
        yield base64.b64encode(rest[:whole])
        rest = rest[whole:]
    yield base64.b64encode(rest) + b'"\n}\n'


def for_terminal(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give text that can be read: what is none is shown as replaced."""
    decode = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield _readable(decode.decode(piece))
    yield _readable(decode.decode(b"", final=True))


def _readable(text: str) -> bytes:
    unix = text.replace("\r\n", "\n")
    shown = (char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in unix)
    return "".join(shown).encode()
