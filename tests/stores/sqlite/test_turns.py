"""One writes at a time, and nobody twice while another waits."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from twistedgate.stores.sqlite.turns import Turns

LONG = 10.0


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Turns, Turns]]:
    """Two who take turns."""
    turns = Turns(tmp_path / "runners"), Turns(tmp_path / "runners")
    for one in turns:
        one.open()
    yield turns
    for one in turns:
        one.close()


def wait_until_somebody_stands_at_the_gate(directory: Path) -> None:
    """Return once the gate is taken."""
    descriptor = os.open(directory / ".gate", os.O_RDWR)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.sched_yield()
    finally:
        os.close(descriptor)


def test_whoever_waits_is_next(two: tuple[Turns, Turns], tmp_path: Path) -> None:
    mine, others = two
    order: list[str] = []

    def take_a_turn() -> None:
        with others:
            order.append("other")

    thread = threading.Thread(target=take_a_turn)
    with mine:
        thread.start()
        wait_until_somebody_stands_at_the_gate(tmp_path / "runners")
        order.append("mine")
    with mine:
        order.append("mine again")
    thread.join(LONG)
    assert order == ["mine", "other", "mine again"]


def test_turns_are_given_back_when_a_turn_fails(two: tuple[Turns, Turns]) -> None:
    mine, others = two
    with pytest.raises(ValueError, match="it failed"), mine:
        raise ValueError("it failed")
    with others:
        pass


def test_turns_that_were_never_opened_are_closed(tmp_path: Path) -> None:
    Turns(tmp_path).close()
