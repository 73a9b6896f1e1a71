from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.observers.redaction import REDACTED, Redaction

NAMES = ("key", "token", "api_key")


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("key=s3cret", "key=***"),
        ("a=1&key=s3cret&b=2", "a=1&key=***&b=2"),
        ("a=1;token=s3cret;b=2", "a=1;token=***;b=2"),
        ("KEY=s3cret", "KEY=***"),
        ("k%65y=s3cret", "k%65y=***"),
        ("%6B%65%79=s3cret", "%6B%65%79=***"),
        ("%4bey=s3cret", "%4bey=***"),
        ("api%5Fkey=s3cret", "api%5Fkey=***"),
        ("key[]=s3cret&key%5B0%5D=s3cret", "key[]=***&key%5B0%5D=***"),
        ("+key=s3cret&%20key=s3cret", "+key=***&%20key=***"),
        ("key=s3cret=s3cret&key=", "key=***&key=***"),
        ("key", "key"),
        ("monkey=1&keys=2&xtoken=3", "monkey=1&keys=2&xtoken=3"),
        ("https://example.com/a?key=s3cret#there", "https://example.com/a?key=***#there"),
    ],
)
def test_replaces_the_values_of_secret_parameters(query: str, written: str) -> None:
    assert Redaction(NAMES)(query) == written


def test_replaces_nothing_when_no_name_is_secret() -> None:
    assert Redaction(())("key=1") == "key=1"


def test_takes_a_name_literally() -> None:
    redact = Redaction(("a.b", "ä"))
    assert redact("axb=1&a.b=2&%C3%A4=3&%c3%84=4") == "axb=1&a.b=***&%C3%A4=***&%c3%84=***"


@given(
    st.sampled_from(NAMES),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.text("abc%=+-_.", max_size=12),
    st.text("ab=&", max_size=6),
)
def test_no_spelling_of_a_name_keeps_its_value(
    name: str, encoded: list[bool], before: str, after: str
) -> None:
    spelled = "".join(
        f"%{ord(character):02X}" if hidden else character
        for character, hidden in zip(name, encoded, strict=False)
    )
    written = Redaction(NAMES)(f"{before}&{spelled}=s3cret&{after}")
    assert "s3cret" not in written
    assert (name, REDACTED) in parse_qsl(written, keep_blank_values=True)
    assert written.endswith(f"&{after}")
