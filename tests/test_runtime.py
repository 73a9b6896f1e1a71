from __future__ import annotations

import dataclasses

import pytest

from twistedgate.runtime import Runtime, UpstreamPort
from twistedgate.testing import Clock, FakeUpstream, consumer, exchange, runtime


def test_gives_the_time_the_upstreams_and_the_consumers() -> None:
    clock, upstream, alice = Clock(7.0), FakeUpstream(), consumer("alice")
    given = runtime(clock, [alice], {"orders": upstream})
    assert (given.now(), given.upstreams, given.consumers) == (7.0, {"orders": upstream}, (alice,))
    assert Runtime(clock).upstreams == {}


def test_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        runtime().consumers = ()  # type: ignore[misc]


def test_an_upstream_is_entered_picked_from_released_and_left() -> None:
    port: UpstreamPort = FakeUpstream()
    assert port.enter(0.0)
    target = port.pick(exchange(), [])
    assert target is not None
    assert target.name == target.authority.decode()
    port.release(target, exchange())
    port.leave()
