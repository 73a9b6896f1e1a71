"""The order in which systemd hears things."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from tests.conftest import LoggedFailures
from twistedgate.net.announcing import AGAIN, ASKED_EVERY, MORE_TIME, Announcing
from twistedgate.net.notify import Notifier


class Heard(Notifier):
    """A notifier that keeps what it is told."""

    def __init__(self, watchdog_interval: float | None = None) -> None:
        super().__init__(b"/nowhere", watchdog_interval)
        self.said: list[str] = []
        self.is_full = False

    def _tell(self, *assignments: str) -> bool:
        self.is_behind = self.is_full
        if self.is_full:
            return False
        self.said.append(" ".join(part for part in assignments if not part.startswith("MONOTONIC_USEC")))
        return True


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def announcing(heard: Heard) -> Announcing:
    return Announcing(heard, Clock())


def test_a_life(heard: Heard, announcing: Announcing) -> None:
    announcing.start("looking around")
    announcing.ready("3 routes")
    announcing.reload_begins()
    announcing.reload_ended("4 routes")
    announcing.stopping("draining")
    announcing.stop()
    assert heard.said == [
        "STATUS=looking around",
        "READY=1 STATUS=3 routes",
        "RELOADING=1",
        "READY=1 STATUS=4 routes",
        "STOPPING=1 STATUS=draining",
    ]


def test_a_reload_before_the_start_is_done_makes_nothing_ready(heard: Heard, announcing: Announcing) -> None:
    announcing.reload_begins()
    announcing.reload_ended("refused")
    assert heard.said == []
    announcing.ready("3 routes")
    assert heard.said == ["READY=1 STATUS=3 routes"]


def test_of_several_reloads_the_last_to_end_says_ready(heard: Heard, announcing: Announcing) -> None:
    announcing.ready("3 routes")
    announcing.reload_begins()
    announcing.reload_begins()
    announcing.reload_ended("given up")
    announcing.reload_ended("4 routes")
    assert heard.said[1:] == ["RELOADING=1", "RELOADING=1", "READY=1 STATUS=4 routes"]


def test_what_is_accepted_in_a_reload_ends_no_reload(heard: Heard, announcing: Announcing) -> None:
    announcing.reload_begins()
    announcing.ready("3 routes")
    announcing.reload_ended("4 routes")
    assert heard.said == ["STATUS=3 routes", "READY=1 STATUS=4 routes"]


def test_a_reload_that_ends_after_a_stop_says_nothing(heard: Heard, announcing: Announcing) -> None:
    announcing.ready("3 routes")
    announcing.reload_begins()
    announcing.stopping("draining")
    announcing.reload_ended("given up")
    assert heard.said[-1] == "STOPPING=1 STATUS=draining"


def test_a_stop_asks_for_more_time_as_long_as_it_goes_on(heard: Heard) -> None:
    clock = Clock()
    announcing = Announcing(heard, clock)
    announcing.stopping("draining")
    announcing.stopping("draining still")
    clock.pump([ASKED_EVERY] * 2)
    announcing.stop()
    clock.pump([ASKED_EVERY] * 2)
    assert heard.said == [
        "STOPPING=1 STATUS=draining",
        "STOPPING=1 STATUS=draining still",
        *["EXTEND_TIMEOUT_USEC=30000000"] * 2,
    ]
    assert MORE_TIME > 2 * ASKED_EVERY


def test_the_watchdog_is_fed_while_all_is_well() -> None:
    clock, heard, well = Clock(), Heard(0.5), [True]
    announcing = Announcing(heard, clock, lambda: well[0])
    announcing.start("")
    clock.pump([0.5, 0.5])
    assert heard.said.count("WATCHDOG=1") == 3
    well[0] = False
    clock.pump([0.5, 0.5])
    assert heard.said.count("WATCHDOG=1") == 3
    well[0] = True
    clock.advance(0.5)
    assert heard.said.count("WATCHDOG=1") == 4
    announcing.stop()
    assert clock.getDelayedCalls() == []


def test_it_starves_when_nobody_can_tell(logged_failures: LoggedFailures) -> None:
    clock, heard = Clock(), Heard(0.5)
    announcing = Announcing(heard, clock, lambda: bool(1 // 0))
    announcing.start("")
    clock.advance(5)
    assert "WATCHDOG=1" not in heard.said
    assert len(logged_failures.flush(ZeroDivisionError)) == 1


def test_nobody_waits_for_it_without_a_watchdog(heard: Heard) -> None:
    clock = Clock()
    Announcing(heard, clock).start("looking around")
    assert clock.getDelayedCalls() == []


def test_what_finds_no_room_is_said_again_in_the_same_order(heard: Heard) -> None:
    clock = Clock()
    announcing = Announcing(heard, clock)
    heard.is_full = True
    announcing.ready("3 routes")
    announcing.reload_begins()
    clock.advance(AGAIN)
    heard.is_full = False
    announcing.reload_ended("4 routes")
    assert heard.said == []
    clock.advance(AGAIN)
    assert heard.said == ["READY=1 STATUS=3 routes", "RELOADING=1", "READY=1 STATUS=4 routes"]
    assert clock.getDelayedCalls() == []


def test_what_is_still_to_be_said_is_not_after_the_end(heard: Heard) -> None:
    clock = Clock()
    announcing = Announcing(heard, clock)
    heard.is_full = True
    announcing.stopping("draining")
    announcing.stop()
    assert clock.getDelayedCalls() == []
