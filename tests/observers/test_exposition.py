from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.utils import floatToGoString

from twistedgate.observers.exposition import (
    Family,
    Format,
    HistogramFamily,
    Labels,
    bound_text,
    choose,
    number,
    render,
)

SCRAPER = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 sends."""

REQUESTS = Family("gate_requests", "counter", "Requests.", [((("route", "orders"),), 3)])
SIZES = HistogramFamily(
    "gate_size_bytes", "Sizes.", (256, 1024, math.inf), [((("route", "orders"),), (2, 0, 1), 5000)], "bytes"
)


def text(form: Format, *families: Family | HistogramFamily) -> str:
    return "".join(render(families, form))


def test_a_counter_as_text() -> None:
    assert text(Format.TEXT, REQUESTS) == (
        "# HELP gate_requests_total Requests.\n"
        "# TYPE gate_requests_total counter\n"
        'gate_requests_total{route="orders"} 3\n'
    )


def test_a_counter_in_openmetrics() -> None:
    assert text(Format.OPENMETRICS, REQUESTS) == (
        "# HELP gate_requests Requests.\n"
        "# TYPE gate_requests counter\n"
        'gate_requests_total{route="orders"} 3\n'
        "# EOF\n"
    )


def test_a_gauge_with_a_unit() -> None:
    family = Family("gate_time_seconds", "gauge", "When.", [((), 1.5)], "seconds")
    assert text(Format.TEXT, family).endswith("# TYPE gate_time_seconds gauge\ngate_time_seconds 1.5\n")
    assert "# UNIT gate_time_seconds seconds\ngate_time_seconds 1.5\n" in text(Format.OPENMETRICS, family)


def test_what_informs_is_a_gauge_where_there_is_no_other_kind() -> None:
    family = Family("gate_build", "info", "Versions.", [((("version", "1.2"),), 1)])
    assert text(Format.TEXT, family).endswith(
        '# TYPE gate_build_info gauge\ngate_build_info{version="1.2"} 1\n'
    )
    assert "# TYPE gate_build info\ngate_build_info{" in text(Format.OPENMETRICS, family)


def test_the_buckets_of_a_histogram_add_up() -> None:
    assert text(Format.TEXT, SIZES).splitlines()[2:] == [
        'gate_size_bytes_bucket{route="orders",le="256.0"} 2',
        'gate_size_bytes_bucket{route="orders",le="1024.0"} 2',
        'gate_size_bytes_bucket{route="orders",le="+Inf"} 3',
        'gate_size_bytes_count{route="orders"} 3',
        'gate_size_bytes_sum{route="orders"} 5000',
    ]


def test_a_family_without_samples_is_not_written() -> None:
    assert text(Format.TEXT, Family("gate_requests", "counter", "Requests.", [])) == ""
    assert text(Format.OPENMETRICS, Family("gate_requests", "counter", "Requests.", [])) == "# EOF\n"


def test_help_is_escaped_as_each_format_wants_it() -> None:
    family = Family("gate_x", "gauge", 'a\\b "c"\nd', [((), 1)])
    assert text(Format.TEXT, family).startswith('# HELP gate_x a\\\\b "c"\\nd\n')
    assert text(Format.OPENMETRICS, family).startswith('# HELP gate_x a\\\\b \\"c\\"\\nd\n')


NAMES = st.text(max_size=8) | st.sampled_from(['"', "\\", "\n", "a\\n", "%s", "100%", '\\"', "\0", "{}", "é"])


@given(NAMES, st.integers(0, 2**62), st.lists(st.integers(0, 2**40), min_size=3, max_size=3))
def test_whatever_a_label_says_is_read_back(name: str, count: int, buckets: list[int]) -> None:
    labels: Labels = (("route", name),)
    families: list[Family | HistogramFamily] = [
        Family("gate_requests", "counter", "Requests.", [(labels, count)]),
        HistogramFamily("gate_size_bytes", "Sizes.", SIZES.bounds, [(labels, buckets, count)], "bytes"),
    ]
    for form, read in ((Format.TEXT, read_text), (Format.OPENMETRICS, read_openmetrics)):
        requests, sizes = read(text(form, *families))
        assert [(sample.labels, sample.value) for sample in requests.samples] == [({"route": name}, count)]
        found = {(sample.name, sample.labels.get("le")): sample for sample in sizes.samples}
        assert found["gate_size_bytes_bucket", "256.0"].value == buckets[0]
        assert found["gate_size_bytes_bucket", "+Inf"].value == sum(buckets)
        assert {sample.labels["route"] for sample in sizes.samples} == {name}


@pytest.mark.parametrize(
    ("value", "told"),
    [(3, "3"), (1.5, "1.5"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (2**62, str(2**62))],
)
def test_numbers(value: float, told: str) -> None:
    assert number(value) == told


@given(st.floats(0.0001, 1e15) | st.integers(1, 2**50))
def test_bounds_are_canonical(bound: float) -> None:
    assert bound_text(bound) == floatToGoString(bound)


def test_the_last_bound() -> None:
    assert bound_text(math.inf) == "+Inf"


# which of the two


@pytest.mark.parametrize(
    "accept",
    [
        SCRAPER,
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        'APPLICATION/OpenMetrics-Text; version="1.0.0"',
        "application/*",
        "text/plain;q=0.5, application/*;q=0.6",
        "text/plain;q=0, */*",
        "text/plain;q=0.5,application/openmetrics-text;q=0.501",
    ],
)
def test_openmetrics_for_whom_it_is_better(accept: str) -> None:
    assert choose(accept) is Format.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0, */*",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=0.4,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=x",
        "application/json",
        ";;;,,=,;q=1",
        "*/*;q=1, application/openmetrics-text;q=0.1",
    ],
)
def test_text_for_everybody_else(accept: str) -> None:
    assert choose(accept) is Format.TEXT


@given(st.text())
def test_no_wish_is_too_odd(accept: str) -> None:
    assert choose(accept) in Format
