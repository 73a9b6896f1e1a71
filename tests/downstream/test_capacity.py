from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from twistedgate.downstream.capacity import BATCH, FEWEST, NO_ADDRESS, TOLD_EVERY, Capacity
from twistedgate.fakes.clock import Clock


class Listener:
    """Remembers whether it accepts, and how often it was told."""

    def __init__(self) -> None:
        self.is_accepting = True
        self.told = 0

    def pause_accepting(self) -> None:
        self.is_accepting = False
        self.told += 1

    def resume_accepting(self) -> None:
        self.is_accepting = True
        self.told += 1

    def has_waiting(self) -> bool:
        return False


def made(
    most: int = 1000, per_address: int = 0, descriptors: int = 10000, listeners: int = 1
) -> tuple[Capacity, list[Listener]]:
    capacity = Capacity(descriptors, 0, lambda: 0)
    capacity.configure(most, per_address)
    minded = [Listener() for _ in range(listeners)]
    for listener in minded:
        capacity.add(listener)
    return capacity, minded


def test_accepting_pauses_at_the_limit_everywhere_and_goes_on_below() -> None:
    capacity, listeners = made(most=2, listeners=2)
    capacity.admit("a")
    assert [listener.is_accepting for listener in listeners] == [True, True]
    capacity.admit("b")
    assert [listener.is_accepting for listener in listeners] == [False, False]
    capacity.leave("a")
    assert [listener.is_accepting for listener in listeners] == [True, True]


def test_nobody_is_told_what_has_not_changed() -> None:
    capacity, [listener] = made(most=2)
    for _ in range(5):
        capacity.admit("a")
        capacity.check()
    assert listener.told == 1


def test_an_address_has_its_share_and_no_more() -> None:
    capacity, _ = made(per_address=2)
    assert [capacity.admit(address) for address in ("a", "a", "a", "b")] == [True, True, False, True]
    capacity.leave("a")
    assert [capacity.admit("a"), capacity.admit("a")] == [True, False]
    assert capacity.open_count == 3


def test_those_without_an_address_share_nothing() -> None:
    capacity, _ = made(per_address=1)
    assert all(capacity.admit(NO_ADDRESS) for _ in range(10))


def test_a_share_of_zero_is_no_limit() -> None:
    capacity, _ = made()
    assert all(capacity.admit("a") for _ in range(100))


def test_connections_to_targets_take_descriptors_too() -> None:
    upstream = [0]
    capacity = Capacity(100, 10, lambda: upstream[0])
    capacity.configure(1000, 0)
    listener = Listener()
    capacity.add(listener)
    for _ in range(40):
        capacity.admit("a")
    found = []
    for upstream[0] in (0, 40, 39):
        capacity.check()
        found.append(listener.is_accepting)
    assert found == [True, False, True]


def test_a_few_connections_are_always_allowed() -> None:
    capacity = Capacity(10, 100, lambda: 0)
    capacity.configure(1000, 0)
    assert capacity.room() == FEWEST


def test_another_limit_holds_at_once() -> None:
    capacity, [listener] = made(most=10)
    for _ in range(5):
        capacity.admit("a")
    capacity.configure(5, 0)
    assert not listener.is_accepting
    capacity.configure(6, 0)
    assert listener.is_accepting


def test_a_listener_is_minded_once_and_forgotten() -> None:
    capacity, [listener] = made(most=1)
    capacity.add(listener)
    capacity.admit("a")
    assert listener.told == 1
    capacity.remove(listener)
    capacity.remove(listener)
    capacity.leave("a")
    assert listener.told == 1


def test_no_more_than_a_batch_is_accepted_in_one_turn() -> None:
    capacity, _ = made(most=BATCH + 2)
    assert capacity.room() == BATCH
    for _ in range(BATCH):
        capacity.admit("a")
    assert capacity.room() == 2


@given(
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60),
    most=st.integers(1, 8),
    share=st.integers(0, 4),
)
def test_whatever_comes_and_goes_the_limits_hold_and_nothing_is_left(
    steps: list[tuple[bool, str]], most: int, share: int
) -> None:
    capacity, [listener] = made(most=most, per_address=share)
    present: list[str] = []
    for comes, address in steps:
        if comes and listener.is_accepting:
            if capacity.admit(address):
                present.append(address)
        elif not comes and address in present:
            present.remove(address)
            capacity.leave(address)
        assert capacity.open_count == len(present) <= most
        assert listener.is_accepting == (len(present) < most)
        assert not share or all(present.count(one) <= share for one in present)
    for address in present:
        capacity.leave(address)
    assert (capacity.open_count, len(capacity._by_address)) == (0, 0)


def test_a_crowd_at_the_limit_does_not_fill_the_log() -> None:
    capacity, _ = made(most=1)
    clock = capacity.now = Clock()
    with capturedLogs() as lines:
        for _ in range(100):
            capacity.admit("a")
            capacity.leave("a")
        clock.advance(TOLD_EVERY)
        capacity.admit("a")
        capacity.leave("a")
    assert [line["log_level"].name for line in lines] == ["warn", "info"] * 2


class Neighbour:
    """Another process that accepts, too, and leaves so much."""

    def __init__(self) -> None:
        self.left = 1
        self.told: list[tuple[int, bool]] = []
        self.checks: list[Callable[[], None]] = []

    def tell(self, open_count: int, accepts: bool) -> None:
        self.told.append((open_count, accepts))

    def room(self) -> int:
        return self.left

    def look_again(self, has_waiting: Callable[[], bool], check: Callable[[], None]) -> None:
        assert not has_waiting()
        self.checks.append(check)


def test_it_pauses_for_others_without_a_word() -> None:
    neighbour = Neighbour()
    capacity = Capacity(1000, 0, lambda: 0, neighbour)
    listener = Listener()
    capacity.add(listener)
    assert capacity.room() == 1
    with capturedLogs() as lines:
        neighbour.left = 0
        capacity.admit("a")
        assert (listener.is_accepting, capacity.is_paused, capacity.is_full) == (False, True, False)
        neighbour.left = 1
        for check in neighbour.checks:
            check()
    assert (capacity.is_paused, lines) == (False, [])


def test_others_are_told_of_everything() -> None:
    neighbour = Neighbour()
    capacity = Capacity(1000, 0, lambda: 0, neighbour)
    capacity.configure(2, 0)
    listener = Listener()
    capacity.add(listener)
    found = [neighbour.told[-1]]
    for _ in range(2):
        capacity.admit("a")
        found.append(neighbour.told[-1])
    for _ in range(2):
        capacity.leave("a")
        found.append(neighbour.told[-1])
    capacity.remove(listener)
    assert [*found, neighbour.told[-1]] == [
        (0, True),
        (1, True),
        (2, False),
        (1, True),
        (0, True),
        (0, False),
    ]
    assert neighbour.checks == []


# what is counted


class Counts:
    """Remembers what it counted."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def accepted(self) -> None:
        self.seen.append("accepted")

    def limit_hit(self, limit: str) -> None:
        self.seen.append(limit)


def test_connections_and_limits_are_counted() -> None:
    counts = Counts()
    capacity = Capacity(1000, 0, lambda: 0, counts=counts)
    capacity.configure(3, 2)
    for _ in range(3):
        capacity.admit("a")
    assert counts.seen == ["accepted", "accepted", "max_connections_per_ip"]
    counts.seen.clear()
    capacity.admit("b")
    capacity.check()
    assert counts.seen == ["accepted", "max_connections"]
    capacity.leave("b")
    capacity.admit("b")
    assert counts.seen == ["accepted", "max_connections"] * 2
