"""Preferences are read as RFC 7240 writes them, and only the gateway's own are taken out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.prefer import NOTHING, Preference, applied, parse_prefer

TOKENS = st.text("abcxyz-", min_size=1, max_size=6)
OTHERS = st.one_of(
    TOKENS.map(str),
    st.tuples(TOKENS, TOKENS).map("=".join),
    st.tuples(TOKENS, st.text('ab ,;=\\"', max_size=5)).map(
        lambda pair: pair[0] + '="' + pair[1].replace("\\", "\\\\").replace('"', '\\"') + '"; p="q,r"'
    ),
).filter(lambda text: not text.startswith("wait"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], NOTHING),
        ([b""], NOTHING),
        ([b"respond-async"], Preference(is_async=True)),
        ([b"Respond-ASYNC , WAIT = 5"], Preference(True, 5.0)),
        ([b"respond-async, wait=5"], Preference(True, 5.0)),
        ([b"respond-async", b"wait=5"], Preference(True, 5.0)),
        ([b"wait=10"], Preference(wait=10.0)),
        ([b"wait=0, wait=10"], Preference(wait=0.0)),
        ([b'wait="7"'], Preference(wait=7.0)),
        ([b"wait=7; why=not"], Preference(wait=7.0)),
        ([b'respond-async=""'], Preference(is_async=True)),
        ([b"respond-async; x=1"], Preference(is_async=True)),
        # not well formed, or not what is defined
        ([b"respond-async=yes"], NOTHING),
        ([b"wait"], NOTHING),
        ([b"wait="], NOTHING),
        ([b"wait=-1"], NOTHING),
        ([b"wait=1.5"], NOTHING),
        ([b"wait=1 2"], NOTHING),
        ([b"wait=9999999999"], NOTHING),
        ([b"respond-async x"], NOTHING),
        ([b"respond-asynchronously"], Preference(rest=b"respond-asynchronously")),
        # others' preferences
        ([b"return=minimal, respond-async"], Preference(is_async=True, rest=b"return=minimal")),
        ([b'foo="a, respond-async", wait=3'], Preference(wait=3.0, rest=b'foo="a, respond-async"')),
        ([b'foo="a\\", respond-async"'], Preference(rest=b'foo="a\\", respond-async"')),
        ([b'foo="open, respond-async'], Preference(rest=b'foo="open, respond-async')),
        ([b", ,a,, b ,"], Preference(rest=b"a, b")),
        ([b"=5, wait=2"], Preference(wait=2.0, rest=b"=5")),
    ],
)
def test_a_preference_is_read(values: list[bytes], expected: Preference) -> None:
    assert parse_prefer(values) == expected


@given(st.lists(OTHERS, max_size=5), st.integers(0, 5), st.booleans())
def test_what_is_not_ours_goes_on_as_it_was(others: list[str], place: int, is_one_field: bool) -> None:
    members = [other.encode() for other in others]
    ours = [*members[:place], b"respond-async", b"wait=3", *members[place:]]
    preference = parse_prefer([b",".join(ours)] if is_one_field else ours)
    assert preference == Preference(True, 3.0, b", ".join(members) if members else None)
    assert parse_prefer([preference.rest or b""]) == Preference(rest=preference.rest)


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_nothing_that_is_sent_is_an_error(values: list[bytes]) -> None:
    preference = parse_prefer(values)
    assert preference.wait is None or 0 <= preference.wait < 1e9
    again = parse_prefer([preference.rest or b""])
    assert (again.is_async, again.wait) == (False, None)


def test_a_long_field_is_read_once() -> None:
    for hostile in (b'"' * 60_000, b"a" + b" " * 60_000 + b"b", b'wait="' + b"\\" * 60_001, b"," * 60_000):
        assert parse_prefer([hostile]).wait is None


def test_what_was_followed_is_said() -> None:
    both, alone = Preference(True, 5.0), Preference(False, 5.0)
    assert applied(both, waited=True) == b"respond-async, wait=5"
    assert applied(both, waited=False) == b"respond-async"
    assert applied(alone, waited=True) == b"wait=5"
    assert applied(Preference(True), waited=True) == b"respond-async"
