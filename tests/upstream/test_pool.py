from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionLost
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.certificates import Authority
from tests.conftest import LoggedFailures
from tests.upstream.conversation import BEGUN, OK, Sink, Waiting
from tests.upstream.network import Network, connect_error, upstream_config
from tests.upstream.secure import Host, Peer, waited
from twistedgate.config.model import TargetConfig
from twistedgate.errors import ClientGone
from twistedgate.net.transport import lowest
from twistedgate.testing import exchange
from twistedgate.upstream.asking import CLOSING_SECONDS
from twistedgate.upstream.connection import UpstreamConnection
from twistedgate.upstream.lending import OUT_OF_DESCRIPTORS
from twistedgate.upstream.pool import CLOSING_MARGIN, UNSAFE_IDLE, Pool
from twistedgate.upstream.target import Target

HEAD = b"GET / HTTP/1.1\r\n\r\n"


class Lent:
    """A pool, its network, and two targets."""

    def __init__(self, **options: Any) -> None:
        self.network = Network()
        self.config = upstream_config(**options)
        self.pool = Pool(self.config, self.network, self.network.seconds, lambda target: None)
        self.first, self.second = (Target(one, one.host) for one in self.config.targets)

    def connected(self, target: Target | None = None) -> UpstreamConnection:
        """Make a connection, and take it."""
        waiting = Waiting(self.pool.connect(target or self.first))
        self.network.last.succeed()
        assert isinstance(waiting.response, UpstreamConnection)
        return waiting.response

    def idle(self, count: int = 1, target: Target | None = None) -> list[UpstreamConnection]:
        """Make connections, and give them back one after the other."""
        made = [self.connected(target) for _ in range(count)]
        for connection in made:
            self.serve(connection)
        return made

    def serve(self, connection: UpstreamConnection, answer: bytes = OK) -> None:
        """Let a connection serve an exchange."""
        waiting = Waiting(connection.begin(exchange(), HEAD, self.network.seconds()))
        connection.dataReceived(answer)
        assert waiting.is_done

    def take(self, target: Target | None = None, *, is_safe: bool = True) -> UpstreamConnection | None:
        """Take an idle connection."""
        return self.pool.take(target or self.first, is_safe, self.network.seconds())

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the pool look after its connections."""
        self.network.advance(seconds)
        self.pool.sweep(self.network.seconds())

    def turn(self) -> None:
        """Let the reactor tell what was closed and cut."""
        for attempt in self.network.attempts:
            if attempt.wire.is_over and attempt.connection in self.pool._connections:
                attempt.lose(ConnectionLost())

    @property
    def counts(self) -> tuple[int, int]:
        """How many connections are open, and how many of them idle."""
        return self.pool.open_count, self.pool.idle_count


def is_closed(connection: UpstreamConnection) -> bool:
    """Whether the pool has closed a connection."""
    return bool(connection.transport.is_over)


# lending


def test_the_last_one_used_is_lent_first() -> None:
    lent = Lent()
    first, second, third = lent.idle(3)
    assert lent.counts == (3, 3)
    assert [lent.take() for _ in range(4)] == [third, second, first, None]
    assert lent.counts == (3, 0)


def test_a_target_gets_its_own_connections() -> None:
    lent = Lent()
    (connection,) = lent.idle(target=lent.second)
    assert lent.take(lent.first) is None
    assert lent.take(lent.second) is connection


def test_what_may_not_be_sent_twice_gets_only_what_was_used_just_now() -> None:
    lent = Lent()
    (connection,) = lent.idle()
    lent.pass_time(UNSAFE_IDLE)
    assert lent.take(is_safe=False) is None
    assert lent.counts == (1, 1)
    assert lent.take(is_safe=True) is connection
    lent.serve(connection)
    lent.pass_time(UNSAFE_IDLE - 0.01)
    assert lent.take(is_safe=False) is connection


def test_no_more_are_kept_than_keepalive_says_of_all_targets_together() -> None:
    lent = Lent(keepalive=2)
    first, second = lent.idle(2)
    (third,) = lent.idle(target=lent.second)
    assert is_closed(third)
    assert not is_closed(first)
    assert not is_closed(second)
    assert lent.counts == (3, 2)
    lent.turn()
    assert lent.counts == (2, 2)


def test_without_keepalive_none_is_kept() -> None:
    lent = Lent(keepalive=0)
    (connection,) = lent.idle()
    assert is_closed(connection)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"", 60.0),
        (b"Keep-Alive: timeout=20\r\n", 20.0 - CLOSING_MARGIN),
        (b"Keep-Alive: timeout=600\r\n", 60.0),
        (b"Keep-Alive: timeout=1, max=9\r\n", 0.0),
        (b"Keep-Alive: timeout=0\r\n", 0.0),
        (b"Keep-Alive: max=9\r\n", 60.0),
    ],
)
def test_each_is_kept_for_a_while_or_less_if_its_target_says_so(said: bytes, seconds: float) -> None:
    lent = Lent()
    connection = lent.connected()
    lent.serve(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + said + b"\r\n")
    if seconds:
        lent.pass_time(seconds - 0.1)
    assert not is_closed(connection)
    lent.pass_time(0.1)
    assert is_closed(connection)
    assert lent.pool.idle_count == 0
    assert lent.take() is None


def test_a_connection_that_its_target_closes_is_not_lent() -> None:
    lent = Lent()
    kept, closed = lent.idle(2)
    closed.readConnectionLost()
    assert lent.pool.idle_count == 1
    assert lent.take() is kept
    lent.turn()
    assert lent.counts == (1, 0)


def test_nor_is_one_that_says_what_nobody_asked() -> None:
    lent = Lent()
    kept, loud = lent.idle(2)
    loud.dataReceived(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert lent.take() is kept


def test_targets_that_come_and_go_leave_nothing() -> None:
    lent = Lent()
    for number in range(20):
        target = Target(TargetConfig("http", "name.test", 80), f"192.0.2.{number}")
        (connection,) = lent.idle(target=target)
        lent.pool.drop(target)
        lent.serve(lent.connected(target))
        lent.pass_time(60.0)
        assert is_closed(connection)
        lent.turn()
    assert lent.counts == (0, 0)
    assert lent.pool._idle == {}


# closing


def test_a_target_that_is_down_keeps_what_is_under_way() -> None:
    lent = Lent()
    busy, _ = lent.idle(2)
    lent.take()
    taken = lent.take()
    assert taken is busy
    (idle,) = lent.idle()
    lent.pool.drop(lent.first)
    assert is_closed(idle)
    assert not is_closed(busy)
    lent.serve(busy)
    assert lent.take() is busy


def test_a_pool_that_retires_closes_what_is_idle_and_what_comes_back() -> None:
    lent = Lent()
    busy = lent.connected()
    (idle,) = lent.idle(target=lent.second)
    lent.pool.retire()
    assert is_closed(idle)
    assert not is_closed(busy)
    lent.serve(busy)
    assert is_closed(busy)
    lent.turn()
    assert lent.counts == (0, 0)


def test_a_pool_that_is_renewed_lends_nothing_that_was_made_before() -> None:
    lent = Lent()
    busy = lent.connected()
    lent.idle(2)
    (idle,) = lent.idle(target=lent.second)
    lent.pool.renew()
    assert is_closed(idle)
    assert not is_closed(busy)
    lent.serve(busy)
    assert is_closed(busy)
    assert lent.take() is None
    lent.turn()
    assert lent.counts == (0, 0)
    assert lent.pool._outdated == set()


def test_nor_what_was_begun_before() -> None:
    lent = Lent()
    waiting = Waiting(lent.pool.connect(lent.first))
    lent.pool.renew()
    lent.network.last.succeed()
    assert isinstance(waiting.response, UpstreamConnection)
    lent.serve(waiting.response)
    assert is_closed(waiting.response)


def test_but_goes_on_with_what_is_made_afterwards() -> None:
    lent = Lent()
    lent.idle()
    lent.pool.renew()
    (fresh,) = lent.idle()
    assert lent.take() is fresh


def test_what_does_not_close_in_time_is_cut() -> None:
    lent = Lent()
    (connection,) = lent.idle()
    lent.pool.retire()
    assert not connection.transport.is_aborted
    lent.pass_time(10.0)
    assert connection.transport.is_aborted
    assert lent.pool.open_count == 1
    lent.turn()
    assert lent.pool.open_count == 0


def test_the_end_cuts_everything_also_what_is_being_made() -> None:
    lent = Lent()
    lent.idle()
    lent.connected()
    waiting = Waiting(lent.pool.connect(lent.first))
    lent.pool.abort()
    assert all(attempt.wire.is_over or attempt.is_given_up for attempt in lent.network.attempts)
    assert waiting.failure == (502, "connect-failed", False)
    lent.turn()
    assert lent.counts == (0, 0)
    assert not lent.network.getDelayedCalls()


def test_looks_after_the_deadlines_of_what_is_under_way() -> None:
    lent = Lent(response_timeout=5.0)
    connection = lent.connected()
    waiting = Waiting(connection.begin(exchange(), HEAD, lent.network.seconds()))
    lent.pass_time(4.9)
    assert not waiting.is_done
    lent.pass_time(0.1)
    assert waiting.failure == (504, "response-timeout", True)


def test_a_connection_that_fails_in_a_sweep_ends_alone(logged_failures: LoggedFailures) -> None:
    class Broken(Sink):
        def fail(self) -> None:
            raise TypeError

    lent = Lent(read_timeout=5.0)
    for _ in range(3):
        waiting = Waiting(lent.connected().begin(exchange(), HEAD, lent.network.seconds()))
        lent.network.last.connection.dataReceived(BEGUN)
        waiting.response.body.attach(Broken())
    lent.pass_time(5.0)
    assert all(attempt.wire.is_aborted for attempt in lent.network.attempts)
    assert len(logged_failures.flush(TypeError)) == 3


def test_says_what_it_has() -> None:
    lent = Lent()
    lent.idle(2)
    lent.take()
    assert repr(lent.pool) == "<Pool orders open=2 idle=1>"


# connecting


def test_what_is_being_made_holds_a_descriptor_already() -> None:
    lent = Lent()
    waiting = Waiting(lent.pool.connect(lent.first))
    assert lent.network.last.place == "192.0.2.1:80"
    assert lent.counts == (1, 0)
    connection = lent.network.last.succeed()
    assert waiting.response is connection
    assert lent.counts == (1, 0)
    assert not lent.network.getDelayedCalls()


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (connect_error(errno.ECONNREFUSED), (502, "connect-failed", False)),
        (connect_error(errno.EHOSTUNREACH), (502, "connect-failed", False)),
        (ConnectTimeout(), (504, "connect-timeout", False)),
    ],
)
def test_a_connection_that_cannot_be_made_is_a_failure(
    error: Exception, failure: tuple[int, str, bool]
) -> None:
    lent = Lent()
    waiting = Waiting(lent.pool.connect(lent.first))
    lent.network.last.fail(error)
    assert waiting.failure == failure
    assert lent.counts == (0, 0)
    assert not lent.network.getDelayedCalls()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_one_for_which_there_is_no_descriptor_is_our_own_fault(number: int) -> None:
    lent = Lent()
    waiting = Waiting(lent.pool.connect(lent.first))
    lent.network.last.fail(connect_error(number))
    assert waiting.error.detail == OUT_OF_DESCRIPTORS


def test_one_that_takes_too_long_is_given_up() -> None:
    lent = Lent(connect_timeout=2.0)
    waiting = Waiting(lent.pool.connect(lent.first))
    lent.network.advance(1.9)
    assert not waiting.is_done
    lent.network.advance(0.1)
    assert waiting.failure == (504, "connect-timeout", False)
    assert lent.network.last.is_given_up
    assert lent.counts == (0, 0)
    assert not lent.network.getDelayedCalls()


def test_one_whose_client_left_meanwhile_is_kept_for_the_next() -> None:
    lent = Lent()
    waiting = Waiting(lent.pool.connect(lent.first))
    waiting.throw(ClientGone())
    connection = lent.network.last.succeed()
    assert lent.counts == (1, 1)
    assert lent.take() is connection


def test_and_may_be_stale_though_it_was_never_used() -> None:
    lent = Lent()
    Waiting(lent.pool.connect(lent.first)).throw(ClientGone())
    connection = lent.network.last.succeed()
    lent.take()
    waiting = Waiting(connection.begin(exchange(), HEAD, lent.network.seconds()))
    connection.connectionLost(Failure(ConnectionLost()))
    assert type(waiting.error).__name__ == "StaleConnection"


def test_or_closed_where_none_is_kept() -> None:
    lent = Lent()
    Waiting(lent.pool.connect(lent.first)).throw(ClientGone())
    lent.pool.retire()
    assert is_closed(lent.network.last.succeed())
    lent.turn()
    assert lent.counts == (0, 0)


# TLS, with real sockets


@pytest.fixture
def host(reactor: Any, tmp_path: Path) -> Iterator[Host]:
    made = Host(reactor, Authority(tmp_path))
    yield made
    pytest_twisted.blockon(made.close())
    for peer in made.peers:
        pytest_twisted.blockon(peer.gone)


async def test_a_connection_with_tls_is_lent_once_its_handshake_is_done(host: Host) -> None:
    host.listen("orders.test")
    connection = await waited(host.pool.connect(host.target))
    assert connection.is_open
    response = await waited(connection.begin(exchange(), HEAD, host.pool.now()))
    assert Sink.of(response).body == b"ok"
    assert host.pool.idle_count == 1


async def test_a_target_that_cannot_prove_its_name_is_told_so(host: Host) -> None:
    host.listen("another.test")
    with pytest.raises(Exception, match=r"not that of orders\.test") as failure:
        await waited(host.pool.connect(host.target))
    assert failure.value.reason == "connect-failed"  # type: ignore[attr-defined]


async def test_a_handshake_that_never_ends_is_given_up(host: Host) -> None:
    host.listen("orders.test", b"", tls=False, patience=0.05)
    with pytest.raises(Exception, match="connect-timeout"):
        await waited(host.pool.connect(host.target))
    await host.peers[0].gone
    assert host.pool.open_count == 0


async def test_a_target_that_speaks_no_tls_is_a_failure_to_connect(host: Host) -> None:
    host.listen("orders.test", b"HTTP/1.1 400 Bad Request\r\n\r\n", tls=False)
    with pytest.raises(Exception, match="connect-failed"):
        await waited(host.pool.connect(host.target))


@pytest.mark.parametrize(("leaves", "end"), [("politely", "whole"), ("rudely", "cut")])
async def test_a_body_ended_by_a_close_is_whole_with_a_farewell_only(
    host: Host, monkeypatch: pytest.MonkeyPatch, leaves: str, end: str
) -> None:
    monkeypatch.setattr(Peer, "leaves", leaves)
    host.listen("orders.test", b"HTTP/1.1 200 OK\r\n\r\nto the end")
    connection = await waited(host.pool.connect(host.target))
    response = await waited(connection.begin(exchange(), HEAD, host.pool.now()))
    sink = Sink.of(response)
    await host.peers[0].gone
    while host.pool.open_count:
        await deferLater(host.reactor, 0)
    assert (sink.body, sink.end()) == (b"to the end", end)


async def test_an_idle_connection_whose_target_leaves_is_lent_no_more(host: Host) -> None:
    host.listen("orders.test")
    connection = await waited(host.pool.connect(host.target))
    await waited(connection.begin(exchange(), HEAD, host.pool.now()))
    host.peers[0].transport.loseConnection()  # type: ignore[union-attr]
    await host.peers[0].gone
    while host.pool.open_count:
        await deferLater(host.reactor, 0)
    assert host.pool.take(host.target, True, host.pool.now()) is None


async def test_a_target_that_does_not_take_its_leave_is_left_all_the_same(host: Host) -> None:
    """TLS waits for the other side's farewell: not for ever."""
    host.listen("orders.test")
    connection = await waited(host.pool.connect(host.target))
    await waited(connection.begin(exchange(), HEAD, host.pool.now()))
    lowest(host.peers[0].transport).stopReading()
    host.pool.retire()
    await deferLater(host.reactor, 0)
    assert host.pool.open_count == 1
    host.pool.sweep(host.pool.now() + CLOSING_SECONDS)
    while host.pool.open_count:
        await deferLater(host.reactor, 0)
    lowest(host.peers[0].transport).startReading()
