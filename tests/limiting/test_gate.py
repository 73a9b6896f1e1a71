"""Never more at once than the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.limiting.gate import Gate


@given(st.integers(0, 4) | st.none(), st.lists(st.booleans(), max_size=30))
def test_counts_what_is_under_way_up_to_the_limit(limit: int | None, steps: list[bool]) -> None:
    gate = Gate(limit)
    inside = 0
    for enters in steps:
        if enters:
            expected = limit is None or inside < limit
            assert gate.enter() is expected
            inside += expected
        elif inside:
            gate.leave()
            inside -= 1
        assert (gate.under_way, gate.total) == (inside, inside)


def test_nobody_leaves_who_did_not_enter() -> None:
    gate = Gate(1)
    with pytest.raises(RuntimeError):
        gate.leave()
    assert gate.under_way == 0
    assert gate.enter()


def test_a_lower_limit_holds_for_those_who_come() -> None:
    gate = Gate(None)
    assert all(gate.enter() for _ in range(3))
    gate.limit = 2
    gate.leave()
    assert not gate.enter()
    gate.leave()
    assert gate.enter()


def test_shows_how_full_it_is() -> None:
    gate = Gate(2)
    gate.enter()
    assert repr(gate) == "<Gate 1 of 2>"
    assert repr(Gate(None)) == "<Gate 0 of any>"
