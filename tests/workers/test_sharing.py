"""Several processes count as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from twistedgate.balancing.least_connections import LeastConnections
from twistedgate.config.model import TargetConfig
from twistedgate.limiting.gate import Gate
from twistedgate.upstream.target import Target
from twistedgate.workers.scoreboard import FIRST_GAUGE, Scoreboard
from twistedgate.workers.sharing import SharedCounts, SharedGate, SharedTarget

CONFIG = TargetConfig("http", "a.example", 80)
WORKERS = 4
ENTERING = Path(__file__).with_name("entering.py")
LONGEST = 100
"""Seconds for half a second's work: others may have the machine to themselves for a while."""


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    made = Scoreboard.create()
    for _ in range(WORKERS):
        made.take_row()
    yield made
    made.close()


def gates(board: Scoreboard, limit: int | None, count: int = WORKERS) -> list[SharedGate]:
    return [SharedGate(limit, board.row(number), FIRST_GAUGE) for number in range(2, 2 + count)]


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, WORKERS - 1)), max_size=40)


@settings(max_examples=50)
@given(st.integers(0, 5) | st.none(), STEPS)
def test_the_limit_holds_for_all_together(limit: int | None, steps: list[tuple[bool, int]]) -> None:
    board = Scoreboard.create()
    for _ in range(WORKERS):
        board.take_row()
    shared = gates(board, limit)
    inside = [0] * WORKERS
    for enters, place in steps:
        if enters:
            expected = limit is None or sum(inside) < limit
            assert shared[place].enter() is expected
            inside[place] += expected
        elif inside[place]:
            shared[place].leave()
            inside[place] -= 1
        assert [gate.under_way for gate in shared] == inside
        assert {gate.total for gate in shared} == {sum(inside)}
    board.close()


@pytest.mark.parametrize("limit", [1, 3])
def test_processes_that_enter_at_once_never_pass_the_limit(board: Scoreboard, limit: int) -> None:
    taking, putting = os.pipe()
    os.set_blocking(taking, False)
    os.write(putting, bytes(limit))
    waiting, starting = os.pipe()
    workers = [
        subprocess.Popen(
            [sys.executable, ENTERING, *map(str, (number, board.fd, taking, putting, limit))],
            stdin=waiting,
            stdout=subprocess.PIPE,
            pass_fds=(board.fd, taking, putting),
            text=True,
        )
        for number in range(2, 2 + WORKERS)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        os.close(starting)
        told = [worker.communicate(timeout=LONGEST)[0].split() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
        for fd in (taking, putting, waiting):
            os.close(fd)
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    assert [[too_many, left] for _, too_many, left in told] == [["0", "0"]] * WORKERS
    assert all(int(entered) for entered, *_ in told)
    assert board.gauge_total(FIRST_GAUGE) == 0


def test_the_line_counts_up_by_itself_where_nothing_is_bounded(board: Scoreboard) -> None:
    one, other = gates(board, None, 2)
    one.under_way += 1
    other.under_way += 1
    one.leave()
    assert (one.under_way, other.under_way, one.total) == (0, 1, 1)


def test_nobody_leaves_by_another_process(board: Scoreboard) -> None:
    one, other = gates(board, 2, 2)
    one.enter()
    with pytest.raises(RuntimeError):
        other.leave()
    assert one.total == 1


def test_a_lower_limit_holds_for_those_who_come(board: Scoreboard) -> None:
    one, other = gates(board, None, 2)
    assert all(gate.enter() for gate in (one, other, one))
    for gate in (one, other):
        gate.limit = 2
    one.leave()
    assert not other.enter()
    one.leave()
    assert other.enter()


def test_a_gate_made_anew_knows_what_is_inside(board: Scoreboard) -> None:
    before = gates(board, 1, 1)[0]
    before.enter()
    after = gates(board, 1, 1)[0]
    assert not after.enter()
    before.leave()
    assert after.enter()


def test_what_a_dead_process_held_is_free_again(board: Scoreboard) -> None:
    one, other = gates(board, 1, 2)
    other.enter()
    assert not one.enter()
    board.retire(3)
    assert one.enter()


def test_a_gate_shows_who_is_inside(board: Scoreboard) -> None:
    one, other = gates(board, 3, 2)
    for gate in (one, other, other):
        gate.enter()
    assert repr(one) == "<SharedGate 1 here, 3 of 3>"
    assert repr(gates(board, None, 1)[0]) == "<SharedGate 1 here, 3 of any>"


def test_requests_in_flight_are_those_of_all(board: Scoreboard) -> None:
    one, other = (SharedTarget(CONFIG, "192.0.2.1", board.row(number), 20) for number in (2, 3))
    one.take()
    one.take()
    other.take()
    assert (one.in_flight, other.in_flight, one.requests, other.requests) == (3, 3, 2, 1)
    one.give_back()
    assert (one.in_flight, other.in_flight) == (2, 2)
    # the other's is still under way where its object is another by now
    assert SharedTarget(CONFIG, "192.0.2.1", board.row(3), 20).in_flight == 2
    board.retire(3)
    assert one.in_flight == 1


def test_what_all_have_in_flight_cannot_be_set(board: Scoreboard) -> None:
    target = SharedTarget(CONFIG, "192.0.2.1", board.row(2), 20)
    with pytest.raises(AttributeError, match="take and give_back"):
        target.in_flight += 1
    assert target.in_flight == 0


@settings(max_examples=30)
@given(st.lists(st.integers(0, WORKERS - 1), max_size=30))
def test_the_least_busy_of_all_processes_is_picked(order: list[int]) -> None:
    board = Scoreboard.create()
    balancers = []
    for _ in range(WORKERS):
        row = board.row(board.take_row())
        balancer: LeastConnections[Target] = LeastConnections()
        balancer.update([SharedTarget(CONFIG, f"192.0.2.{place}", row, 20 + place) for place in range(3)])
        balancers.append(balancer)
    for worker in order:
        target = balancers[worker].pick(b"", ())
        assert target is not None
        target.take()
    spread = [board.gauge_total(20 + place) for place in range(3)]
    assert sum(spread) == len(order)
    assert max(spread) - min(spread) <= 1
    board.close()


def test_what_has_a_gauge_is_counted_together(board: Scoreboard) -> None:
    gauges = {"route:a": 16, "target:orders/192.0.2.1:80": 17}
    one, other = (SharedCounts(board.row(number), gauges) for number in (2, 3))
    assert [counts.gate("route:a", 1).enter() for counts in (one, other)] == [True, False]
    targets = [counts.target("orders", CONFIG, "192.0.2.1") for counts in (one, other)]
    targets[0].take()
    assert [target.in_flight for target in targets] == [1, 1]


def test_what_has_none_is_counted_by_each_for_itself_and_that_is_told(board: Scoreboard) -> None:
    counts = SharedCounts(board.row(2), {})
    with capturedLogs() as events:
        gate = counts.gate("route:a", 1)
    assert type(gate) is Gate
    assert [event["name"] for event in events] == ["route:a"]
    target = counts.target("orders", CONFIG, "192.0.2.1")
    target.take()
    assert (type(target), target.in_flight) == (Target, 1)


def test_gauges_that_come_later_are_seen(board: Scoreboard) -> None:
    gauges: dict[str, int] = {}
    counts = SharedCounts(board.row(2), gauges)
    gauges["upstream:orders"] = 30
    assert isinstance(counts.gate("upstream:orders", None), SharedGate)
