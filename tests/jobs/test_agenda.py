"""An agenda gives what a sorted list would give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.agenda import Agenda

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 20)),
        st.tuples(st.just("strike"), st.just(0), st.integers(0, 20)),
        st.tuples(st.just("pop"), st.integers(0, 5), st.just(0)),
    ),
    max_size=300,
)


@given(STEPS)
def test_it_is_a_sorted_list_of_what_is_in_it(steps: list[tuple[str, int, int]]) -> None:
    agenda: Agenda[int, int] = Agenda()
    model: list[tuple[int, int, int]] = []
    for turn, (step, key, thing) in enumerate(steps):
        if step == "pop":
            due = [entry for entry in sorted(model) if entry[0] <= key]
            assert agenda.pop_until(key) == (due[0][2] if due else None)
            model = [entry for entry in model if entry not in due[:1]]
            continue
        model = [entry for entry in model if entry[2] != thing]
        if step == "put":
            agenda.put(key, thing)
            model.append((key, turn, thing))
        else:
            agenda.strike(thing)
        assert agenda.first() == (min(model)[2] if model else None)
    assert set(agenda) == {thing for _, _, thing in model}
    assert len(agenda) == len(model)


def test_what_is_in_it_can_be_asked() -> None:
    agenda: Agenda[float, str] = Agenda()
    agenda.put(1.0, "a")
    assert "a" in agenda
    agenda.strike("a")
    agenda.strike("a")
    assert "a" not in agenda
    assert agenda.first() is None


def test_what_is_struck_out_takes_no_room_for_long() -> None:
    agenda: Agenda[int, int] = Agenda()
    agenda.put(-1, -1)
    for number in range(10_000):
        agenda.put(number, number)
        agenda.strike(number)
    for number in range(10_000):
        agenda.put(number, 7)
    assert len(agenda._heap) < 200
    assert agenda.pop_until(0) == -1
