from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observers.counted import Counted, over
from twistedgate.exchange import Exchange
from twistedgate.http.hops import Peer
from twistedgate.observers import cells
from twistedgate.observers.cells import LIMITS, STATUSES

DURATION = "twistedgate_request_duration_seconds"
UPSTREAM_DURATION = "twistedgate_upstream_duration_seconds"
REQUEST_SIZE = "twistedgate_request_size_bytes"
RESPONSE_SIZE = "twistedgate_response_size_bytes"


@pytest.fixture
def counted() -> Counted:
    made = Counted()
    made.configure("orders", "word", upstreams=("orders",))
    return made


# requests


def test_counts_by_route_method_and_status(counted: Counted) -> None:
    for one in (over(), over(), over("POST", status=201), over(route="word", status=404)):
        counted.metrics.count(one)
    assert counted.values("twistedgate_requests") == {
        ("orders", "GET", "200"): 2,
        ("orders", "POST", "201"): 1,
        ("word", "GET", "404"): 1,
    }


def test_what_nobody_foresaw_is_other(counted: Counted) -> None:
    for one in (over("PROPFIND"), over(status=299), over(status=777), over(status=5000), over(route="gone")):
        counted.metrics.count(one)
    assert counted.values("twistedgate_requests") == {
        ("orders", "other", "200"): 1,
        ("orders", "GET", "2xx"): 1,
        ("orders", "GET", "other"): 2,
        ("other", "GET", "200"): 1,
    }


def test_a_request_without_a_route_belongs_to_none(counted: Counted) -> None:
    counted.metrics.count(over(route="", status=404))
    assert counted.values("twistedgate_requests") == {("", "GET", "404"): 1}


def test_what_was_not_understood_is_counted_too(counted: Counted) -> None:
    asked = Exchange(None, Peer("192.0.2.7", 80, "http", False, "public"), "id", 1000.0, 1.0)
    asked.finished, asked.status, asked.reason = 1000.0, 400, "bad-request"
    counted.metrics.count(asked)
    assert counted.values("twistedgate_requests") == {("", "other", "400"): 1}
    assert counted.values("twistedgate_failures") == {("", "bad-request"): 1}


def test_a_client_that_left_before_an_answer_has_status_0(counted: Counted) -> None:
    counted.metrics.count(over(status=0, reason="client-gone"))
    assert counted.values("twistedgate_requests") == {("orders", "GET", "0"): 1}
    assert counted.values("twistedgate_failures") == {("orders", "client-gone"): 1}


# durations and sizes


def test_durations_are_in_seconds(counted: Counted) -> None:
    counted.metrics.count(over(finished=1000.5))
    counted.metrics.count(over(finished=1002.0))
    assert counted.histogram(DURATION, "orders") == ([(0.5, 1), (2.5, 1)], 2.5)
    assert counted.histogram(DURATION, "word") is None


@given(st.floats(0, 100))
def test_a_duration_is_in_the_first_bucket_that_holds_it(seconds: float) -> None:
    counted = Counted()
    counted.configure("orders")
    counted.metrics.count(over(started=0.0, finished=seconds))
    told = counted.histogram(DURATION, "orders")
    assert told is not None
    ((bound, count),), total = told
    assert (count, total) == (1, int(seconds * 1e6) / 1e6)
    bounds = cells.SECONDS.upper_bounds()
    assert bound == next(candidate for candidate in bounds if total <= candidate)


def test_the_targets_time_is_that_to_its_first_byte(counted: Counted) -> None:
    counted.metrics.count(over(first_byte=1000.25))
    assert counted.histogram(UPSTREAM_DURATION, "orders") == ([(0.25, 1)], 0.25)
    assert counted.histogram(DURATION, "orders") == ([(0.5, 1)], 0.5)


def test_an_answer_that_came_in_one_piece_took_as_long_for_both(counted: Counted) -> None:
    counted.metrics.count(over(first_byte=1000.5))
    counted.metrics.count(over(first_byte=1000.5))
    expected = ([(0.5, 2)], 1.0)
    assert counted.histogram(UPSTREAM_DURATION, "orders") == expected
    assert counted.histogram(DURATION, "orders") == expected


def test_the_life_of_a_tunnel_is_no_duration_of_a_request(counted: Counted) -> None:
    counted.metrics.count(over(status=101, finished=9000.0, first_byte=1000.25, bytes_out=10))
    assert counted.histogram(DURATION, "orders") is None
    assert counted.histogram(UPSTREAM_DURATION, "orders") == ([(0.25, 1)], 0.25)
    assert counted.histogram(RESPONSE_SIZE, "orders") == ([(256, 1)], 10)
    assert counted.values("twistedgate_requests") == {("orders", "GET", "101"): 1}


def test_sizes_are_those_of_bodies_if_there_are_any(counted: Counted) -> None:
    counted.metrics.count(over(bytes_out=256))
    counted.metrics.count(over(bytes_out=257, bytes_in=1))
    counted.metrics.count(over(bytes_out=2**40))
    counted.metrics.count(over())
    expected = [(256, 1), (1024, 1), (float("inf"), 1)]
    assert counted.histogram(RESPONSE_SIZE, "orders") == (expected, 2**40 + 513)
    assert counted.histogram(REQUEST_SIZE, "orders") == ([(256, 1)], 1)


# why, and how often


def test_reasons_that_are_limits_are_counted_as_such_too(counted: Counted) -> None:
    for reason in ("too-many", "too-many", "connect-failed", "a-policys-own"):
        counted.metrics.count(over(status=503, reason=reason))
    assert counted.values("twistedgate_failures") == {
        ("orders", "too-many"): 2,
        ("orders", "connect-failed"): 1,
        ("orders", "other"): 1,
    }
    assert counted.values("twistedgate_limits_hit") == {(limit,): 0 for limit in LIMITS} | {("too-many",): 2}


def test_retries_are_attempts_after_the_first(counted: Counted) -> None:
    for attempts in (0, 1, 3):
        counted.metrics.count(over(attempts=attempts, upstream="orders"))
    assert counted.values("twistedgate_retries") == {("orders",): 2}


def test_retries_of_an_upstream_that_is_gone_are_others(counted: Counted) -> None:
    counted.metrics.count(over(attempts=2, upstream="gone"))
    assert counted.values("twistedgate_retries") == {("orders",): 0, ("other",): 1}


def test_counting_leaves_nothing_behind(counted: Counted) -> None:
    asked = over("POST", bytes_in=10, bytes_out=10, first_byte=1000.25, reason="reset", attempts=2)
    counted.metrics.count(asked)
    before = sys.getallocatedblocks()
    for _ in range(1000):
        counted.metrics.count(asked)
    assert sys.getallocatedblocks() - before < 50


# connections, targets, the gateway


def test_connections_and_their_limits(counted: Counted) -> None:
    counted.metrics.accepted()
    counted.metrics.accepted()
    counted.metrics.limit_hit("max_connections_per_ip")
    assert counted.values("twistedgate_connections_accepted") == {(): 2}
    assert counted.values("twistedgate_limits_hit")["max_connections_per_ip",] == 1


def test_what_becomes_of_targets(counted: Counted) -> None:
    place = ("orders", "192.0.2.1:80")
    counted.measures.found(*place)
    counted.metrics.ejected(*place)
    counted.metrics.probed(*place, True)
    counted.metrics.probed(*place, False)
    counted.metrics.probed(*place, False)
    counted.metrics.tally(*place, requests=5, failures=3)
    counted.metrics.tally(*place, requests=2, failures=0)
    assert counted.values("twistedgate_target_ejections") == {place: 1}
    assert counted.values("twistedgate_target_probes") == {(*place, "passed"): 1, (*place, "failed"): 2}
    assert counted.values("twistedgate_target_requests") == {place: 7}
    assert counted.values("twistedgate_target_failures") == {place: 3}


def test_a_target_without_a_block_is_another(counted: Counted) -> None:
    counted.metrics.ejected("orders", "192.0.2.9:80")
    counted.metrics.tally("orders", "192.0.2.9:80", requests=7, failures=3)
    assert counted.values("twistedgate_target_ejections") == {("other", "other"): 1}
    assert counted.values("twistedgate_target_requests") == {("other", "other"): 7}


def test_reloads_and_lost_lines(counted: Counted) -> None:
    counted.metrics.reloaded("applied")
    counted.metrics.reloaded("refused")
    counted.metrics.reloaded("refused")
    counted.metrics.dropped(5)
    counted.metrics.dropped(2)
    assert counted.values("twistedgate_reloads") == {("applied",): 1, ("refused",): 2}
    assert counted.values("twistedgate_access_log_dropped") == {(): 7}


def test_a_tunnel_that_ended_at_once_is_none_either(counted: Counted) -> None:
    counted.metrics.count(over(status=101, first_byte=1000.5))
    assert counted.histogram(DURATION, "orders") is None
    assert counted.histogram(UPSTREAM_DURATION, "orders") == ([(0.5, 1)], 0.5)


def test_all_that_ended_is_counted(counted: Counted) -> None:
    for one in (over(), over(route=""), over(status=0)):
        counted.metrics.count(one)
    assert counted.metrics.answered == 3


def test_every_status_has_its_own_place(counted: Counted) -> None:
    for status in range(1000):
        counted.metrics.count(over(status=status))
    told = counted.values("twistedgate_requests")
    assert sum(told.values()) == 1000
    assert {status for _, _, status in told} == set(STATUSES)
