from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config import fields
from twistedgate.config.values import Surroundings, ValueType
from twistedgate.http.headers import Headers
from twistedgate.http.target import canonical_path


def read(kind: ValueType[Any], text: str, **variables: str) -> Any:
    return kind.read(text, Surroundings(variables))


def refusal(kind: ValueType[Any], text: str, **variables: str) -> str:
    with pytest.raises(ValueError, match=r".") as raised:
        read(kind, text, **variables)
    return str(raised.value)


def test_headers_stand_one_to_a_line() -> None:
    assert read(fields.header_lines, "X-A: b, c\nX-D:  e: f\nX-Empty:") == (
        (b"X-A", b"b, c"),
        (b"X-D", b"e: f"),
        (b"X-Empty", b""),
    )


@pytest.mark.parametrize("text", ["X-A", "X A: b", ": b", "X-A: \x01", "X-A: {user}", "É: b"])
def test_what_is_no_header_is_refused(text: str) -> None:
    refusal(fields.header_lines, text)


def test_a_variable_cannot_end_a_header() -> None:
    assert "line break" in refusal(fields.header_lines, "X-A: ${B}", B="c\r\nX-Evil: d")


@pytest.mark.parametrize("name", sorted(fields.FRAMING_NAMES))
def test_what_frames_a_message_cannot_be_touched(name: bytes) -> None:
    text = name.decode().title()
    assert "belongs to the gateway" in refusal(fields.header_lines, f"{text}: x")
    assert "belongs to the gateway" in refusal(fields.field_names, text)
    assert "belongs to the gateway" in refusal(fields.renamings, f"{text}: X-A")
    assert "belongs to the gateway" in refusal(fields.renamings, f"X-A: {text}")


def test_a_renaming_is_two_names() -> None:
    assert read(fields.renamings, "X-A: X-B") == ((b"X-A", b"X-B"),)
    for text in ("X-A", "X-A:", ": X-B", "X-A: X B"):
        refusal(fields.renamings, text)


def test_a_template_is_split_at_the_values_of_the_exchange() -> None:
    assert fields.split_template(b"a {client}{route} b") == (b"a ", b"client", b"", b"route", b" b")
    assert fields.split_template(b'{"json": 1} {}') == (b'{"json": 1} {}',)


@given(st.text(max_size=40))
def test_a_header_that_is_accepted_can_be_sent(value: str) -> None:
    try:
        lines = read(fields.header_lines, "X-A: ${V}", V=value)
    except ValueError:
        return
    Headers.of(*lines)


@pytest.mark.parametrize(
    "text",
    ["*", "/", "/*", "/a", "/a/", "/a/*", "/{a}", "/a/{b}/c/*", "/a%2Fb", "/a;b=c", "/a.b~c", "/%C3%A9"],
)
def test_a_path_is_exact_or_open_with_parameters(text: str) -> None:
    assert read(fields.route_path, text) == text


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "empty"),
        ("a", "not a path"),
        ("/a b", "not a path"),
        ("/a?b", "query"),
        ("/a#b", "fragment"),
        ("//", "write /"),
        ("/a//b", "write /a/b"),
        ("/a/./b", "dot segments"),
        ("/..", "dot segments"),
        ("/%61", "write a"),
        ("/%c3%a9", "write %C3%A9"),
        ("/é", "write %C3%A9"),
        ("/a%zz", "broken escape"),
        ("/%00", "NUL"),
        ("/%C0%AF", "overlong"),
        ("/*/a", "only at the end"),
        ("/a*", "only at the end"),
        ("/a{b}", "whole segment"),
        ("/{a-b}", "whole segment"),
        ("/{a}/{a}", "twice"),
        ("**", "not a path"),
    ],
)
def test_a_path_that_never_matches_is_refused_with_the_right_one(text: str, advice: str) -> None:
    assert advice in refusal(fields.route_path, text)


@given(st.text(alphabet="/ab.%2Ff7e{}*;=é", max_size=16))
def test_a_path_that_is_accepted_is_one_that_requests_have(text: str) -> None:
    try:
        path = read(fields.route_path, f"/{text}")
    except ValueError:
        return
    literal = path.removesuffix("*").replace("{", "").replace("}", "")
    assert canonical_path(literal) == literal


def test_a_prefix_is_literal_and_ends_before_a_slash() -> None:
    assert read(fields.prefix, "/a/b") == "/a/b"
    for text in ("", "a", "/", "/a/", "/a/*", "/{a}", "/a//b", "/%61"):
        refusal(fields.prefix, text)


def test_a_health_path_may_have_a_query() -> None:
    assert read(fields.origin, "/health?deep=1") == "/health?deep=1"
    for text in ("", "health", "/a b", "/a\r\n", "/é", "/a#b"):
        refusal(fields.origin, text)
