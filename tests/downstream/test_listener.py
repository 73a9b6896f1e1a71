from __future__ import annotations

import math
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.certificates import Authority, Pair
from tests.conftest import LoggedFailures
from tests.downstream.conversation import Line, get
from tests.downstream.ports import Harbour, Port, configured
from twistedgate.downstream.capacity import NO_ADDRESS, Capacity
from twistedgate.downstream.hosting import Serving
from twistedgate.downstream.listener import Calendar, Listener, RequestIds
from twistedgate.fakes.clock import Clock
from twistedgate.http.hops import Forwarder
from twistedgate.net.tls import ServerTLS
from twistedgate.testing import MemoryGateway, gateway
from twistedgate.wire.codec import HeadLimits


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("authority")).issue("api.example.com")


class Place:
    """A listener that is open, and the port it accepts on."""

    def __init__(self, where: str = "tcp:8080", tls: ServerTLS | None = None, **options: Any) -> None:
        self.made: MemoryGateway = gateway('[route:static]\npath = /static\nrespond = 200 "static"\n')
        self.capacity = Capacity(1000, 0, lambda: 0)
        self.serving = Serving()
        self.serving.gateway = self.made.gateway
        self.serving.forwarder = Forwarder("house")
        self.clock = Clock()
        self.listener = Listener(
            configured("public", where, **options), self.serving, self.capacity, RequestIds("id")
        )
        self.listener.now = self.clock
        self.harbour = Harbour()
        self.address = self.listener.listen(self.harbour, tls)
        self.port: Port = self.harbour.ports[0]
        self.listener.resume_accepting()

    def connect(self, host: str = "192.0.2.1") -> Line:
        """Connect, and return the client's line."""
        line = self.port.connect(host)
        assert line is not None
        return line


def lose(line: Line) -> None:
    """Let the client close."""
    line.protocol.connectionLost(Failure(ConnectionDone()))


# ids and dates


def test_no_two_requests_have_the_same_id() -> None:
    ids = RequestIds("0123456789ab")
    made = [ids.make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert made[:2] == ["0123456789ab-1", "0123456789ab-2"]


def test_the_date_is_that_of_the_second() -> None:
    now = [1_767_225_600.9]
    calendar = Calendar(lambda: now[0])
    first = calendar.date()
    assert first == b"Thu, 01 Jan 2026 00:00:00 GMT"
    now[0] += 0.05
    assert calendar.date() is first
    now[0] += 0.1
    assert calendar.date() == b"Thu, 01 Jan 2026 00:00:01 GMT"


# connections


def test_a_connection_is_served() -> None:
    place = Place()
    line = place.connect()
    line.protocol.dataReceived(get("/static"))
    assert line.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert repr(place.listener) == "<Listener public connections=1>"


def test_a_connection_knows_where_its_peer_is_and_how_it_came_in() -> None:
    place = Place()
    peer = place.connect("192.0.2.7").protocol.peer
    assert (peer.address, peer.port, peer.scheme, peer.listener) == ("192.0.2.7", 8080, "http", "public")
    assert not peer.is_trusted


def test_a_connection_by_a_unix_socket_has_no_address() -> None:
    place = Place("unix:/run/gateway.sock")
    peer = place.connect("").protocol.peer
    assert (peer.address, peer.port) == (NO_ADDRESS, 0)
    assert place.address == "unix:/run/gateway.sock"


def test_connections_are_counted_in_and_out() -> None:
    place = Place()
    lines = [place.connect() for _ in range(3)]
    assert (place.listener.open_count, place.capacity.open_count) == (3, 3)
    for line in lines:
        lose(line)
    assert (place.listener.open_count, place.capacity.open_count) == (0, 0)


def test_a_connection_is_counted_out_once() -> None:
    place = Place()
    line = place.connect()
    lose(line)
    place.listener.closed(line.protocol)
    place.listener.closed(object())
    assert place.capacity.open_count == 0


def test_an_address_that_has_its_share_is_turned_away() -> None:
    place = Place()
    place.capacity.configure(1000, 2)
    first = place.connect()
    place.connect()
    assert place.port.connect() is None
    assert place.port.connect("192.0.2.2") is not None
    lose(first)
    assert place.port.connect() is not None


def test_an_address_that_has_its_share_is_turned_away_from_tls_too(pair: Pair) -> None:
    """Or the connection would stay, counted by nobody."""
    place = Place(tls=ServerTLS(pair.certificate, pair.key))
    place.capacity.configure(1000, 1)
    place.connect()
    assert place.port.connect() is None
    assert place.listener.open_count == 1


def test_clients_of_a_unix_socket_have_no_share_together() -> None:
    place = Place("unix:/run/gateway.sock")
    place.capacity.configure(1000, 1)
    assert len(place.port.connect_many(5, "")) == 5


def test_accepting_pauses_at_the_limit_and_goes_on_without_a_busy_loop() -> None:
    place = Place()
    place.capacity.configure(3, 0)
    lines = place.port.connect_many(10)
    assert len(lines) == 3
    for line in lines:
        place.listener.sweep(place.clock())
        assert place.port.starts == lines.index(line)
        lose(line)
        assert len(place.port.connect_many(10)) == 1


def test_a_listener_that_does_not_accept_yet_is_not_started_by_others_that_leave() -> None:
    place = Place()
    place.capacity.configure(1, 0)
    other = Listener(configured("other"), place.serving, place.capacity, RequestIds("id"))
    other.listen(place.harbour, None)
    other.pause_accepting()
    lose(place.connect())
    assert [port.is_reading for port in place.harbour.ports] == [True, False]
    other.resume_accepting()
    assert [port.is_reading for port in place.harbour.ports] == [True, True]


def test_a_listener_that_begins_while_there_is_no_room_waits() -> None:
    place = Place()
    place.capacity.configure(1, 0)
    line = place.connect()
    other = Listener(configured("other"), place.serving, place.capacity, RequestIds("id"))
    other.listen(place.harbour, None)
    other.pause_accepting()
    other.resume_accepting()
    assert not place.harbour.ports[1].is_reading
    lose(line)
    assert place.harbour.ports[1].is_reading


# what becomes of it


def test_new_options_are_for_new_connections_and_times_for_all() -> None:
    place = Place(max_uri=200, header_timeout=10.0)
    old = place.connect()
    place.listener.configure(configured("renamed", "tcp:8080", max_uri=300, header_timeout=100.0), None)
    new = place.connect()
    for line in (old, new):
        line.protocol.dataReceived(get("/" + "x" * 250))
    assert old.received.startswith(b"HTTP/1.1 414 ")
    assert new.received.startswith(b"HTTP/1.1 404 ")
    assert new.protocol.peer.listener == "renamed"
    assert place.listener.limits == HeadLimits(max_uri=300)


def test_another_backlog_is_taken() -> None:
    place = Place(backlog=16)
    place.listener.configure(configured("public", "tcp:8080", backlog=99), None)
    assert place.port.socket.backlog == 99


def test_another_certificate_is_for_new_connections(pair: Pair) -> None:
    place = Place(tls=ServerTLS(pair.certificate, pair.key))
    renewed = ServerTLS(pair.certificate, pair.key)
    place.listener.configure(configured("public", "tcp:8080"), renewed)
    assert place.listener._tls is not None
    assert place.listener._tls.current is renewed
    line = place.connect()
    assert line.protocol.wrappedProtocol.peer.scheme == "https"


def test_a_sweep_looks_at_every_connection() -> None:
    place = Place(header_timeout=10.0)
    lines = [place.connect() for _ in range(3)]
    place.clock.advance(10.0)
    place.listener.sweep(place.clock())
    assert all(line.received.startswith(b"HTTP/1.1 408 ") for line in lines)


def test_a_connection_that_fails_in_a_sweep_ends_alone(logged_failures: LoggedFailures) -> None:
    place = Place(header_timeout=10.0)
    lines = [place.connect() for _ in range(3)]
    lines[1].protocol._expire = None
    place.clock.advance(10.0)
    place.listener.sweep(place.clock())
    assert [line.is_aborted for line in lines] == [False, True, False]
    assert all(line.received.startswith(b"HTTP/1.1 408 ") for line in (lines[0], lines[2]))
    assert len(logged_failures.flush(TypeError)) == 1


def test_a_closed_address_leaves_its_connections() -> None:
    place = Place()
    line = place.connect()
    place.listener.stop_accepting()
    assert not place.port.is_open
    line.protocol.dataReceived(get("/static"))
    assert line.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert place.port.connect() is None


def test_a_closed_address_is_closed_once_and_never_opened_by_others_that_leave() -> None:
    place = Place()
    place.capacity.configure(1, 0)
    line = place.connect()
    place.listener.stop_accepting()
    assert place.listener.stop_accepting().called
    lose(line)
    place.listener.resume_accepting()
    place.listener.pause_accepting()
    assert not place.port.is_reading


def test_a_gentle_drain_closes_what_has_been_idle_for_long() -> None:
    place = Place()
    idle = place.connect()
    place.listener.drain_gently(-1.0)
    assert (place.listener.is_draining, idle.is_closed) == (True, False)
    place.listener.drain_gently(math.inf)
    assert idle.is_closed


def test_a_drain_closes_what_is_idle_and_an_abort_all() -> None:
    place = Place()
    idle, reading = place.connect(), place.connect()
    reading.protocol.dataReceived(b"GET")
    place.listener.drain()
    assert (idle.is_closed, reading.is_over) == (True, False)
    place.listener.abort()
    assert reading.is_aborted
