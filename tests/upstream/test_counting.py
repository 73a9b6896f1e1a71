from __future__ import annotations

from twistedgate.config.model import TargetConfig
from twistedgate.upstream.counting import OwnCounts


def test_one_process_counts_for_itself() -> None:
    counts = OwnCounts()
    gates = [counts.gate("route:a", 1) for _ in range(2)]
    assert [gate.enter() for gate in gates] == [True, True]
    assert [gate.limit for gate in gates] == [1, 1]
    config = TargetConfig("http", "a.example", 80)
    one, other = (counts.target("orders", config, "192.0.2.1") for _ in range(2))
    one.take()
    assert (one.name, one.in_flight, other.in_flight) == ("192.0.2.1:80", 1, 0)
