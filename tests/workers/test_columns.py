"""Spans by name: never two names in one column, never again before everybody knows."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twistedgate.workers.columns import Columns, NoRoom

CAPACITY = 12
NAMES = st.sampled_from("abcde")
HOLDERS = st.integers(1, 3)


def made(capacity: int = CAPACITY) -> tuple[Columns, list[tuple[int, int]]]:
    cleared: list[tuple[int, int]] = []
    return Columns(capacity, lambda start, length: cleared.append((start, length))), cleared


def test_the_same_name_has_the_same_span() -> None:
    columns, _ = made()
    assert [columns.take(*span) for span in [("a", 4), ("b", 3), ("a", 4)]] == [0, 4, 0]
    assert columns.starts == {"a": 0, "b": 4}


def test_says_so_when_there_is_no_room_and_keeps_what_is_there() -> None:
    columns, _ = made()
    columns.take("a", 10)
    for name in ("b", "a"):
        with pytest.raises(OverflowError):
            columns.take(name, 3)
    assert columns.starts == {"a": 0}
    assert columns.take("c", 2) == 10


def test_a_span_has_at_least_one_column() -> None:
    columns, _ = made()
    with pytest.raises(ValueError, match="at least one"):
        columns.take("a", 0)


def test_where_nobody_else_counts_a_span_is_emptied_and_free_at_once() -> None:
    columns, cleared = made()
    columns.take("a", 12)
    columns.release("a")
    assert cleared == [(0, 12)]
    assert columns.take("b", 12) == 0


def test_what_was_given_back_waits_for_everybody_who_counts() -> None:
    columns, cleared = made()
    columns.take("a", 12)
    columns.join(2)
    columns.join(3)
    columns.release("a")
    columns.acknowledge(2, columns.stamp)
    with pytest.raises(NoRoom):
        columns.take("b", 1)
    assert cleared == []
    columns.acknowledge(3, columns.stamp)
    assert cleared == [(0, 12)]
    assert columns.take("b", 12) == 0


def test_who_is_gone_is_not_waited_for_and_who_came_later_neither() -> None:
    columns, cleared = made()
    columns.take("a", 1)
    columns.join(2)
    columns.release("a")
    columns.join(3)
    columns.leave(2)
    columns.acknowledge(2, 99)
    assert cleared == [(0, 1)]


def test_gaps_become_one_again() -> None:
    columns, _ = made()
    for name in "abc":
        columns.take(name, 4)
    for name in "bca":
        columns.release(name)
    assert columns.take("d", 12) == 0


def test_a_name_that_returns_before_that_finds_its_span_with_all_that_was_counted() -> None:
    columns, cleared = made()
    columns.take("a", 3)
    columns.join(2)
    columns.release("a")
    assert columns.take("a", 3) == 0
    columns.acknowledge(2, columns.stamp)
    assert (cleared, columns.starts) == ([], {"a": 0})


def test_an_old_acknowledgement_is_none_of_a_later_return() -> None:
    columns, cleared = made()
    columns.take("a", 3)
    columns.join(2)
    columns.release("a")
    first = columns.stamp
    columns.take("a", 3)
    columns.release("a")
    columns.acknowledge(2, first)
    assert cleared == []
    columns.acknowledge(2, columns.stamp)
    assert cleared == [(0, 3)]


def test_a_name_with_another_length_moves() -> None:
    columns, cleared = made()
    columns.take("a", 3)
    assert columns.take("a", 4) == 3
    assert (cleared, columns.starts) == ([(0, 3)], {"a": 3})


def test_a_name_that_has_nothing_gives_nothing_back() -> None:
    columns, _ = made()
    with pytest.raises(KeyError):
        columns.release("a")


class Counting(RuleBasedStateMachine):
    """Processes that count into what they were told of, as late as they may."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = Columns(CAPACITY, self.clear)
        self.holders: dict[int, tuple[int, set[int]]] = {}
        """What each holder was told last: the stamp, and the columns that it may count into since."""
        self.cleared: set[int] = set(range(CAPACITY))
        self.live: dict[str, set[int]] = {}

    def clear(self, start: int, length: int) -> None:
        for _, counted in self.holders.values():
            assert not counted & set(range(start, start + length))
        self.cleared |= set(range(start, start + length))

    @rule(name=NAMES, length=st.integers(1, 6))
    def take(self, name: str, length: int) -> None:
        try:
            start = self.columns.take(name, length)
        except NoRoom:
            return
        span = set(range(start, start + length))
        if self.live.get(name) != span:
            # it is empty, or it was the name's own
            assert span <= self.cleared or not span & self.cleared
        self.cleared -= span
        self.live[name] = span
        for _, counted in self.holders.values():
            counted.update(span)

    @rule(name=NAMES)
    def release(self, name: str) -> None:
        if name in self.live:
            del self.live[name]
            self.columns.release(name)

    @rule(holder=HOLDERS)
    def join(self, holder: int) -> None:
        if holder not in self.holders:
            self.columns.join(holder)
            self.holders[holder] = (self.columns.stamp, set().union(*self.live.values()))

    @rule(holder=HOLDERS)
    def acknowledge(self, holder: int) -> None:
        if holder in self.holders:
            self.holders[holder] = (self.columns.stamp, set().union(*self.live.values()))
            self.columns.acknowledge(holder, self.columns.stamp)

    @rule(holder=HOLDERS)
    def leave(self, holder: int) -> None:
        self.holders.pop(holder, None)
        self.columns.leave(holder)

    @rule()
    def hand_over(self) -> None:
        record = pickle.loads(pickle.dumps(self.columns.record()))
        self.columns = Columns.of(record, self.clear)

    @invariant()
    def no_column_has_two_names(self) -> None:
        taken = sorted(column for span in self.live.values() for column in span)
        assert len(taken) == len(set(taken))
        assert set(taken) <= set(range(CAPACITY))
        assert {name: min(span) for name, span in self.live.items()} == self.columns.starts

    def teardown(self) -> None:
        """When everybody knows, everything is free."""
        for name in list(self.live):
            self.release(name)
        for holder in list(self.holders):
            self.leave(holder)
        assert self.columns.take("all", CAPACITY) == 0


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=50, stateful_step_count=40)


@given(st.lists(st.integers(1, 5), max_size=8))
def test_spans_fill_the_row_from_its_beginning(lengths: list[int]) -> None:
    columns, _ = made(40)
    starts = [columns.take(f"{place}", length) for place, length in enumerate(lengths)]
    assert starts == [sum(lengths[:place]) for place in range(len(lengths))]
