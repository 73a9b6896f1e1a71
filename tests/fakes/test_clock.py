from __future__ import annotations

from twistedgate.fakes.clock import START, Clock


def test_time_stands_still_until_it_is_told_to_pass() -> None:
    clock = Clock()
    assert clock() == clock() == START
    clock.advance(2.5)
    assert clock() == START + 2.5
    assert Clock(7.0)() == 7.0
