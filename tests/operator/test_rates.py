from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.operator.statuses import status, target, upstream, worker
from twistedgate.operator.rates import RATE, with_rates


def reading(clock: float, requests: int, **members: Any) -> dict[str, Any]:
    """Return a status in which everything has had so many requests."""
    return status(
        clock,
        requests=requests,
        workers=[worker(requests=requests)],
        upstreams={"orders": upstream(target(requests=requests))},
        **members,
    )


def rates(told: dict[str, Any]) -> list[float | None]:
    orders = told["upstreams"]["orders"]
    return [one[RATE] for one in (told, told["workers"][0], orders, orders["targets"][0])]


def test_a_rate_is_what_came_divided_by_the_time_on_the_gateways_clock() -> None:
    told = with_rates(reading(10.0, 100), reading(12.0, 150))
    assert rates(told) == [25.0] * 4


def test_all_else_is_as_the_later_reading_says() -> None:
    after = reading(12.0, 150, connections=7)
    told = with_rates(reading(10.0, 100), after)
    assert told["connections"] == 7
    assert (
        told["upstreams"]["orders"]["targets"][0].items()
        >= after["upstreams"]["orders"]["targets"][0].items()
    )
    assert RATE not in after


def test_what_was_not_there_before_has_none() -> None:
    told = with_rates(status(10.0), reading(12.0, 150))
    assert rates(told) == [75.0, 75.0, None, None]
    later = status(12.0, workers=[worker(200, requests=9)])
    assert with_rates(reading(10.0, 100), later)["workers"][0][RATE] is None


def test_nor_has_what_counts_anew() -> None:
    assert rates(with_rates(reading(10.0, 100), reading(12.0, 99))) == [None] * 4


def test_nor_a_gateway_that_was_started_in_between() -> None:
    after = reading(12.0, 150, started="2026-11-23T17:00:00.000Z")
    assert rates(with_rates(reading(10.0, 100), after)) == [None] * 4


def test_nor_one_reading_compared_with_itself() -> None:
    assert rates(with_rates(reading(10.0, 100), reading(10.0, 100))) == [None] * 4


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.floats(0.001, 1e6))
def test_rates_are_never_below_zero(requests: int, more: int, seconds: float) -> None:
    told = with_rates(reading(0.0, requests), reading(seconds, requests + more))
    assert all(rate is not None and rate >= 0 for rate in rates(told))
