"""The sums behind the table."""

from __future__ import annotations

import pytest

from benchmarks.load import Load
from benchmarks.memory import MemoryRow
from benchmarks.rounds import Turn, weigh
from benchmarks.table import case_table, memory_table


def turn(microseconds: float, p99: float = 0.002) -> Turn:
    """A turn of one second and a thousand requests."""
    return Turn(microseconds, Load(1000, 1.0, 1, 0.001, p99))


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() -> None:
    rows = weigh(
        {"gateway": [turn(30), turn(60), turn(90)], "nginx": [turn(15), turn(20), turn(90)]}, "gateway"
    )
    ratios = {row.name: row.ratio for row in rows}
    assert ratios == {"gateway": 1.0, "nginx": 2.0}
    assert rows[1].microseconds == 20
    assert rows[1].errors == 3


def test_at_a_fixed_rate_latencies_are_compared() -> None:
    rows = weigh({"gateway": [turn(1, 0.004)], "nginx": [turn(9, 0.002)]}, "gateway", by_latency=True)
    assert rows[1].ratio == pytest.approx(2.0)


def test_peers_alone_have_no_ratio_and_no_verdict() -> None:
    table = "\n".join(case_table("small", weigh({"nginx": [turn(15)]}, "gateway"), {"nginx": 2.0}))
    assert "to reach" not in table
    assert " - " in table


def test_the_table_says_what_was_missed() -> None:
    rows = weigh({"gateway": [turn(30)], "nginx": [turn(10)], "caddy": [turn(100)]}, "gateway")
    said = "\n".join(case_table("small", rows, {"nginx": 2.0, "caddy": 0.4}))
    assert "3.00 x nginx, to reach 2: MISSED" in said
    assert "0.30 x caddy, to reach 0.4: reached" in said


def test_memory_is_judged_idle_and_for_each_connection() -> None:
    row = MemoryRow("gateway", 50 * 2**20, 50 * 2**20 + 1000 * 13 * 1024, 1000)
    said = "\n".join(memory_table("memory", [row], "gateway"))
    assert "13.0" in said
    assert "60 MiB: reached; a connection, at most 12 KiB: MISSED" in said
