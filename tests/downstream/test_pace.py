from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.downstream.ports import configured
from twistedgate.downstream.pace import Pace

CONFIG = configured("public", body_timeout=30.0, min_body_rate=100)
UNBOUNDED = configured("public", body_timeout=30.0, min_body_rate=0)


def begun(now: float = 1000.0) -> Pace:
    pace = Pace()
    pace.begin(now)
    return pace


def test_a_body_has_its_first_time_whatever_comes() -> None:
    assert not begun().is_slow(0, 1030.0, CONFIG)
    assert begun().is_slow(0, 1030.1, CONFIG)


@given(seconds=st.floats(30.1, 1e6), received=st.integers(0, 10**9))
def test_a_body_is_slow_below_the_lowest_rate_on_average(seconds: float, received: int) -> None:
    assert begun(0.0).is_slow(received, seconds, CONFIG) == (received < 100 * seconds)


def test_without_a_lowest_rate_no_body_is_slow() -> None:
    assert not begun().is_slow(0, 100000.0, UNBOUNDED)


def test_the_time_in_which_nothing_is_read_does_not_count() -> None:
    pace = begun()
    pace.pause(1010.0)
    assert not pace.is_slow(0, 2000.0, CONFIG)
    pace.resume(2000.0)
    assert not pace.is_slow(0, 2020.0, CONFIG)
    assert pace.is_slow(0, 2020.1, CONFIG)


def test_pauses_add_up() -> None:
    pace = begun()
    for start in (1000.0, 1020.0, 1040.0):
        pace.pause(start)
        pace.resume(start + 10.0)
    assert not pace.is_slow(0, 1060.0, CONFIG)
    assert pace.is_slow(0, 1060.1, CONFIG)


def test_a_resume_without_a_pause_changes_nothing() -> None:
    pace = begun()
    pace.resume(1020.0)
    assert pace.is_slow(0, 1030.1, CONFIG)


def test_the_next_body_begins_anew() -> None:
    pace = begun()
    pace.pause(1010.0)
    pace.begin(5000.0)
    assert not pace.is_slow(0, 5030.0, CONFIG)
    assert pace.is_slow(0, 5030.1, CONFIG)


def test_a_client_that_takes_nothing_has_stalled() -> None:
    pace = Pace()
    assert [pace.is_stalled(7, now, 60.0) for now in (0.0, 59.9, 60.0)] == [False, False, True]


@pytest.mark.parametrize("progress", [8, 7000])
def test_whatever_a_client_takes_is_progress(progress: int) -> None:
    pace = Pace()
    assert not pace.is_stalled(7, 0.0, 60.0)
    assert not pace.is_stalled(progress, 59.9, 60.0)
    assert not pace.is_stalled(progress, 119.8, 60.0)
    assert pace.is_stalled(progress, 119.9, 60.0)


def test_a_client_that_had_taken_all_has_its_time_again() -> None:
    pace = Pace()
    pace.is_stalled(7, 0.0, 60.0)
    pace.is_flowing()
    assert not pace.is_stalled(7, 1000.0, 60.0)
    assert pace.is_stalled(7, 1060.0, 60.0)
