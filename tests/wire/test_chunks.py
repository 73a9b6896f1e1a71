"""Where a chunked body ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.reading import split
from twistedgate.wire.chunks import LONGEST_LINE, ChunkScan

PIECES = st.lists(
    st.sampled_from([b"\r\n", b"0", b"\r\n0\r\n\r\n", b"abc", b"\x00" * 40]), min_size=1, max_size=4
)
CHUNKS = st.lists(PIECES.map(b"".join), max_size=6)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b' ; a="b"'])
TRAILERS = st.sampled_from([b"", b"T: 1\r\n", b"T: 1\r\nU: 2\r\n"])


def ends_at(body: bytes, cuts: list[int]) -> int:
    """Feed ``body`` in pieces; return where the scan sees its end."""
    scan, passed = ChunkScan(), 0
    for piece in split(body, cuts):
        end = scan.find_end(piece)
        if end >= 0:
            return passed + end
        passed += len(piece)
    return -1


@given(CHUNKS, EXTENSIONS, TRAILERS, st.binary(max_size=8), st.lists(st.integers(0, 400)))
def test_finds_the_end_however_the_body_is_cut(
    chunks: list[bytes], extension: bytes, trailers: bytes, behind: bytes, cuts: list[int]
) -> None:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    body += b"0\r\n" + trailers + b"\r\n"
    assert ends_at(body + behind, cuts) == len(body)
    assert ends_at(body[:-1], cuts) == -1


@pytest.mark.parametrize("line", [b"", b"x", b"0x5", b"+5", b"-1", b" 5", b"5 ", b"5_0", b"5\x0b", b"1" * 17])
def test_refuses_what_is_no_size(line: bytes) -> None:
    with pytest.raises(ValueError, match="size"):
        ChunkScan().find_end(line + b"\r\nhello\r\n0\r\n\r\n")


def test_refuses_a_line_without_end() -> None:
    scan = ChunkScan()
    assert scan.find_end(b"5;" + b"a" * (LONGEST_LINE - 2)) == -1
    with pytest.raises(ValueError, match="too long"):
        scan.find_end(b"a")


def test_counts_what_is_more_than_the_shortest_form() -> None:
    scan = ChunkScan()
    body = b"0001\r\na\r\n1;b=c\r\na\r\n0\r\nT: 1\r\n\r\n"
    assert scan.find_end(body + b"rest") == len(body)
    assert scan.extensions == 3 + 4
    assert scan.trailers == len(b"T: 1\r\n\r\n")
