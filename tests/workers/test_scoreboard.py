"""Rows that several processes write and everybody sums."""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistedgate.workers.scoreboard import (
    COLUMNS,
    CONNECTIONS,
    FIRST_GAUGE,
    FIRST_WORKER,
    GAUGES,
    RETIRED,
    ROWS,
    SUPERVISOR,
    LayoutMismatch,
    NoRow,
    NoSharedMemory,
    Scoreboard,
)

PAGE = mmap.PAGESIZE
ROUTE = 420
"""Counters of one route."""


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    made = Scoreboard.create()
    yield made
    made.close()


def resident(board: Scoreboard) -> int:
    """The bytes of memory that there are so far."""
    return os.fstat(board.fd).st_blocks * 512


def test_rows_are_given_out_from_the_first_that_is_free(board: Scoreboard) -> None:
    assert board.reach == FIRST_WORKER
    assert [board.take_row() for _ in range(3)] == [2, 3, 4]
    assert board.reach == 5
    board.retire(3)
    assert board.reach == 5
    assert board.take_row() == 3
    board.retire(4)
    board.retire(3)
    assert board.reach == 3


def test_there_are_so_many_rows_and_no_more(board: Scoreboard) -> None:
    for _ in range(FIRST_WORKER, ROWS):
        board.take_row()
    with pytest.raises(NoRow):
        board.take_row()
    assert board.reach == ROWS


@pytest.mark.parametrize("number", [-1, FIRST_WORKER, ROWS])
def test_a_row_that_is_nobodys_cannot_be_had(board: Scoreboard, number: int) -> None:
    with pytest.raises(LookupError):
        board.row(number)
    with pytest.raises(LookupError):
        board.retire(number)


@pytest.mark.parametrize("number", [RETIRED, SUPERVISOR])
def test_what_is_nobodys_process_does_not_retire(board: Scoreboard, number: int) -> None:
    assert board.row(number).number == number
    with pytest.raises(LookupError):
        board.retire(number)


def test_counters_are_summed_over_all_rows(board: Scoreboard) -> None:
    for number in (SUPERVISOR, board.take_row(), board.take_row()):
        counters = board.row(number).counters
        counters[7] += number
        counters[8] += 2**61
    assert board.total(6, 4) == [0, 1 + 2 + 3, 3 * 2**61, 0]
    assert board.total(COLUMNS - 2, 2) == [0, 0]


def test_a_gauge_is_set_counted_and_summed(board: Scoreboard) -> None:
    one, other = board.row(board.take_row()), board.row(board.take_row())
    one.set(CONNECTIONS, 5)
    other.add(CONNECTIONS, 3)
    other.add(CONNECTIONS, -1)
    assert (one.get(CONNECTIONS), other.get(CONNECTIONS)) == (5, 2)
    assert board.gauge_total(CONNECTIONS) == 7
    assert board.cells(CONNECTIONS)[:5].tolist() == [0, 0, 5, 2, 0]
    assert board.gauge(CONNECTIONS, other.number) == 2
    assert board.gauge_total(CONNECTIONS + 1) == 0


def test_a_gauge_that_there_is_not_is_nobody_elses(board: Scoreboard) -> None:
    row = board.row(board.take_row())
    row.set(GAUGES - 1, 1)
    for gauge in (GAUGES, -GAUGES - 1):
        with pytest.raises(IndexError):
            row.add(gauge, 1)


def test_what_was_counted_outlives_its_process_and_what_goes_up_and_down_does_not(board: Scoreboard) -> None:
    for count in (3, 4):
        row = board.row(board.take_row())
        row.counters[0] += count
        row.counters[COLUMNS - 1] += 1
        row.set(FIRST_GAUGE, 9)
        row.set(GAUGES - 1, 9)
        board.retire(row.number)
    assert (board.total(0, 2), board.total(COLUMNS - 2, 2)) == ([7, 0], [0, 2])
    assert (board.gauge_total(FIRST_GAUGE), board.gauge_total(GAUGES - 1)) == (0, 0)
    row = board.row(board.take_row())
    assert (row.counters[0], row.get(FIRST_GAUGE)) == (0, 0)


def test_who_stays_keeps_what_it_has_when_another_goes(board: Scoreboard) -> None:
    stays, goes = board.row(board.take_row()), board.row(board.take_row())
    for row in (stays, goes):
        row.counters[100] += 1
        row.set(FIRST_GAUGE, row.number)
    board.retire(goes.number)
    assert (stays.counters[100], stays.get(FIRST_GAUGE)) == (1, stays.number)
    assert (board.total(100, 1), board.gauge_total(FIRST_GAUGE)) == ([2], stays.number)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 2**40)) | st.integers(0, 3),
        max_size=20,
    )
)
def test_sums_only_grow_whoever_comes_and_goes(steps: list[tuple[int, int, int] | int]) -> None:
    board = Scoreboard.create()
    rows = [board.row(board.take_row()) for _ in range(4)]
    expected = [0] * 6
    for step in steps:
        if isinstance(step, int):
            board.retire(rows[step].number)
            rows[step] = board.row(board.take_row())
        else:
            place, column, count = step
            rows[place].counters[column] += count
            expected[column] += count
        assert board.total(0, 6) == expected
    board.close()


def test_what_is_emptied_is_empty_in_every_row_and_nothing_beside_it(board: Scoreboard) -> None:
    rows = [board.row(number) for number in (RETIRED, board.take_row(), board.take_row())]
    for row in rows:
        row.counters[9:13] = memoryview(b"\x01\0\0\0\0\0\0\0" * 4).cast("q")
        for gauge in (20, 21, 22, 23):
            row.set(gauge, 1)
    board.clear(10, 2)
    board.clear_gauges(21, 2)
    assert board.total(9, 4) == [3, 0, 0, 3]
    assert [board.gauge_total(gauge) for gauge in (20, 21, 22, 23)] == [2, 0, 0, 2]


def test_memory_is_taken_where_something_is_counted_only(board: Scoreboard) -> None:
    row = board.row(board.take_row())
    row.counters[0] = row.counters[COLUMNS - 1] = 1
    row.set(FIRST_GAUGE, 1)
    board.total(0, COLUMNS // 64)
    board.clear(PAGE, PAGE)
    assert resident(board) <= 4 * PAGE
    board.retire(row.number)
    # row 0 has the counters now, and the gauge is a page of zeros
    assert resident(board) <= 4 * PAGE


def test_another_process_writes_into_the_same_memory(board: Scoreboard) -> None:
    number = board.take_row()
    program = (
        "import sys; from twistedgate.workers.scoreboard import *;"
        "row = Scoreboard.attach(int(sys.argv[1])).row(int(sys.argv[2]));"
        "row.counters[5] += 6; row.set(PID, 7)"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(board.fd), str(number)],
        pass_fds=[board.fd],
        timeout=30,
        check=True,
    )
    assert (board.total(5, 1), board.gauge_total(2)) == ([6], 7)


def test_memory_of_another_layout_is_refused_and_left_alone(board: Scoreboard) -> None:
    copy = os.dup(board.fd)
    os.pwrite(copy, (99).to_bytes(8, sys.byteorder), 8)
    with pytest.raises(LayoutMismatch, match="99"):
        Scoreboard.attach(copy)
    os.close(copy)


def test_what_is_no_scoreboard_is_refused() -> None:
    fd = os.memfd_create("other")
    with pytest.raises(LayoutMismatch, match="0 bytes"):
        Scoreboard.attach(fd)
    os.close(fd)


def test_without_memory_to_share_it_says_why() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        with pytest.raises(NoSharedMemory, match=r"memfd_create: .*Too many open files"):
            Scoreboard.create()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_where_so_much_cannot_be_mapped_it_says_so_and_leaves_nothing_open() -> None:
    program = (
        "import os, resource; from twistedgate.workers.scoreboard import *;"
        "resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)); before = os.listdir('/proc/self/fd')\n"
        "try: Scoreboard.create()\n"
        "except NoSharedMemory as error: print(error, os.listdir('/proc/self/fd') == before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], timeout=30, check=True, capture_output=True, text=True
    )
    assert "cannot be mapped" in ran.stdout
    assert ran.stdout.endswith("True\n")


def test_a_row_may_be_asked_for_by_its_number() -> None:
    board = Scoreboard.create()
    assert [board.take_row(5), board.take_row(), board.reach] == [5, 2, 6]
    with pytest.raises(NoRow, match="row 5 is in use"):
        board.take_row(5)
    board.close()
