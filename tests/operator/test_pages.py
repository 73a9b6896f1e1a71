from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.operator.statuses import status, target, upstream, worker
from twistedgate.operator.pages import LONGEST_ERROR, ago, status_page, table, targets_page
from twistedgate.operator.rates import with_rates

NOW = dt.datetime(2026, 11, 23, 18, 30, tzinfo=dt.UTC)


def test_a_status_fits_on_a_page() -> None:
    before = status(10.0, workers=[worker(requests=100)], requests=100)
    after = status(
        12.0,
        requests=400,
        connections=12,
        workers=[worker(requests=300, connections=5), worker(101, connections=7, requests=100)],
        upstreams={
            "orders": upstream(
                target(requests=1000),
                target("192.0.2.22:8080", state="ejected", failed=3, last_error="reset"),
                available=1,
                in_flight=2,
            ),
            "empty": upstream(),
        },
    )
    assert status_page(with_rates(before, after), NOW) == (
        "twistedgate 1.2.3, up 2 h 30 min, 12 connections, 150 requests/s\n"
        "\n"
        "PROCESS  STATE    CONNECTIONS  REQUESTS  PER SECOND\n"
        "    100  serving            5       300         100\n"
        "    101  serving            7       100           -\n"
        "\n"
        "UPSTREAM orders: round-robin, 1 of 2 targets may be picked, 2 in flight\n"
        "TARGET           STATE    SINCE       WEIGHT  IN FLIGHT  REQUESTS  FAILED  PER SECOND  LAST ERROR\n"
        "192.0.2.1:80     up       1 h 30 min       1          0      1000       0           -  -\n"
        "192.0.2.22:8080  ejected  1 h 30 min       1          0         0       3           -  reset\n"
        "\n"
        "UPSTREAM empty: round-robin, 0 of 0 targets may be picked, 0 in flight"
    )


def test_what_is_not_as_it_should_be_stands_on_top() -> None:
    odd = status(draining=True, accepting_paused=True, access_log_dropped=3, unready=["it stops"])
    lines = status_page(with_rates(odd, odd), NOW).splitlines()
    assert lines[:6] == [
        "twistedgate 1.2.3, up 2 h 30 min, 0 connections",
        "It is shutting down.",
        "A limit of connections is reached: new ones wait.",
        "3 lines of the access log were lost.",
        "Not ready: it stops",
        "",
    ]


def test_targets_are_one_table() -> None:
    told = status(upstreams={"a": upstream(target(weight=0.25)), "bcd": upstream(target(state="drained"))})
    assert targets_page(told, NOW) == (
        "UPSTREAM  TARGET        STATE    SINCE       WEIGHT  IN FLIGHT  REQUESTS  FAILED  LAST ERROR\n"
        "a         192.0.2.1:80  up       1 h 30 min    0.25          0         0       0  -\n"
        "bcd       192.0.2.1:80  drained  1 h 30 min       1          0         0       0  -"
    )
    assert targets_page(status(), NOW) == "there are no targets"


@given(st.text(max_size=200))
def test_an_error_of_a_target_moves_no_cursor(text: str) -> None:
    page = targets_page(status(upstreams={"a": upstream(target(last_error=f"\x1b[2J{text}\n"))}), NOW)
    head, row = page.split("\n")
    assert row.isprintable()
    assert len(row) <= len(head) + LONGEST_ERROR


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-11-23T18:30:00.000Z", "0 s"),
        ("2026-11-23T18:29:18.500Z", "41 s"),
        ("2026-11-23T18:29:00Z", "1 min"),
        ("2026-11-23T18:00:59Z", "29 min 1 s"),
        ("2026-11-20T17:29:59Z", "3 d 1 h"),
        ("2026-11-23T18:31:00Z", "0 s"),
    ],
)
def test_how_long_ago_is_two_units_at_most(moment: str, told: str) -> None:
    assert ago(moment, NOW) == told


@given(st.lists(st.tuples(st.text("ab", max_size=5), st.integers(0, 10**6)), min_size=1, max_size=5))
def test_columns_stand_below_one_another(rows: list[tuple[str, int]]) -> None:
    lines = list(table(["NAME", "COUNT"], rows))
    assert len({len(line) for line in lines}) == 1
    assert [line[:5].strip() for line in lines[1:]] == [name for name, _ in rows]
    assert [int(line[5:]) for line in lines[1:]] == [count for _, count in rows]
