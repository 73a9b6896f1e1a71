"""A key is the same with quotes and without, and another call has another fingerprint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.keys import LONGEST_KEY, BadKey, Fingerprint, fingerprint, parse_key

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=LONGEST_KEY)
PLAIN = st.text("abcXYZ0189-_.:/+=~!()[]{}@", min_size=1, max_size=LONGEST_KEY)
PARTS = st.tuples(*[st.text("aP/?7:", max_size=4)] * 3, st.binary(max_size=4))


@given(PRINTABLE)
def test_whatever_stands_in_quotes_is_the_key(key: str) -> None:
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert parse_key([quoted.encode()]) == key


@given(PLAIN)
def test_quotes_make_no_difference(key: str) -> None:
    assert parse_key([key.encode()]) == parse_key([f'"{key}"'.encode()]) == key


def test_blanks_around_a_key_are_not_of_it() -> None:
    assert parse_key([b" k\t"]) == parse_key([b' "k" ']) == "k"


def test_no_field_is_no_key() -> None:
    assert parse_key([]) == ""


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b'""'],
        [b'"'],
        [b"a b"],
        [b"a,b"],
        [b'a"b'],
        [b'"a"b"'],
        [b'"a\\b"'],
        [b'"a'],
        [b'"a";p=1'],
        [b"a\\b"],
        [b"caf\xe9"],
        [b'"caf\xe9"'],
        [b"a\x00"],
        [b"k" * (LONGEST_KEY + 1)],
        [b'"' + b"k" * (LONGEST_KEY + 1) + b'"'],
        [b"k", b"k"],
        [b"k", b"l"],
    ],
)
def test_what_is_no_key_is_refused(values: list[bytes]) -> None:
    with pytest.raises(BadKey):
        parse_key(values)


def test_the_longest_key_is_one() -> None:
    assert len(parse_key([b"k" * LONGEST_KEY])) == LONGEST_KEY
    assert parse_key([b'"' + b'\\"' * LONGEST_KEY + b'"']) == '"' * LONGEST_KEY


@given(PARTS, PARTS)
def test_two_calls_have_the_same_fingerprint_only_if_they_are_one(
    one: tuple[str, str, str, bytes], other: tuple[str, str, str, bytes]
) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


@given(st.binary(max_size=20), st.integers(0, 20))
def test_however_a_body_came_it_is_one(body: bytes, cut: int) -> None:
    pieces = Fingerprint("POST", "/", "?a")
    pieces.add(body[:cut])
    pieces.add(body[cut:])
    assert pieces.text() == fingerprint("POST", "/", "?a", body)


def test_parts_do_not_run_into_one_another() -> None:
    calls = [
        ("POST", "/a", "?b", b""),
        ("POST", "/a?b", "", b""),
        ("POST", "/a", "", b"?b"),
        ("POST/", "a", "?b", b""),
    ]
    assert len({fingerprint(*call) for call in calls}) == len(calls)
