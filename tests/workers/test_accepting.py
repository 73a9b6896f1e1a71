"""Several processes that accept on one address have about as many connections each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tests.downstream.ports import configured
from tests.net.loop import Loop, a_loop
from twistedgate.downstream.capacity import BATCH, Capacity
from twistedgate.downstream.hosting import Serving
from twistedgate.downstream.listener import Listener, RequestIds
from twistedgate.http.hops import Forwarder
from twistedgate.net.opened import open_listening
from twistedgate.testing import gateway
from twistedgate.workers.accepting import AGAIN, EVERYTHING, FRESH, STUCK, Share, fair_room
from twistedgate.workers.scoreboard import ACCEPTING, CONNECTIONS, HEARTBEAT, Scoreboard

CROWD = 64


def is_too_many(mine: int, everybody: list[int]) -> bool:
    """The rule, as it is written down."""
    return mine > 1.1 * sum(everybody) / len(everybody) + 2


# the rule


@given(st.lists(st.integers(0, 3000), min_size=2, max_size=12))
def test_a_share_ends_with_the_connection_that_passes_it(counts: list[int]) -> None:
    mine, others = counts[0], counts[1:]
    room = fair_room(mine, others)
    assert is_too_many(mine, counts) == (room == 0)
    if room:
        assert not is_too_many(mine + room - 1, [mine + room - 1, *others])
        assert is_too_many(mine + room, [mine + room, *others])


def test_who_is_alone_has_everything() -> None:
    assert fair_room(10_000, []) == EVERYTHING


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12))
def test_who_has_fewest_may_always_accept(counts: list[int]) -> None:
    fewest = min(counts)
    others = sorted(counts)[1:]
    assert fair_room(fewest, others) > 0


@given(
    workers=st.integers(2, 6),
    turns=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40), st.booleans()), max_size=80),
)
def test_whoever_comes_first_nobody_has_much_more_than_the_mean(
    workers: int, turns: list[tuple[int, int, bool]]
) -> None:
    """Each turn: a worker takes what it may of a crowd, or loses some."""
    counts = [0] * workers
    for place, crowd, accepts in turns:
        worker = place % workers
        if not accepts:
            counts[worker] = max(counts[worker] - crowd, 0)
            continue
        others = counts[:worker] + counts[worker + 1 :]
        taken = min(fair_room(counts[worker], others), BATCH, crowd)
        counts[worker] += taken
        if taken:
            assert counts[worker] <= 1.1 * sum(counts) / workers + 3


@given(st.integers(2, 6), st.integers(0, 300), st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_nobody_waits_as_long_as_all_have_their_turn(workers: int, crowd: int, order: list[int]) -> None:
    """However often some have theirs before the others come to it."""
    counts = [0] * workers
    waiting = crowd
    while waiting:
        before = waiting
        for worker in [*(place % workers for place in order), *range(workers)]:
            others = counts[:worker] + counts[worker + 1 :]
            taken = min(fair_room(counts[worker], others), BATCH, waiting)
            counts[worker] += taken
            waiting -= taken
        assert waiting < before
    assert sum(counts) == crowd
    assert max(counts) <= 1.1 * crowd / workers + 3


@given(st.lists(st.integers(0, 1), max_size=60))
def test_of_two_neither_serves_more_than_three_fifths_of_a_crowd(order: list[int]) -> None:
    counts = [0, 0]
    for worker in [*order, *([0, 1] * CROWD)]:
        room = min(fair_room(counts[worker], [counts[1 - worker]]), BATCH, CROWD - sum(counts))
        counts[worker] += room
    assert sum(counts) == CROWD
    assert max(counts) <= 0.6 * CROWD


# what the others have


class Listening:
    """Remembers whether it accepts."""

    def __init__(self) -> None:
        self.is_accepting = True
        self.is_awaited = False

    def pause_accepting(self) -> None:
        self.is_accepting = False

    def resume_accepting(self) -> None:
        self.is_accepting = True

    def has_waiting(self) -> bool:
        return self.is_awaited


class House:
    """A worker, and another whose row the test writes."""

    def __init__(self) -> None:
        self.board = Scoreboard.create()
        self.clock = Clock()
        self.clock.advance(100)
        self.own, self.other = (self.board.row(self.board.take_row()) for _ in range(2))
        self.capacity = Capacity(10_000, 0, lambda: 0, Share(self.own, self.clock))
        self.capacity.configure(1000, 0)
        self.listener = Listening()
        self.capacity.add(self.listener)
        self.show(0)

    def show(self, connections: int, accepts: bool = True, age: float = 0.0) -> None:
        """The other worker has so many connections, and a heart that beat a while ago."""
        self.other.set(CONNECTIONS, connections)
        self.other.set(ACCEPTING, accepts)
        self.other.set(HEARTBEAT, int((self.clock.seconds() - age) * 1e9))

    def accept(self, crowd: int = 1000) -> int:
        """Accept as long as that is not paused, and return how many."""
        before = self.capacity.open_count
        while self.listener.is_accepting and self.capacity.open_count < before + crowd:
            self.capacity.admit("192.0.2.1")
        return self.capacity.open_count - before

    @property
    def looks(self) -> int:
        """How many looks at a pause are to come."""
        return len(self.clock.getDelayedCalls())


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.board.close()


def test_accepting_pauses_at_the_share_and_goes_on_when_the_other_has_caught_up(house: House) -> None:
    house.show(10)
    assert house.accept() == fair_room(0, [10])
    assert (house.own.get(CONNECTIONS), house.own.get(ACCEPTING)) == (house.capacity.open_count, 1)
    assert (house.capacity.is_paused, house.capacity.is_full) == (True, False)
    house.show(20)
    assert (house.listener.is_accepting, house.looks) == (False, 1)
    house.clock.advance(AGAIN)
    assert (house.listener.is_accepting, house.looks) == (True, 0)


def test_a_pause_is_looked_at_again_and_again(house: House) -> None:
    house.accept()
    for _ in range(3):
        assert (house.listener.is_accepting, house.looks) == (False, 1)
        house.clock.advance(AGAIN)


def test_a_connection_that_ends_here_ends_the_pause(house: House) -> None:
    house.accept()
    house.capacity.leave("192.0.2.1")
    assert house.listener.is_accepting
    assert house.own.get(CONNECTIONS) == house.capacity.open_count


@pytest.mark.parametrize(("accepts", "age"), [(False, 0.0), (True, FRESH + 0.01)])
def test_who_does_not_accept_or_shows_no_life_has_no_share(house: House, accepts: bool, age: float) -> None:
    house.show(0, accepts, age)
    assert house.accept(100) == 100


def test_who_stops_to_live_is_waited_for_no_longer(house: House) -> None:
    house.accept()
    house.clock.advance(AGAIN)
    assert not house.listener.is_accepting
    house.clock.advance(FRESH)
    assert house.listener.is_accepting


def test_one_that_waits_is_taken_where_the_other_does_nothing_for_long(house: House) -> None:
    taken = house.accept()
    house.listener.is_awaited = True
    house.clock.pump([AGAIN] * STUCK)
    assert not house.listener.is_accepting
    for _ in range(3):
        house.clock.advance(AGAIN)
        assert house.accept() == 1
    house.show(taken)
    house.clock.advance(AGAIN)
    assert house.listener.is_accepting


def test_the_other_that_moves_is_left_what_waits(house: House) -> None:
    house.show(1)
    house.accept()
    house.listener.is_awaited = True
    for number in range(3 * STUCK):
        house.show(number % 2)
        house.clock.advance(AGAIN)
        assert not house.listener.is_accepting


def test_nothing_is_taken_where_nothing_has_waited(house: House) -> None:
    house.accept()
    house.clock.pump([AGAIN] * (3 * STUCK))
    assert not house.listener.is_accepting


def test_the_one_that_waited_may_be_anothers_in_the_end(house: House) -> None:
    house.accept()
    house.listener.is_awaited = True
    house.clock.pump([AGAIN] * (STUCK + 1))
    assert house.listener.is_accepting
    house.listener.is_awaited = False
    house.clock.advance(AGAIN)
    assert (house.listener.is_accepting, house.looks) == (False, 1)


def test_who_is_full_says_so_and_does_not_look_again(house: House) -> None:
    house.show(1000)
    house.capacity.configure(3, 0)
    assert house.accept() == 3
    assert (house.own.get(ACCEPTING), house.looks) == (0, 0)
    house.capacity.leave("192.0.2.1")
    assert (house.own.get(ACCEPTING), house.listener.is_accepting) == (1, True)


def test_who_listens_no_more_says_so_and_looks_no_more(house: House) -> None:
    house.accept()
    house.capacity.remove(house.listener)
    assert (house.own.get(ACCEPTING), house.looks) == (0, 0)
    assert house.own.get(CONNECTIONS) == house.capacity.open_count


# with sockets


class Worker:
    """What one process has: here it shares the reactor with the others."""

    def __init__(self, loop: Loop, board: Scoreboard) -> None:
        row = board.row(board.take_row())
        row.set(HEARTBEAT, int((loop.reactor.seconds() + 60) * 1e9))
        self.capacity = Capacity(10_000, 0, lambda: 0, Share(row, loop.reactor))
        self.capacity.configure(1000, 0)
        self._serving = Serving()
        self._serving.gateway = gateway('[route:static]\npath = /static\nrespond = 200 "static"\n').gateway
        self._serving.forwarder = Forwarder("house")

    def listener(self, where: str) -> Listener:
        """Return a listener that is not bound yet."""
        return Listener(configured("public", where), self._serving, self.capacity, RequestIds("id"))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_crowd_of_connections_is_spread_over_two(kind: str, tmp_path: Path) -> None:
    where = "tcp:0:interface=127.0.0.1" if kind == "tcp" else f"unix:{tmp_path / 'gate.sock'}"
    opened = open_listening(configured("public", where))
    board = Scoreboard.create()
    with a_loop() as loop:
        workers = [Worker(loop, board) for _ in range(2)]
        listeners = [worker.listener(where) for worker in workers]
        clients = [socket.socket(opened.socket.family) for _ in range(CROWD)]
        for client in clients:
            client.connect(opened.socket.getsockname())
        for listener in listeners:
            listener.listen(loop.reactor, None, opened)
            listener.pause_accepting()
            assert listener.has_waiting()
        for listener in listeners:
            listener.resume_accepting()
        counts = [worker.capacity for worker in workers]
        loop.until(lambda: sum(capacity.open_count for capacity in counts) == CROWD)
        assert max(capacity.open_count for capacity in counts) <= 0.6 * CROWD
        assert [listener.has_waiting() for listener in listeners] == [False, False]
        for listener in listeners:
            listener.stop_accepting()
            listener.abort()
        for client in clients:
            client.close()
        loop.until(lambda: not any(capacity.open_count for capacity in counts))
        assert not loop.reactor.getDelayedCalls()
    assert not any(listener.has_waiting() for listener in listeners)
    opened.close()
    board.close()
