"""The supervisor's sockets stay as long as a configuration wants them, and no longer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downstream.ports import configured
from twistedgate.config.model import ListenerConfig
from twistedgate.downstream.listeners import CannotListen
from twistedgate.net.opened import Opened
from twistedgate.workers.addresses import Addresses, place


@pytest.fixture
def addresses() -> Iterator[Addresses]:
    addresses = Addresses()
    yield addresses
    addresses.close()
    assert addresses.sockets == {}


def named(*configs: ListenerConfig) -> dict[str, ListenerConfig]:
    """Return configurations by name."""
    return {config.name: config for config in configs}


def take(addresses: Addresses, *configs: ListenerConfig) -> dict[str, Opened]:
    """Take the listeners of a configuration."""
    addresses.commit(addresses.prepare(named(*configs)))
    return addresses.sockets


def is_open(opened: Opened) -> bool:
    """Whether the descriptor is."""
    return opened.socket.fileno() >= 0


def test_what_stays_keeps_its_socket(addresses: Addresses) -> None:
    first = take(addresses, configured("public"), configured("other"))
    second = take(addresses, configured("public", max_headers=7), configured("new"))
    assert second["public"] is first["public"]
    assert [is_open(opened) for opened in first.values()] == [True, False]
    assert sorted(second) == ["new", "public"]


def test_also_under_another_name(addresses: Addresses, tmp_path: Path) -> None:
    path = f"unix:{tmp_path / 'gate.sock'}"
    first = take(addresses, configured("old", path))
    second = take(addresses, configured("new", path))
    assert second["new"] is first["old"]
    assert is_open(second["new"])


def test_clients_may_be_shut_out_and_operators_not(addresses: Addresses) -> None:
    opened = dict(take(addresses, configured("public"), configured("admin", serve="admin")))
    addresses.close("proxy")
    assert {name: is_open(one) for name, one in opened.items()} == {"public": False, "admin": True}
    assert list(addresses.sockets) == ["admin"]


def test_what_is_abandoned_is_closed_and_what_was_open_stays(addresses: Addresses) -> None:
    first = take(addresses, configured("public"))
    prepared = addresses.prepare(named(configured("public"), configured("new")))
    addresses.abandon(prepared)
    assert is_open(first["public"])
    assert not is_open(prepared.sockets["new"])
    assert addresses.sockets is first


def test_an_address_that_cannot_be_had_leaves_nothing_behind(addresses: Addresses, tmp_path: Path) -> None:
    path = f"unix:{tmp_path / 'gate.sock'}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        with pytest.raises(CannotListen, match=r"^\[listener:taken\] endpoint: tcp:\d+"):
            addresses.prepare(named(configured("fresh", path), configured("taken", where)))
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_program_opened_is_used_and_the_rest_closed() -> None:
    at_will, fixed = configured("public"), configured("old", "tcp:65000:interface=127.0.0.1")
    wanted = [place(at_will), place(fixed), "tcp:65001"]
    opened = {where: Opened(socket.create_server(("127.0.0.1", 0))) for where in wanted}
    addresses = Addresses(opened)
    renamed = configured("new", "tcp:65000:interface=127.0.0.1")
    assert list(take(addresses, at_will, renamed).values()) == [opened[where] for where in wanted[:2]]
    assert [is_open(one) for one in opened.values()] == [True, True, False]
    assert addresses.places == {place(at_will): opened[wanted[0]], place(fixed): opened[wanted[1]]}
    addresses.close()
    assert not any(is_open(one) for one in opened.values())
