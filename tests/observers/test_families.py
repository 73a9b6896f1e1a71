from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.observers.counted import STARTED, Counted, busy
from twistedgate.observers.exposition import Format, render
from twistedgate.observers.families import families

PLACE = ("orders", "192.0.2.1:80")


@pytest.fixture
def counted() -> Counted:
    """Return counts of which no family is empty."""
    return busy()


def read(counted: Counted, form: Format) -> dict[str, Any]:
    """Return the families as Prometheus' own parser reads them, by name."""
    parse: Callable[[str], Any] = read_text if form is Format.TEXT else read_openmetrics
    return {family.name: family for family in parse("".join(render(families(counted.reading()), form)))}


def test_both_formats_say_the_same(counted: Counted) -> None:
    told = {
        form: {
            (sample.name, tuple(sample.labels.items())): sample.value
            for family in read(counted, form).values()
            for sample in family.samples
        }
        for form in Format
    }
    assert told[Format.TEXT] == told[Format.OPENMETRICS]
    assert len(told[Format.TEXT]) > 80


def test_every_family_says_what_it_is(counted: Counted) -> None:
    for family in read(counted, Format.OPENMETRICS).values():
        assert family.type in ("counter", "gauge", "histogram", "info"), family.name
        assert len(family.documentation) > 10
        assert family.name.startswith(("twistedgate_", "process_"))


def test_units_are_base_units_and_in_the_name(counted: Counted) -> None:
    units = {family.name: family.unit for family in read(counted, Format.OPENMETRICS).values()}
    assert set(units.values()) == {"", "seconds", "bytes"}
    for name, unit in units.items():
        assert name.endswith(f"_{unit}") if unit else not re.search("seconds|bytes", name)


def test_no_family_comes_twice(counted: Counted) -> None:
    found = [family.name for family in families(counted.reading())]
    assert len(set(found)) == len(found)


def test_a_gateway_that_has_done_nothing_shows_what_there_is_to_be_seen() -> None:
    counted = Counted()
    counted.configure("orders", upstreams=("orders",))
    found = read(counted, Format.TEXT)
    assert not {name for name in found if "request" in name or "failures" in name}
    assert found["twistedgate_retries"].samples[0].value == 0
    assert {sample.labels["upstream"] for sample in found["twistedgate_retries"].samples} == {"orders"}


def test_how_upstreams_and_targets_stand(counted: Counted) -> None:
    assert counted.values("twistedgate_upstream_in_flight") == {("orders",): 2}
    assert counted.values("twistedgate_upstream_available_targets") == {("orders",): 1}
    assert counted.values("twistedgate_target_in_flight") == {PLACE: 2, ("orders", "192.0.2.2:80"): 0}
    assert counted.values("twistedgate_target_up") == {PLACE: 1, ("orders", "192.0.2.2:80"): 0}


def test_how_the_gateway_stands(counted: Counted) -> None:
    assert counted.values("twistedgate_connections") == {(): 3}
    assert counted.values("twistedgate_draining") == {(): 0}
    assert counted.values("twistedgate_last_reload_successful") == {(): 1}
    assert counted.values("twistedgate_last_reload_timestamp_seconds") == {(): STARTED}
    assert counted.values("twistedgate_workers") == {("serving",): 1, ("starting",): 0, ("draining",): 0}
    assert counted.values("twistedgate_workers_wanted") == {(): 1}
    assert counted.values("twistedgate_build") == {("1.2.3", "3.11.2", "26.10.0"): 1}


def test_the_process_by_prometheus_own_names(counted: Counted) -> None:
    found = read(counted, Format.TEXT)
    told = {name: family.samples[0].value for name, family in found.items() if name.startswith("process_")}
    assert told == {
        "process_cpu_seconds": 1.25,
        "process_resident_memory_bytes": 4096,
        "process_virtual_memory_bytes": 8192,
        "process_open_fds": 12,
        "process_max_fds": 1024,
        "process_start_time_seconds": STARTED,
    }


def test_what_goes_while_it_is_written_harms_nobody(counted: Counted) -> None:
    pieces = render(families(counted.reading()), Format.OPENMETRICS)
    written = next(pieces)
    counted.configure()
    counted.measures.keep_targets("orders", [])
    written += "".join(pieces)
    assert {family.name for family in read_openmetrics(written)} >= {
        "twistedgate_connections",
        "process_open_fds",
    }
