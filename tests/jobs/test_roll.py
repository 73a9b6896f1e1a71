"""A roll is read from the newest backwards, whatever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.roll import Roll


def _everything(roll: Roll[int], limit: int) -> list[int]:
    found: list[int] = []
    below: int | None = None
    while True:
        page, below = roll.page(below, limit, lambda number: number % 3 > 0)
        assert len(page) <= limit
        found += page
        if below is None:
            return found


@given(st.integers(0, 200), st.sets(st.integers(0, 200)), st.integers(1, 7))
def test_pages_together_are_all_that_is_wanted(count: int, leaving: set[int], limit: int) -> None:
    roll: Roll[int] = Roll()
    for number in range(count):
        roll.enter(number, number)
    for number in leaving:
        roll.leave(number)
    present = [number for number in range(count) if number not in leaving]
    assert len(roll) == len(present)
    assert _everything(roll, limit) == [number for number in reversed(present) if number % 3]


def test_a_page_begins_where_the_last_one_ended_though_that_one_left() -> None:
    roll: Roll[str] = Roll()
    for number, name in enumerate("abcde"):
        roll.enter(number, name)
    assert roll.page(None, 2, lambda _: True) == (["e", "d"], 3)
    roll.leave(3)
    roll.enter(9, "f")
    assert roll.page(3, 2, lambda _: True) == (["c", "b"], 1)
    assert roll.page(1, 2, lambda _: True) == (["a"], None)


def test_a_last_page_says_that_it_is_the_last() -> None:
    roll: Roll[str] = Roll()
    roll.enter(1, "a")
    assert roll.page(None, 1, lambda _: True) == (["a"], None)
    assert roll.page(1, 1, lambda _: True) == ([], None)


def test_those_who_left_take_no_room_for_long() -> None:
    roll: Roll[int] = Roll()
    for number in range(10_000):
        roll.enter(number, number)
        roll.leave(number)
    assert len(roll._numbers) < 200
