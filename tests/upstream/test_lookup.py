from __future__ import annotations

import ipaddress
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns

from twistedgate.upstream.lookup import SystemLookup, name_servers, system_addresses
from twistedgate.upstream.resolver import NoSuchName

HOST = "orders.example.com"


class NameServer(DatagramProtocol):
    """A name server on a real port, which answers every question with ``records`` or ``raw`` bytes."""

    noisy = False

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.raw: bytes | None = None
        self.asked: list[tuple[str, int]] = []
        self.heard: Deferred[None] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = dns.Message()
        message.fromStr(datagram)
        (query,) = message.queries
        self.asked.append((query.name.name.decode(), query.type))
        if self.raw is None:
            message.answer = 1
            message.answers = [
                dns.RRHeader(HOST, record.TYPE, ttl=record.ttl, payload=record) for record in self.records
            ]
            datagram = message.toStr()
        else:
            datagram = datagram[:2] + self.raw
        assert self.transport is not None
        if self.raw != b"":
            self.transport.write(datagram, addr)
        if not self.heard.called:
            self.heard.callback(None)


class Zone:
    """A lookup that believes ``addresses`` and asks ``server`` for the rest."""

    def __init__(self, reactor: Any, *addresses: str) -> None:
        self.server = NameServer()
        self.listening = reactor.listenUDP(0, self.server, interface="127.0.0.1")
        self.lookup = SystemLookup(
            reactor, lambda host: addresses, lambda: ("127.0.0.1",), self.listening.getHost().port
        )


def a(address: str, ttl: int) -> dns.Record_A:
    return dns.Record_A(address, ttl)


async def test_a_name_of_the_hosts_file_is_found_as_the_system_finds_it(reactor: Any) -> None:
    answer = await SystemLookup(reactor)("localhost")
    assert all(ipaddress.ip_address(address).is_loopback for address in answer.addresses)
    assert answer.addresses
    assert answer.ttl is None


async def test_looks_up_off_the_reactors_thread(reactor: Any) -> None:
    threads = []

    def addresses(host: str) -> tuple[str, ...]:
        threads.append(threading.current_thread())
        return ("192.0.2.1",)

    await SystemLookup(reactor, addresses, tuple)(HOST)
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


async def test_learns_the_time_to_live_of_the_record(reactor: Any) -> None:
    zone = Zone(reactor, "192.0.2.1", "192.0.2.2")
    zone.server.records = [dns.Record_CNAME("other.example.com", 60), a("192.0.2.2", 12), a("192.0.2.9", 90)]
    answer = await zone.lookup(HOST)
    assert answer.addresses == ("192.0.2.1", "192.0.2.2")
    assert answer.ttl == 12
    assert zone.server.asked == [(HOST, dns.A)]
    await zone.listening.stopListening()


async def test_learns_that_of_an_ipv6_address_too(reactor: Any) -> None:
    zone = Zone(reactor, "2001:db8::1")
    zone.server.records = [dns.Record_AAAA("2001:db8::1", 7)]
    assert (await zone.lookup(HOST)).ttl == 7
    assert zone.server.asked == [(HOST, dns.AAAA)]
    await zone.listening.stopListening()


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x84\x00" + b"\xff" * 30])
async def test_an_answer_that_is_none_tells_no_time_to_live(raw: bytes, reactor: Any) -> None:
    zone = Zone(reactor, "192.0.2.1")
    zone.server.raw = raw
    looking = zone.lookup(HOST)
    await zone.server.heard
    if raw == b"":
        (timeout,) = [call for call in reactor.getDelayedCalls() if call.getTime() - reactor.seconds() < 3]
        timeout.reset(0)
    answer = await looking
    assert (answer.addresses, answer.ttl) == (("192.0.2.1",), None)
    await zone.listening.stopListening()


async def test_an_answer_about_other_addresses_is_not_believed(reactor: Any) -> None:
    zone = Zone(reactor, "192.0.2.1")
    zone.server.records = [a("203.0.113.66", 1)]
    assert (await zone.lookup(HOST)).ttl is None
    await zone.listening.stopListening()


async def test_no_name_server_is_asked_about_a_name_without_a_dot(reactor: Any) -> None:
    zone = Zone(reactor, "192.0.2.1")
    assert (await zone.lookup("orders")).addresses == ("192.0.2.1",)
    assert zone.server.asked == []
    await zone.listening.stopListening()


class WatchedReactor:
    """The reactor, and what was made to listen for datagrams on it."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.protocols: list[DatagramProtocol] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenUDP(self, port: int, protocol: DatagramProtocol, **options: Any) -> Any:
        self.protocols.append(protocol)
        return self._reactor.listenUDP(port, protocol, **options)


async def test_a_name_server_that_is_not_there_costs_nothing_but_the_time_to_live(reactor: Any) -> None:
    watched = WatchedReactor(reactor)
    zone = Zone(watched, "192.0.2.1")
    zone.server.raw = b""
    looking = zone.lookup(HOST)
    await zone.server.heard
    _, question = watched.protocols
    question.connectionRefused()
    answer = await looking
    assert (answer.addresses, answer.ttl) == (("192.0.2.1",), None)
    await zone.listening.stopListening()


async def test_a_name_that_is_not_there_fails(reactor: Any) -> None:
    def addresses(host: str) -> tuple[str, ...]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(OSError, match="not known"):
        await SystemLookup(reactor, addresses)(HOST)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (socket.EAI_NONAME, NoSuchName),
        (socket.EAI_NODATA, NoSuchName),
        (socket.EAI_AGAIN, socket.gaierror),
        (socket.EAI_FAIL, socket.gaierror),
    ],
)
def test_a_name_does_not_exist_only_if_a_name_server_says_so(
    number: int, kind: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*arguments: object, **options: object) -> None:
        raise socket.gaierror(number, "why")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(kind, match="why") as raised:
        system_addresses(HOST)
    assert type(raised.value) is kind


async def test_a_lookup_that_was_given_up_ends_unheard(reactor: Any) -> None:
    may_end, ended = threading.Event(), Deferred[None]()

    def addresses(host: str) -> tuple[str, ...]:
        may_end.wait(10)
        reactor.callFromThread(reactor.callLater, 0, ended.callback, None)
        return ("192.0.2.1",)

    looking = SystemLookup(reactor, addresses)(HOST)
    looking.cancel()
    with pytest.raises(CancelledError):
        await looking
    may_end.set()
    await ended


def test_a_label_that_is_too_long_is_no_name() -> None:
    with pytest.raises(NoSuchName, match="is no host name"):
        system_addresses("a" * 64 + ".example.com")


def test_reads_the_name_servers_of_the_system(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 192.0.2.9\nnameserver 192.0.2.1\nnameserver ::1\nnameserver\nsearch x\n")
    assert name_servers(path) == ("192.0.2.1",)
    assert name_servers(tmp_path / "missing") == ()
