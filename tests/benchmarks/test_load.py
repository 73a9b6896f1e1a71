"""The words of wrk, h2load and hey."""

from __future__ import annotations

import pytest

from benchmarks.load import Load, Unreadable, duration, quantile, read_h2load, read_hey, read_wrk

WRK = """Running 2s test @ http://127.0.0.1:9001/
  1 threads and 200 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    22.46ms    7.57ms  60.08ms   89.06%
    Req/Sec     9.02k     1.80k   12.12k    65.00%
  Latency Distribution
     50%   21.00ms
     75%   22.00ms
     90%   25.00ms
     99%    1.50s
  18002 requests in 2.01s, 3.90MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:   8944.81
"""


def test_reads_wrk_and_counts_every_kind_of_error() -> None:
    assert read_wrk(WRK) == Load(requests=18002, seconds=2.01, errors=15, p50=0.021, p99=1.5)


def test_wrk_without_errors_has_none() -> None:
    quiet = "\n".join(line for line in WRK.splitlines() if "errors" not in line and "Non" not in line)
    assert read_wrk(quiet).errors == 0


def test_wrk_writes_a_blank_behind_a_short_unit() -> None:
    assert read_wrk(WRK.replace("1.50s", "1.50s ")).p99 == 1.5


def test_refuses_what_is_not_wrks() -> None:
    with pytest.raises(Unreadable):
        read_wrk("unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.parametrize(("text", "seconds"), [("630.00us", 0.00063), ("1.5m", 90.0), ("2.01s", 2.01)])
def test_reads_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


def test_a_failed_request_has_no_time_in_h2loads_log() -> None:
    log = "1795452023303151\t200\t1000\n1795452023303154\t-1\t9000\n1795452023303155\t200\t3000\n"
    assert read_h2load(log, 2.0) == Load(requests=3, seconds=2.0, errors=1, p50=0.003, p99=0.003)


def test_reads_heys_table() -> None:
    head = "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
    rows = ["0.0010,0,0,0,0,0,200,0.1", "0.0020,0,0,0,0,0,503,0.1"]
    assert read_hey("\n".join([head, *rows]), 1.0) == Load(2, 1.0, 1, 0.001, 0.001)


def test_a_quantile_is_one_of_the_times() -> None:
    times = [float(n) for n in range(100)]
    assert (quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1.0)) == (50.0, 99.0, 99.0)
    assert quantile([], 0.99) == 0.0
