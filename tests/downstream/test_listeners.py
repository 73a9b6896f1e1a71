from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed

from tests.certificates import Authority, Pair
from tests.downstream.ports import Harbour, configured
from twistedgate.config.model import ListenerConfig
from twistedgate.downstream.listeners import CannotListen, Listeners, kept_names
from twistedgate.net.binding import Binding, bind
from twistedgate.net.opened import Opened
from twistedgate.net.tls import ServerTLS


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("authority")).issue("api.example.com")


class Site:
    """A listener that remembers what it was told."""

    def __init__(self, config: ListenerConfig) -> None:
        self.config = config
        self.told: list[str] = []
        self.open_count = 0
        self.tls: ServerTLS | None = None
        self.opened: Opened | None = None
        self._binding: Binding | None = None

    def doStart(self) -> None:
        """As a factory."""

    def doStop(self) -> None:
        """As a factory."""

    def listen(self, reactor: Any, tls: ServerTLS | None, opened: Opened | None = None) -> str:
        self.opened = opened
        self._binding = bind(reactor, self.config, self)
        return self._binding.address

    def configure(self, config: ListenerConfig, tls: ServerTLS | None) -> None:
        self.config, self.tls = config, tls

    def resume_accepting(self) -> None:
        self.told.append("resume")

    def pause_accepting(self) -> None:
        self.told.append("pause")

    def stop_accepting(self) -> Deferred[None]:
        self.told.append("stop")
        binding, self._binding = self._binding, None
        return succeed(None) if binding is None else binding.stop()

    def drain(self) -> None:
        self.told.append("drain")

    def drain_gently(self, quiet_since: float) -> None:
        self.told.append(f"drain {quiet_since:g}")

    def abort(self) -> None:
        self.told.append("abort")

    def sweep(self, now: float) -> None:
        self.told.append(f"sweep {now:g}")


class Addresses:
    """The addresses of a process, under configurations that come one after another."""

    def __init__(self, opened: Callable[[ListenerConfig], Opened | None] = lambda config: None) -> None:
        self.harbour = Harbour()
        self.made: list[Site] = []
        self.listeners = Listeners(self.harbour, self._make, opened)

    def _make(self, config: ListenerConfig) -> Site:
        self.made.append(Site(config))
        return self.made[-1]

    def take(self, *configs: ListenerConfig) -> list[Any]:
        """Take a configuration, and return the listeners that are gone."""
        return self.listeners.commit(self.listeners.prepare({config.name: config for config in configs}))

    @property
    def open_ports(self) -> list[int]:
        return [address.port for address in self.harbour.open_ports if isinstance(address, IPv4Address)]


def at(name: str, port: int, **options: Any) -> ListenerConfig:
    return configured(name, f"tcp:{port}:interface=127.0.0.1", **options)


def test_what_is_new_is_bound_and_accepts_nothing_yet() -> None:
    addresses = Addresses()
    assert addresses.take(at("public", 8080), at("operator", 9000, serve="admin")) == []
    assert addresses.open_ports == [8080, 9000]
    assert [site.told for site in addresses.made] == [["pause"], ["pause"]]
    addresses.listeners.resume_accepting()
    assert [site.told for site in addresses.made] == [["pause", "resume"]] * 2
    assert addresses.listeners.addresses == {
        "public": "tcp:127.0.0.1:8080",
        "operator": "tcp:127.0.0.1:9000",
    }


def test_what_stays_keeps_its_socket_and_takes_its_options() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080))
    assert addresses.take(at("public", 8080, max_headers=7)) == []
    assert len(addresses.made) == len(addresses.harbour.ports) == 1
    assert addresses.made[0].config.max_headers == 7


def test_a_renamed_listener_keeps_its_socket() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080))
    assert addresses.take(at("front", 8080)) == []
    assert addresses.listeners.addresses == {"front": "tcp:127.0.0.1:8080"}
    assert len(addresses.made) == 1


def test_listeners_that_swap_their_names_keep_their_sockets() -> None:
    addresses = Addresses()
    addresses.take(at("one", 8080), at("two", 9000))
    for _ in range(2):
        assert addresses.take(at("two", 8080), at("one", 9000)) == []
        assert addresses.listeners.addresses == {"two": "tcp:127.0.0.1:8080", "one": "tcp:127.0.0.1:9000"}
    assert len(addresses.made) == 2


def test_port_0_is_not_handed_on_to_another_name() -> None:
    addresses = Addresses()
    addresses.take(configured("one"), configured("two"))
    before = addresses.listeners.addresses
    assert len(set(before.values())) == 2
    gone = addresses.take(configured("one"), configured("three"))
    assert [site.config.name for site in gone] == ["two"]
    assert addresses.listeners.addresses["one"] == before["one"]
    assert len(addresses.made) == 3


def test_what_is_gone_accepts_no_more_and_drains() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080), at("old", 9000))
    _, old = addresses.made
    old.open_count = 1
    assert addresses.take(at("public", 8080)) == [old]
    assert old.told == ["pause", "stop", "drain"]
    assert addresses.open_ports == [8080]
    assert addresses.listeners.addresses == {"public": "tcp:127.0.0.1:8080"}
    assert addresses.listeners.open_count == 1


@pytest.mark.parametrize("change", [{"serve": "admin"}, {"endpoint": at("public", 8081).endpoint}])
def test_another_kind_or_another_endpoint_is_another_socket(change: dict[str, Any]) -> None:
    addresses = Addresses()
    addresses.take(configured("public"))
    assert len(addresses.take(replace(configured("public"), **change))) == 1
    assert len(addresses.made) == 2


def test_what_is_gone_is_looked_after_until_its_last_connection_ends() -> None:
    addresses = Addresses()
    addresses.take(at("old", 9000))
    [old] = addresses.made
    old.open_count = 1
    addresses.take(at("public", 8080))
    addresses.listeners.sweep(1.0)
    old.open_count = 0
    addresses.listeners.sweep(2.0)
    addresses.listeners.sweep(3.0)
    assert old.told[3:] == ["sweep 1", "sweep 2"]
    assert addresses.made[1].told[1:] == ["sweep 1", "sweep 2", "sweep 3"]


def test_an_address_that_cannot_be_had_changes_nothing() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080))
    before = addresses.listeners.addresses
    with pytest.raises(CannotListen, match=r"^\[listener:third\] endpoint: .*8080.*: .*already in use"):
        addresses.listeners.prepare(
            {config.name: config for config in (at("public", 8080), at("second", 9000), at("third", 8080))}
        )
    assert addresses.open_ports == [8080]
    assert addresses.made[1].told == ["pause", "stop"]
    assert addresses.listeners.addresses == before
    assert addresses.listeners.open_count == 0


def test_a_certificate_that_cannot_be_used_changes_nothing(tmp_path: Path, pair: Pair) -> None:
    addresses = Addresses()
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(CannotListen, match="public"):
        addresses.take(at("first", 9000), at("public", 8080, tls_certificate=str(broken), tls_key=pair.key))
    assert addresses.open_ports == []


def test_a_renewed_certificate_keeps_the_socket(pair: Pair) -> None:
    addresses = Addresses()
    secure = at("public", 8443, tls_certificate=pair.certificate, tls_key=pair.key)
    addresses.take(secure)
    first = addresses.made[0].tls
    addresses.take(secure)
    assert first is not None
    assert addresses.made[0].tls not in (None, first)


def test_a_stop_closes_every_address_and_no_connection() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080), at("other", 9000))
    addresses.listeners.stop_accepting()
    assert addresses.open_ports == []
    addresses.listeners.drain()
    assert [site.told[1:] for site in addresses.made] == [["stop", "drain"], ["stop", "drain"]]


def test_a_gentle_drain_is_told_to_every_address() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080), at("other", 9000))
    addresses.listeners.drain_gently(7.0)
    assert [site.told[1:] for site in addresses.made] == [["drain 7"], ["drain 7"]]


def test_a_socket_that_is_open_already_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        known = {"public": Opened(made)}
        addresses = Addresses(lambda config: known.get(config.name))
        addresses.take(at("public", 8080), at("other", 9000))
        assert [site.opened for site in addresses.made] == [known["public"], None]


def test_which_listeners_stay_can_be_told_without_any() -> None:
    before = [at("public", 8080), at("old", 9000), at("gone", 9100), at("any", 0)]
    wanted = [at("public", 8080, max_headers=7), at("new", 9000), at("fresh", 9200), at("other", 0)]
    kept = kept_names(before, {config.name: config for config in wanted})
    assert kept == {"public": "public", "new": "old"}


def test_what_is_abandoned_is_closed_and_what_was_open_stays() -> None:
    addresses = Addresses()
    addresses.take(at("public", 8080))
    prepared = addresses.listeners.prepare({"public": at("public", 8080), "new": at("new", 9000)})
    opened = addresses.open_ports
    addresses.listeners.abandon(prepared)
    assert [opened, addresses.open_ports] == [[8080, 9000], [8080]]
    assert list(addresses.listeners.addresses) == ["public"]


def test_an_abort_cuts_the_connections_of_those_that_are_gone_too() -> None:
    addresses = Addresses()
    addresses.take(at("old", 9000))
    addresses.made[0].open_count = 2
    addresses.take(at("public", 8080))
    addresses.made[1].open_count = 3
    assert addresses.listeners.open_count == 5
    addresses.listeners.abort()
    assert [site.told[-1] for site in addresses.made] == ["abort", "abort"]
