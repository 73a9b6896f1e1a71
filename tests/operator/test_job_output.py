from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from twistedgate.operator.job_output import as_json, for_terminal, head_text

RESULT = {"status": 200, "phrase": "Fine", "headers": [["Content-Type", "text/plain"], ["X", "café"]]}


def test_a_head_is_written_as_http_has_it() -> None:
    assert head_text(RESULT) == b"HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nX: caf\xe9\r\n\r\n"
    assert head_text({"status": 204, "phrase": "", "headers": []}) == b"HTTP/1.1 204\r\n\r\n"


@given(st.lists(st.binary(max_size=9)))
def test_json_holds_any_bytes_however_they_come(pieces: list[bytes]) -> None:
    told = json.loads(b"".join(as_json({"id": "x", **RESULT}, pieces)))
    body = base64.b64decode(told.pop("body"))
    assert body == b"".join(pieces)
    assert told == {"id": "x", **RESULT, "encoding": "base64"}


def test_a_terminal_is_not_spoken_to() -> None:
    pieces = [b"a\tb\r\nc\x1b[2J\x07 caf\xc3", b"\xa9 \xff\x9b31m\xe2\x80\xae"]
    shown = b"".join(for_terminal(pieces)).decode()
    bad = "\N{REPLACEMENT CHARACTER}"
    assert shown == f"a\tb\nc{bad}[2J{bad} café {bad}{bad}31m{bad}"


@given(st.lists(st.binary(max_size=9)))
def test_whatever_it_is_said(pieces: list[bytes]) -> None:
    shown = b"".join(for_terminal(pieces)).decode()
    assert all(char.isprintable() or char in "\n\t" for char in shown)
