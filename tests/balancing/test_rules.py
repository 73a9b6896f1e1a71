from __future__ import annotations

import dataclasses

from tests.upstream.network import upstream_config
from twistedgate.balancing.rules import HealthRules


def test_the_options_of_an_upstream_are_the_rules() -> None:
    options = {
        "health_rise": 3,
        "health_fall": 4,
        "eject_after": 5,
        "eject_for": 6.0,
        "max_ejected": 0.7,
        "slow_start": 8.0,
        "when_all_down": "try",
    }
    rules = HealthRules.of(upstream_config("192.0.2.1:80", **options))
    assert dataclasses.astuple(rules) == tuple(options.values())
