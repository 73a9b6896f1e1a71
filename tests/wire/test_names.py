"""What becomes of a field by its name, and that no client can fill the memory with names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.wire.names import (
    CLAIM,
    DROP,
    FORBIDDEN_TRAILERS,
    HOST,
    PLAIN,
    REQUEST_KINDS,
    REQUEST_NAMES,
    RESPONSE_KINDS,
    RESPONSE_NAMES,
    SINGLE,
    UNREMOVABLE,
    Names,
)

TABLES = [REQUEST_KINDS, RESPONSE_KINDS, FORBIDDEN_TRAILERS, SINGLE, UNREMOVABLE]
NAME = st.text("abcABC-_", min_size=1, max_size=8).map(str.encode)


@pytest.mark.parametrize("table", TABLES)
def test_tables_hold_lower_case_names(table: dict[bytes, int] | frozenset[bytes]) -> None:
    assert all(name == name.strip().lower() and b"_" not in name for name in table)


@given(st.one_of(NAME, st.sampled_from(sorted(REQUEST_KINDS)), st.just(b"X-Consumer-Groups")))
def test_case_makes_no_difference(name: bytes) -> None:
    for names in (REQUEST_NAMES, RESPONSE_NAMES):
        assert names.learn(name) == names.learn(name.swapcase()) == (name.lower(), names.learn(name)[1])


@given(st.lists(NAME))
def test_what_is_remembered_is_what_was_learnt(spellings: list[bytes]) -> None:
    names = Names({b"a": HOST, b"b": CLAIM}, drops_identity=True)
    learnt = {name: names.learn(name) for name in spellings}
    assert {name: names.get(name) for name in spellings} == learnt


@pytest.mark.parametrize("name", [b"Content_Length", b"X_Forwarded_For", b"_", b"a_b", b"Transfer-Encoding_"])
def test_an_underscore_drops_a_name(name: bytes) -> None:
    assert REQUEST_NAMES.learn(name)[1] == RESPONSE_NAMES.learn(name)[1] == DROP


@pytest.mark.parametrize("name", [b"X-Consumer", b"x-consumer-groups", b"X-CONSUMER-"])
def test_only_the_gateway_says_who_is_calling(name: bytes) -> None:
    assert REQUEST_NAMES.learn(name)[1] == DROP
    assert RESPONSE_NAMES.learn(name)[1] == PLAIN


def test_a_longer_word_is_another_name() -> None:
    assert REQUEST_NAMES.learn(b"X-Consumers") == (b"x-consumers", PLAIN)


@pytest.mark.parametrize(
    "name",
    [
        *(b"Keep-Alive", b"Proxy-Connection", b"Proxy-Authorization", b"Proxy-Authenticate", b"Trailer"),
        b"HTTP2-Settings",
    ],
)
def test_hop_by_hop_fields_of_a_request_end_here(name: bytes) -> None:
    assert REQUEST_NAMES.learn(name)[1] == DROP


def test_hop_by_hop_fields_of_an_answer_end_here() -> None:
    for name in (b"Keep-Alive", b"Proxy-Connection", b"Proxy-Authenticate", b"TE", b"Trailer"):
        assert RESPONSE_NAMES.learn(name)[1] == DROP


def test_invented_names_take_no_memory() -> None:
    names = Names({}, drops_identity=False)
    for number in range(5000):
        assert names.learn(b"X-%d" % number) == (b"x-%d" % number, PLAIN)
    assert len(names) == 2048


def test_long_names_take_no_memory() -> None:
    names = Names({}, drops_identity=False)
    assert names.learn(b"X" * 65) == (b"x" * 65, PLAIN)
    assert len(names) == 0
    names.learn(b"X" * 64)
    assert len(names) == 1
