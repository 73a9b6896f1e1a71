"""Fields in order, found without case, and always in step with how they are written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from twistedgate.http.headers import Field, Headers, field, tokens, write_lines

NAMES = st.sampled_from([b"A", b"a", b"B", b"Cookie", b"X-One", b"x-one", b"X-Two"])
VALUES = st.sampled_from([b"", b"1", b"a b", b"\xff", b"a,\tb"])
KEYS = NAMES.map(bytes.lower)


@pytest.mark.parametrize(
    "name", [b"", b"A B", b"A:", b"A\r\n", b"\xc4", b"A\x00", b"(A)", b" A", b"A ", b'A"', b"A\t", b"A/B"]
)
def test_a_name_is_a_token(name: bytes) -> None:
    with pytest.raises(ValueError, match="not a field name"):
        field(name, b"1")


@pytest.mark.parametrize("byte", [*range(9), *range(10, 32), 127])
def test_a_control_character_in_a_value_is_refused(byte: int) -> None:
    with pytest.raises(ValueError, match="a control character"):
        field(b"A", b"a" + bytes([byte]) + b"b")


@pytest.mark.parametrize("value", [b"a\tb", b"\x80\xff", b"", b"~"])
def test_every_other_byte_may_stand_in_a_value(value: bytes) -> None:
    assert field(b"A", value) == (b"a", b"A", value)


def test_blanks_around_a_value_go() -> None:
    assert field(b"A", b" \t a b\t ") == (b"a", b"A", b"a b")


@given(name=st.binary(max_size=8), value=st.binary(max_size=12))
def test_a_field_that_is_accepted_is_one_line(name: bytes, value: bytes) -> None:
    try:
        accepted = field(name, value)
    except ValueError:
        return
    line = write_lines([accepted])
    assert line.endswith(b"\r\n")
    assert line.count(b"\r") == line.count(b"\n") == 1
    assert line[:-2].partition(b":")[0] == name


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.add(b"B", b"1\r\nC: 2"),
        lambda headers: headers.set(b"A", b"1\n"),
        lambda headers: headers.set(b"A\r\nB", b"1"),
        lambda headers: headers.rename(b"a", b"B C"),
        lambda headers: Headers.of((b"A", b"\x00")),
    ],
)
def test_nothing_that_could_split_a_line_gets_in(change: Callable[[Headers], object]) -> None:
    headers = Headers.of((b"A", b"1"))
    with pytest.raises(ValueError, match=r"field name|control character"):
        change(headers)
    assert headers.lines == b"A: 1\r\n"


def test_names_are_compared_without_case_and_kept_as_written() -> None:
    headers = Headers.of((b"COOKIE", b"a"), (b"X", b"1"), (b"cookie", b"b"))
    assert headers.get(b"cookie") == b"a"
    assert headers.get_all(b"cookie") == [b"a", b"b"]
    assert headers.has(b"x")
    assert not headers.has(b"y")
    assert headers.get(b"y") is None
    assert headers.lines == b"COOKIE: a\r\nX: 1\r\ncookie: b\r\n"


def test_set_takes_the_place_of_the_first_and_removes_the_others() -> None:
    headers = Headers.of((b"A", b"1"), (b"B", b"2"), (b"a", b"3"))
    headers.set(b"a", b"new")
    assert headers.lines == b"a: new\r\nB: 2\r\n"
    headers.set(b"C", b"last")
    assert headers.lines == b"a: new\r\nB: 2\r\nC: last\r\n"


def test_rename_keeps_value_and_place() -> None:
    headers = Headers.of((b"A", b"1"), (b"B", b"2"), (b"a", b"3"))
    headers.rename(b"a", b"Z")
    assert headers.lines == b"Z: 1\r\nB: 2\r\nZ: 3\r\n"
    assert headers.get_all(b"z") == [b"1", b"3"]


def test_what_is_known_of_how_fields_are_written_is_used_until_they_change() -> None:
    headers = Headers([(b"a", b"A", b"1")], b"A:1\r\n")
    assert headers.lines == b"A:1\r\n"
    headers.extend(((b"b", b"B", b"2"),), b"B:2\r\n")
    assert headers.lines == b"A:1\r\nB:2\r\n"
    headers.remove(b"c")
    assert headers.lines == b"A:1\r\nB:2\r\n"
    headers.remove(b"b")
    assert headers.lines == b"A: 1\r\n"


def test_a_copy_goes_its_own_way() -> None:
    headers = Headers.of((b"A", b"1"))
    copy = headers.copy()
    copy.add(b"B", b"2")
    headers.remove(b"a")
    assert (list(headers), copy.lines) == ([], b"A: 1\r\nB: 2\r\n")


def test_repr_shows_names_and_values() -> None:
    assert repr(Headers.of((b"A", b"1"))) == "<Headers [(b'A', b'1')]>"


def test_tokens_are_lower_cased_members_of_all_lists_without_the_empty_ones() -> None:
    assert tokens([b"Keep-Alive, ,FOO\t", b"", b",bar,"]) == [b"keep-alive", b"foo", b"bar"]


class InStep(RuleBasedStateMachine):
    """Any sequence of operations, beside a plain list that does the same naively."""

    @initialize(fields=st.lists(st.tuples(NAMES, VALUES), max_size=4))
    def begin(self, fields: list[tuple[bytes, bytes]]) -> None:
        self.headers = Headers.of(*fields)
        self.naive: list[Field] = [(name.lower(), name, value) for name, value in fields]

    @rule(name=NAMES, value=VALUES)
    def add(self, name: bytes, value: bytes) -> None:
        self.headers.add(name, value)
        self.naive.append((name.lower(), name, value))

    @rule(fields=st.lists(st.tuples(NAMES, VALUES), max_size=3))
    def extend(self, fields: list[tuple[bytes, bytes]]) -> None:
        more = tuple((name.lower(), name, value) for name, value in fields)
        self.headers.extend(more, write_lines(more))
        self.naive += more

    @rule(name=NAMES, value=VALUES)
    def put(self, name: bytes, value: bytes) -> None:
        self.headers.set(name, value)
        places = [place for place, old in enumerate(self.naive) if old[0] == name.lower()]
        if places:
            self.naive[places[0]] = (name.lower(), name, value)
            self.naive = [old for place, old in enumerate(self.naive) if place not in places[1:]]
        else:
            self.naive.append((name.lower(), name, value))

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        self.headers.remove(key)
        self.naive = [old for old in self.naive if old[0] != key]

    @rule(keys=st.sets(KEYS))
    def keep(self, keys: set[bytes]) -> None:
        self.headers.keep(keys.__contains__)
        self.naive = [old for old in self.naive if old[0] in keys]

    @rule(key=KEYS, name=NAMES)
    def rename(self, key: bytes, name: bytes) -> None:
        self.headers.rename(key, name)
        self.naive = [(name.lower(), name, old[2]) if old[0] == key else old for old in self.naive]

    @rule()
    def take_a_copy(self) -> None:
        self.headers = self.headers.copy()

    @rule()
    def write(self) -> None:
        assert self.headers.lines == write_lines(self.naive)

    @invariant()
    def is_in_step(self) -> None:
        assert list(self.headers.fields) == self.naive
        assert self.headers.copy().lines == write_lines(self.naive)
        for key in (b"a", b"cookie", b"x-one"):
            values = [value for present, _, value in self.naive if present == key]
            assert self.headers.get_all(key) == values
            assert self.headers.get(key) == (values[0] if values else None)


InStep.TestCase.settings = settings(max_examples=60, stateful_step_count=15)
test_fields_and_lines_are_in_step_after_any_operations = InStep.TestCase
