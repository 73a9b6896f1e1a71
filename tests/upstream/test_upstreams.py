from __future__ import annotations

import dataclasses
import gc
import weakref
from typing import Any

from twisted.internet.error import ConnectionLost

from tests.upstream.conversation import HEAD, OK, Waiting, Wire
from tests.upstream.network import World, upstream_config
from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.exchange import Exchange
from twistedgate.net.tls import ClientTLS, client_settings
from twistedgate.testing import exchange
from twistedgate.upstream.judges import Judges
from twistedgate.upstream.judging import Standing
from twistedgate.upstream.target import Target
from twistedgate.upstream.upstream import Upstream
from twistedgate.upstream.upstreams import Upstreams

FIRST = "192.0.2.1:80"


class House:
    """A process with upstreams, whose configuration changes."""

    def __init__(self, **configs: UpstreamConfig) -> None:
        self._begin(World(name=("192.0.2.1",)))
        self.reload(**configs)

    def _begin(self, world: World) -> None:
        self.world = world
        self.judges: Judges = Judges(world.watching, self._publish)
        self.upstreams: Upstreams = Upstreams(
            dataclasses.replace(world.surroundings, tls=world.watching.tls, judge_of=self.judges.port)
        )

    def _publish(self, upstream: str, standings: tuple[Standing, ...]) -> None:
        self.upstreams.take(upstream, standings)

    def reload(self, **configs: UpstreamConfig) -> None:
        """Take another configuration."""
        named = {name: dataclasses.replace(config, name=name) for name, config in configs.items()}
        judges = self.judges.prepare(named)
        self.upstreams.commit(self.upstreams.prepare(named))
        self.judges.commit(judges)

    def stop(self) -> None:
        """End everything."""
        self.judges.stop()
        self.upstreams.stop()

    def __getitem__(self, name: str) -> Upstream:
        """Return the upstream of that name."""
        return self.upstreams.upstreams[name]

    @property
    def network(self) -> Any:
        """The network."""
        return self.world.network

    def send(self, upstream: Upstream) -> tuple[Exchange, Target, Waiting]:
        """Send a request."""
        asked = exchange()
        assert upstream.enter(self.network.seconds())
        target = upstream.pick(asked, ())
        assert target is not None
        return asked, target, Waiting(upstream.send(target, asked, HEAD))

    def end(self, upstream: Upstream, asked: Exchange, target: Target) -> None:
        """Count the request out."""
        upstream.release(target, asked)
        upstream.leave()

    def sweep(self, seconds: float = 0.0) -> None:
        """Let time pass, and look at all deadlines."""
        self.network.advance(seconds)
        self.upstreams.sweep(self.network.seconds())

    def say(self, piece: bytes) -> None:
        """Let the target send on the connection made last."""
        self.network.last.connection.dataReceived(piece)


def test_what_did_not_change_is_the_same() -> None:
    house = House(a=upstream_config(FIRST), b=upstream_config(FIRST))
    a, b = house["a"], house["b"]
    house.reload(a=upstream_config(FIRST), b=upstream_config(FIRST, retries=3))
    assert house["a"] is a
    assert house["b"] is not b
    assert list(house.upstreams) == [a, house["b"]]


def test_what_did_not_change_keeps_its_connections() -> None:
    house = House(a=upstream_config(FIRST))
    asked, target, _ = house.send(house["a"])
    house.network.last.succeed()
    house.say(OK)
    house.end(house["a"], asked, target)
    house.reload(a=upstream_config(FIRST), b=upstream_config(FIRST))
    assert house["a"].pool.idle_count == 1
    assert house.upstreams.open_count == 1


class Trusting(House):
    """A process whose upstream speaks TLS, and trusts ``authority``."""

    def __init__(self) -> None:
        self.authority = b"first"
        self.config = upstream_config(
            targets=(TargetConfig("https", "192.0.2.1", 443),), health_path="/health", tls_verify=False
        )
        world = World()
        world.watching = dataclasses.replace(world.watching, tls=self._tls_of)
        self._begin(world)
        self.reload(a=self.config)

    def _tls_of(self, upstream: UpstreamConfig, target: TargetConfig) -> ClientTLS:
        return ClientTLS(target.host, client_settings(None, verify=False), self.authority)

    def trust(self, authority: bytes) -> list[bytes]:
        """Take the same configuration while the file has another content; return whom the checks trust."""
        self.authority = authority
        self.reload(a=self.config)
        return [check.tls.authority for check in self.world.probe.asked if check.tls is not None]


def test_what_did_not_change_asks_for_proof_anew_if_it_trusts_another() -> None:
    house = Trusting()
    upstream, pool = house["a"], house["a"].pool
    target = upstream.targets.by_name["192.0.2.1:443"]
    upstream.targets.failed(target, "reset", house.network.seconds())
    lent = [pool.make_connection(target) for _ in range(2)]
    for connection in lent:
        connection.makeConnection(Wire())
    pool.give_back(lent[0], house.network.seconds())
    assert house.trust(b"first") == [b"first"]
    assert pool.idle_count == 1
    assert house.trust(b"second") == [b"first", b"second"]
    assert (house["a"], house["a"].pool) == (upstream, pool)
    pool.give_back(lent[1], house.network.seconds())
    assert pool.idle_count == 0
    assert upstream.targets.by_name["192.0.2.1:443"] is target
    assert target.failed == 1


def test_a_refused_configuration_changes_nothing() -> None:
    house = House(a=upstream_config(FIRST, max_requests=5, health_path="/health"))
    a = house["a"]
    prepared = house.upstreams.prepare(
        {"a": dataclasses.replace(upstream_config("other.test:80", max_requests=1), name="a")}
    )
    assert prepared["a"] is not a
    assert house["a"] is a
    assert a.gate.limit == 5
    assert house.world.names.asked == []
    assert house.world.probe.under_way == {FIRST}
    assert len(house.network.getDelayedCalls()) == 1


def test_a_change_is_never_without_the_targets_of_a_name() -> None:
    """The name is watched on: a lookup that takes its time keeps nobody waiting."""
    house = House(a=upstream_config("name.test:80"))
    del house.world.names.known["name.test"]
    house.reload(a=upstream_config("name.test:80", retries=3))
    assert house["a"].targets.available_count == 1


def test_a_changed_one_is_checked_once_and_not_twice() -> None:
    house = House(a=upstream_config(FIRST, health_path="/health"))
    house.reload(a=upstream_config(FIRST, health_path="/ready"))
    assert [check.path for check in house.world.probe.asked] == ["/health", "/ready"]
    house.world.probe.answer(FIRST, 200)
    house.network.advance(5.0)
    assert [check.path for check in house.world.probe.asked[2:]] == ["/ready"]


def test_what_is_under_way_ends_on_the_upstream_it_began_with() -> None:
    house = House(a=upstream_config(FIRST))
    before = house["a"]
    asked, target, waiting = house.send(before)
    house.network.last.succeed()
    house.reload(a=upstream_config(FIRST, max_requests=1))
    assert not house["a"].enter(house.network.seconds())
    assert house["a"].targets.by_name[FIRST].in_flight == 1
    house.sweep()
    assert house.upstreams.open_count == 1
    house.say(OK)
    house.end(before, asked, target)
    assert waiting.response.body == b"ok"
    assert house["a"].targets.by_name[FIRST].in_flight == 0
    assert house["a"].enter(house.network.seconds())
    house.network.last.lose(ConnectionLost())
    house.sweep()
    assert house.upstreams._leaving == []


def test_one_that_is_gone_ends_what_is_under_way_in_its_time() -> None:
    house = House(a=upstream_config(FIRST, response_timeout=10.0))
    _, _, waiting = house.send(house["a"])
    house.network.last.succeed()
    house.reload()
    house.sweep(10.0)
    assert waiting.failure == (504, "response-timeout", True)


def test_so_does_one_that_was_connecting() -> None:
    house = House(a=upstream_config(FIRST, response_timeout=10.0, connect_timeout=2.0))
    _, _, waiting = house.send(house["a"])
    house.reload()
    house.sweep(1.0)
    house.network.last.succeed()
    house.sweep(10.0)
    assert waiting.failure == (504, "response-timeout", True)


def test_and_one_whose_exchange_had_not_come_so_far() -> None:
    """A policy may have waited for a body while the configuration changed."""
    house = House(a=upstream_config(FIRST, response_timeout=10.0))
    before = house["a"]
    house.reload()
    house.sweep()
    assert house.upstreams._leaving == []
    _, _, waiting = house.send(before)
    house.network.last.succeed()
    house.sweep(10.0)
    assert waiting.failure == (504, "response-timeout", True)


def test_many_reloads_leave_nothing_behind() -> None:
    house = House(a=upstream_config("name.test:80", health_path="/0"))
    before = [weakref.ref(house["a"])]
    for number in range(1, 5):
        house.reload(a=upstream_config("name.test:80", health_path=f"/{number}"))
        before.append(weakref.ref(house["a"]))
        house.sweep()
    gc.collect()
    assert [reference() for reference in before] == [None] * 4 + [house["a"]]
    # the name's next lookup, and the timeout of the check that is under way
    assert len(house.network.getDelayedCalls()) == 2


def test_the_end_leaves_nothing_behind() -> None:
    house = House(a=upstream_config("name.test:80", "unknown.test:80", health_path="/health"))
    house.send(house["a"])
    house.network.last.succeed()
    house.send(house["a"])
    house.reload(b=upstream_config(FIRST, health_path="/health"))
    house.send(house["b"])
    house.stop()
    assert all(attempt.wire.is_aborted or attempt.is_given_up for attempt in house.network.attempts)
    assert house.world.probe.under_way == set()
    assert not house.network.getDelayedCalls()
