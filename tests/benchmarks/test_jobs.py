"""The parts of the benchmark of jobs that start nothing: figures, tables, the upstream that stalls."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path

from benchmarks.jobs.contenders import CONCURRENCY, CONTENDERS, STORES
from benchmarks.jobs.disk import syncs_a_second
from benchmarks.jobs.stall import Stall
from benchmarks.jobs.tables import accept_table, wait_table, whole_table
from benchmarks.jobs.turns import Row, Turn
from benchmarks.jobs.waiting import Held


def _turn(rate: float, spent: float = 0.1) -> Turn:
    return Turn(1000, spent, 0.05, rate, 0.001, 0.01, 1.5)


def test_a_turn_tells_what_each_job_cost() -> None:
    turn = _turn(5000)
    assert round(turn.each) == 100
    assert round(turn.redis_each) == 50
    assert Turn(0, 0.0, 0.0, 0.0).each == 0.0


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    ours, theirs = Row("redis", [_turn(600), _turn(500), _turn(100)]), Row("celery", [_turn(100)] * 3)
    assert ours.ratio(theirs, lambda turn: turn.rate) == 5.0
    assert ours.median(lambda turn: turn.rate) == 500


def test_accepting_says_which_goals_were_reached() -> None:
    rows = [Row("memory", [_turn(8100)]), Row("sqlite", [_turn(2900)]), Row("redis", [_turn(5000)])]
    text = "\n".join(accept_table([*rows, Row("celery", [_turn(900)])], 1234.0))
    assert "the disk syncs 1,234 times a second" in text
    assert "memory: 8,100 accepted a second, to reach 8,000: reached" in text
    assert "sqlite: 2,900 accepted a second, to reach 3,000: MISSED" in text
    assert "redis: 5.6 x Celery's rate, to reach 5: reached" in text


def test_accepting_without_peers_has_no_ratio() -> None:
    assert "Celery" not in "\n".join(accept_table([Row("redis", [_turn(1)])], 1.0))


def test_a_whole_job_is_compared_with_celerys() -> None:
    text = whole_table([Row("redis", [_turn(1, 0.1)]), Row("celery", [_turn(1, 0.4)])])
    assert text[1].split()[-6:] == ["100", "0.25", "50", "1", "1.50", "0"]


def test_waiting_tells_the_dearest_store() -> None:
    text = "\n".join(wait_table({"memory": Held(0.01), "redis": Held(0.06, 0.001, Counter({200: 3}))}))
    assert "6.0% of a core at most, to stay below 5%: MISSED" in text
    assert "3x200" in text


def test_every_store_of_the_gateway_is_a_contender_that_is_there() -> None:
    assert all(CONTENDERS[name].is_installed for name in STORES)


def test_a_disk_is_asked_at_least_once(tmp_path: Path) -> None:
    assert syncs_a_second(tmp_path, 0.001) > 0
    assert not list(tmp_path.iterdir())


def test_a_stalling_upstream_counts_who_waits() -> None:
    with Stall() as stall:
        calls = [socket.create_connection(("127.0.0.1", stall.port)) for _ in range(CONCURRENCY)]
        stall.wait_until_full()
        for call in calls:
            call.close()
