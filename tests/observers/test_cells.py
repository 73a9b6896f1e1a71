from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.errors import TITLES
from twistedgate.observers import cells
from twistedgate.observers.cells import ENDS, LIMITS, REASONS, STATUSES, TOLD, blocks_of, names, status_label
from twistedgate.units import Units

INI = """\
[listener:public]
endpoint = tcp:0
[upstream:orders]
targets = http://192.0.2.1
[route:orders]
path = /orders/*
upstream = orders
[route:word]
path = /word
respond = 200 "x"
"""


@pytest.mark.parametrize(
    ("status", "label"),
    [
        (200, "200"),
        (404, "404"),
        (299, "2xx"),
        (599, "5xx"),
        (199, "1xx"),
        (0, "0"),
        (600, "other"),
        (999, "other"),
    ],
)
def test_a_status_is_itself_or_its_class(status: int, label: str) -> None:
    assert status_label(status) == label


@given(st.integers())
def test_no_status_makes_a_label_of_its_own(status: int) -> None:
    assert status_label(status) in STATUSES


def test_labels_are_all_different() -> None:
    for labels in (STATUSES, REASONS, LIMITS, ENDS, TOLD, cells.METHODS):
        assert len(set(labels)) == len(labels)


def test_limits_are_reasons_or_options() -> None:
    words = {limit for limit in LIMITS if "_" not in limit}
    assert words <= TITLES.keys()
    assert {"max_connections", "max_connections_per_ip"} == set(LIMITS) - words


def test_the_parts_of_a_block_do_not_overlap() -> None:
    starts = [
        cells.REQUESTS,
        cells.BOTH_DURATIONS,
        cells.DURATION,
        cells.UPSTREAM_DURATION,
        cells.REQUEST_SIZE,
        cells.RESPONSE_SIZE,
        cells.FAILURES,
        cells.ROUTE_CELLS,
    ]
    lengths = [
        len(cells.METHODS) * len(STATUSES),
        *[cells.SECONDS.length] * 3,
        *[cells.BYTES.length] * 2,
        len(REASONS),
    ]
    assert [after - before for before, after in itertools.pairwise(starts)] == lengths


def test_the_parts_of_a_block_of_jobs_do_not_overlap() -> None:
    starts = [cells.SUBMITTED, cells.RUN_AGAIN, cells.ENDED, cells.WAITED, cells.RAN, cells.JOBS_CELLS]
    lengths = [1, 1, len(ENDS), *[cells.JOB_SECONDS.length] * 2]
    assert [after - before for before, after in itertools.pairwise(starts)] == lengths


def test_jobs_take_from_ten_milliseconds_to_an_hour() -> None:
    bounds = cells.JOB_SECONDS.upper_bounds()
    assert (bounds[0], bounds[-2:]) == (0.01, (3600.0, float("inf")))
    assert list(bounds) == sorted(bounds)


def test_bounds_are_in_base_units_and_end_without_one() -> None:
    assert cells.SECONDS.upper_bounds()[:3] == (0.001, 0.0025, 0.005)
    assert cells.SECONDS.upper_bounds()[-2:] == (60.0, float("inf"))
    assert cells.BYTES.upper_bounds()[:2] == (256, 1024)
    assert cells.SECONDS.measure(2_500_000) == 2.5
    assert cells.BYTES.measure(2_500_000) == 2_500_000


def test_a_configuration_wants_a_block_for_each_route_and_upstream(tmp_path: Path) -> None:
    file = tmp_path / "gateway.ini"
    file.write_text(INI)
    wanted = blocks_of(Units().load(str(file)))
    assert wanted.keys() - cells.FIXED.keys() == {"route:orders", "route:word", "upstream:orders"}
    assert wanted["route:word"] == wanted["route:"] == cells.ROUTE_CELLS
    assert blocks_of(Configuration()) == cells.FIXED


def test_where_there_are_jobs_who_asks_for_them_is_counted() -> None:
    route = RouteConfig("r", path="*", async_="optional")
    wanted = blocks_of(Configuration(routes={"r": route}))
    assert wanted.keys() - cells.FIXED.keys() == {"route:r", "route:_jobs", "jobs:r"}
    assert wanted["jobs:r"] == wanted["jobs:other"] == cells.JOBS_CELLS


def test_blocks_are_found_by_what_they_are_of() -> None:
    starts = ["process", "route:", "route:a:b", "target:orders/192.0.2.1:80", "upstream:orders"]
    assert names(starts, "route") == ["", "a:b"]
    assert names(starts, "target") == ["orders/192.0.2.1:80"]
    assert names(starts, "process") == []
    assert cells.target_block("orders", "192.0.2.1:80") == starts[3]
