"""The lean reactor reads, writes, pauses and notices who leaves; epoll is told what was asked for."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from select import EPOLLIN, EPOLLOUT, EPOLLRDHUP

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost, UnsupportedAddressFamily
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from tests.conftest import LoggedFailures
from tests.net.loop import Loop, Recorder, a_loop, receive_all, reset
from twistedgate.net import reactor as reactor_module
from twistedgate.net.reactor import LeanEPollReactor
from twistedgate.net.transport import EagerPort, EagerServer

MUCH = b"m" * (8 << 20)


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


def echo(recorder: Recorder) -> None:
    recorder.on_piece = recorder.transport.write


def test_echoes(loop: Loop) -> None:
    recorder, client = loop.pair()
    echo(recorder)
    for word in (b"one", b"two", b"three"):
        client.send(word)
        loop.until(lambda word=word: recorder.received.endswith(word))  # type: ignore[misc]
        assert client.recv(10) == word
    client.close()
    loop.until(lambda: "peer is done" in recorder.events)


def test_serves_more_connections_than_one_turn_has_events(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactor_module, "_MAX_EVENTS", 4)
    port = loop.listen()
    clients = [loop.connect(port) for _ in range(60)]
    loop.until(lambda: len(loop.accepted) == 60)
    for recorder in loop.accepted:
        echo(recorder)
    for number, client in enumerate(clients):
        client.send(b"%03d" % number)
    loop.until(lambda: all(recorder.received for recorder in loop.accepted))
    assert [receive_all(client, 3) for client in clients] == [b"%03d" % number for number in range(60)]


# Paused


def test_a_paused_connection_is_not_read(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.pauseProducing()
    client.send(b"wait")
    loop.turn(5)
    assert recorder.received == b""
    recorder.transport.resumeProducing()
    loop.until(lambda: recorder.received == b"wait")
    client.send(b" more")
    loop.until(lambda: recorder.received == b"wait more")


def test_a_connection_may_be_paused_and_resumed_twice(loop: Loop) -> None:
    recorder, client = loop.pair()
    for word in (b"one", b"two"):
        for _ in range(2):
            recorder.transport.pauseProducing()
        client.send(word)
        loop.turn(5)
        assert not recorder.received.endswith(word)
        for _ in range(2):
            recorder.transport.resumeProducing()
        loop.until(lambda word=word: recorder.received.endswith(word))  # type: ignore[misc]


@pytest.mark.parametrize("has_more", [False, True])
@pytest.mark.parametrize("leave", [socket.socket.close, lambda client: client.shutdown(socket.SHUT_WR)])
def test_a_paused_connection_whose_peer_leaves_is_gone(loop: Loop, leave: object, has_more: bool) -> None:
    recorder, client = loop.pair()
    recorder.transport.pauseProducing()
    if has_more:
        client.send(b"never read")
    assert callable(leave)
    leave(client)
    loop.until(lambda: recorder.is_lost)
    assert (recorder.reason, recorder.received, recorder.events) == (ConnectionDone, b"", ["lost"])


def test_a_paused_connection_that_is_reset_is_gone(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.pauseProducing()
    reset(client)
    loop.until(lambda: recorder.is_lost)


def test_a_paused_connection_that_watches_for_nothing_stays(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.watches_leaving = False
    recorder.transport.pauseProducing()
    client.send(b"last words")
    client.close()
    loop.turn(10)
    assert not recorder.is_lost
    recorder.transport.resumeProducing()
    loop.until(lambda: "peer is done" in recorder.events)
    assert recorder.received == b"last words"


def test_a_paused_connection_can_write_and_its_queue_empties(loop: Loop) -> None:
    recorder, client = loop.pair()
    transport = recorder.transport
    transport.pauseProducing()
    transport.write(MUCH)
    client.send(b"not yet")
    assert transport.queued
    client.settimeout(0.0)
    size = 0

    def is_all_here() -> bool:
        nonlocal size
        try:
            size += len(client.recv(1 << 20))
        except BlockingIOError:
            return False
        return size == len(MUCH)

    loop.until(is_all_here)
    loop.until(lambda: not transport.queued)
    assert recorder.received == b""
    client.shutdown(socket.SHUT_WR)
    loop.until(lambda: recorder.is_lost)


def test_a_connection_may_be_paused_while_its_queue_empties(loop: Loop) -> None:
    recorder, client = loop.pair()
    transport = recorder.transport
    transport.write(MUCH)
    transport.pauseProducing()
    client.send(b"later")
    assert len(receive_while_turning(loop, client)) == len(MUCH)
    assert recorder.received == b""
    transport.resumeProducing()
    loop.until(lambda: recorder.received == b"later")


def receive_while_turning(loop: Loop, client: socket.socket) -> bytes:
    client.settimeout(0.0)
    pieces: list[bytes] = []

    def is_all_here() -> bool:
        try:
            pieces.append(client.recv(1 << 20))
        except BlockingIOError:
            return False
        return sum(map(len, pieces)) == len(MUCH)

    loop.until(is_all_here)
    client.settimeout(10)
    return b"".join(pieces)


@pytest.mark.parametrize("end", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("is_written", [False, True])
def test_a_paused_connection_can_be_closed(loop: Loop, end: str, is_written: bool) -> None:
    recorder, client = loop.pair()
    recorder.transport.pauseProducing()
    if is_written:
        recorder.transport.write(MUCH)
    getattr(recorder.transport, end)()
    if is_written and end == "loseConnection":
        assert receive_while_turning(loop, client) == MUCH
    loop.until(lambda: recorder.is_lost)
    assert loop.reactor._paused == set()


def test_a_descriptor_is_used_again_after_a_paused_connection(loop: Loop) -> None:
    port = loop.listen()
    numbers: list[set[int]] = []
    for count in range(1, 4):
        client = loop.connect(port)
        loop.until(lambda count=count: len(loop.accepted) == count)  # type: ignore[misc]
        recorder = loop.accepted[-1]
        client.send(b"hello")
        loop.until(lambda recorder=recorder: recorder.received == b"hello")  # type: ignore[misc]
        recorder.transport.pauseProducing()
        numbers.append({client.fileno(), recorder.transport.fileno()})
        client.close()
        loop.until(lambda recorder=recorder: recorder.is_lost)  # type: ignore[misc]
        assert loop.reactor._paused == set()
    assert numbers[0] == numbers[1] == numbers[2]


# What goes wrong in a protocol


def test_an_error_in_a_protocol_ends_its_connection_only(loop: Loop, logged_failures: LoggedFailures) -> None:
    bad, bad_client = loop.pair()
    good, good_client = loop.pair()

    def fail(piece: bytes) -> None:
        raise KeyError(piece)

    bad.on_piece = fail
    bad_client.send(b"x")
    good_client.send(b"y")
    loop.until(lambda: bad.is_lost and good.received == b"y")
    assert bad.reason is ConnectionLost
    assert len(logged_failures.flush(KeyError)) == 1


class Unhappy(Protocol):
    """Fails when its connection is lost."""

    is_lost = False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        raise KeyError("in connectionLost")


@pytest.mark.parametrize("is_paused", [False, True])
def test_an_error_while_a_connection_is_lost_is_logged_and_no_more(
    loop: Loop, logged_failures: LoggedFailures, is_paused: bool
) -> None:
    recorder, client = loop.pair()
    unhappy = Unhappy()
    recorder.transport.protocol = unhappy
    recorder.reason = ConnectionDone
    if is_paused:
        recorder.transport.pauseProducing()
    client.close()
    loop.until(lambda: unhappy.is_lost)
    assert len(logged_failures.flush(KeyError)) == 1
    assert loop.reactor._paused == set()


def test_a_connection_that_another_one_closes_in_the_same_turn_is_not_read(loop: Loop) -> None:
    one, one_client = loop.pair()
    other, other_client = loop.pair()
    one.on_piece = lambda piece: other.transport.abortConnection()
    other.on_piece = lambda piece: one.transport.abortConnection()
    one_client.send(b"x")
    other_client.send(b"x")
    loop.until(lambda: one.is_lost or other.is_lost)
    loop.turn()
    assert one.is_lost != other.is_lost
    assert b"" in {one.received, other.received}


# Listening


def test_a_socket_of_another_process_is_listened_on(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.setblocking(False)
        port = loop.reactor.adoptStreamPort(opened.fileno(), socket.AF_INET, loop.factory())
        client = loop.connect(opened.getsockname()[1])
        loop.until(lambda: loop.accepted)
        assert isinstance(port, EagerPort)
        assert isinstance(loop.accepted[0].transport, EagerServer)
        client.close()
        port.stopListening()


def test_a_unix_socket_of_another_process_is_listened_on(loop: Loop, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as opened, socket.socket(socket.AF_UNIX) as client:
        opened.bind(path)
        opened.listen()
        opened.setblocking(False)
        port = loop.reactor.adoptStreamPort(opened.fileno(), socket.AF_UNIX, loop.factory())
        client.connect(path)
        client.send(b"hello")
        loop.until(lambda: loop.accepted and loop.accepted[0].received == b"hello")
        port.stopListening()


def test_a_socket_of_another_kind_is_refused(loop: Loop) -> None:
    with pytest.raises(UnsupportedAddressFamily):
        loop.reactor.adoptStreamPort(0, socket.AF_NETLINK, loop.factory())


def test_accepts_a_batch_at_a_time(loop: Loop) -> None:
    port = loop.listen()
    loop.ports[0].room = lambda: 3
    clients = [loop.connect(port) for _ in range(7)]
    counts = []
    for _ in range(4):
        loop.turn(1)
        counts.append(len(loop.accepted))
    assert counts == [3, 6, 7, 7]
    assert len(clients) == 7


# What epoll is told


class Watched(FileDescriptor):
    """A descriptor whose only use is to be watched."""

    def __init__(self, loop: Loop, end: socket.socket) -> None:
        super().__init__(loop.reactor)
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()


def told(reactor: LeanEPollReactor) -> dict[int, int]:
    """Return the events that the kernel reports of each descriptor."""
    text = Path(f"/proc/self/fdinfo/{reactor._poller.fileno()}").read_text()
    found = re.findall(r"^tfd: +(\d+) events: +([0-9a-f]+)", text, re.MULTILINE)
    return {int(fd): int(events, 16) & (EPOLLIN | EPOLLOUT | EPOLLRDHUP) for fd, events in found}


class Wanted:
    """What was asked for of one descriptor, naively."""

    def __init__(self) -> None:
        self.reads = self.writes = self.is_watched = False

    def do(self, step: str) -> None:
        if step == "addReader":
            self.reads, self.is_watched = True, False
        elif step == "removeReader":
            self.reads = self.is_watched = False
        elif step == "pauseReader" and self.reads:
            self.reads, self.is_watched = False, True
        elif step == "addWriter":
            self.writes = True
        elif step == "removeWriter":
            self.writes = False

    @property
    def events(self) -> int:
        watched = EPOLLRDHUP if self.is_watched else 0
        return watched | (EPOLLIN if self.reads else 0) | (EPOLLOUT if self.writes else 0)


STEPS = ["addReader", "removeReader", "pauseReader", "addWriter", "removeWriter"]


def test_epoll_is_told_what_was_asked_for_in_every_order() -> None:
    one, other = socket.socketpair()
    with a_loop() as loop, one, other:
        reactor, watched, fd = loop.reactor, Watched(loop, one), one.fileno()
        before = told(reactor)
        for steps in itertools.product(STEPS, repeat=5):
            wanted = Wanted()
            for step in steps:
                getattr(reactor, step)(watched)
                wanted.do(step)
            expected = {**before, fd: wanted.events} if wanted.events else before
            assert told(reactor) == expected, steps
            assert reactor._selectables.keys() == expected.keys(), steps
            reactor.removeReader(watched)
            reactor.removeWriter(watched)
            assert told(reactor) == before, steps
            assert not reactor._paused, steps


# As the process' reactor

SCRIPT = """
import socket, sys
from twistedgate.net.reactor import LeanEPollReactor, install
from twistedgate.net.descriptors import raise_descriptors

install()
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

assert type(reactor) is LeanEPollReactor
count = min(1100, (raise_descriptors() - 50) // 2)
told = set()


def tell(word):
    told.add(word)
    if told >= {"echoed", "left", "resumed"}:
        reactor.stop()


class Server(Protocol):
    def dataReceived(self, piece):
        if piece == b"pause":
            self.transport.pauseProducing()
            self.transport.write(b"leave")
        elif piece == b"rest":
            self.transport.pauseProducing()
            self.transport.write(b"go on")
            reactor.callLater(0, reactor.callLater, 0, self.transport.resumeProducing)
        elif piece == b"went on":
            tell("resumed")
        else:
            self.transport.write(piece)

    def connectionLost(self, reason):
        if self.transport.client in leavers:
            tell("left")


leavers, echoed = set(), set()


class Client(Protocol):
    def __init__(self, number):
        self.number = number

    def connectionMade(self):
        self.transport.write({0: b"pause", 1: b"rest"}.get(self.number, b"%d" % self.number))

    def dataReceived(self, piece):
        if piece == b"leave":
            host = self.transport.getHost()
            leavers.add((host.host, host.port))
            self.transport.loseConnection()
        elif piece == b"go on":
            self.transport.write(b"went on")
        else:
            assert piece == b"%d" % self.number
            echoed.add(self.number)
            if len(echoed) == count - 2:
                tell("echoed")


class Clients(Factory):
    noisy = False
    numbers = iter(range(count))

    def buildProtocol(self, address):
        return Client(next(self.numbers))

    def doStart(self): pass
    doStop = doStart
    def startedConnecting(self, connector): pass
    def clientConnectionLost(self, connector, reason): pass
    def clientConnectionFailed(self, connector, reason): raise SystemExit(reason)


port = reactor.listenTCP(0, Factory.forProtocol(Server), 4096, "127.0.0.1")
port.room = lambda: 100
clients = Clients()
for _ in range(count):
    reactor.connectTCP("127.0.0.1", port.getHost().port, clients)
reactor.callLater(30, reactor.stop)
reactor.run()
print(count, *sorted(told))
"""


def test_runs_as_the_process_reactor_with_many_connections() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    count, *words = done.stdout.split()
    assert words == ["echoed", "left", "resumed"]
    assert int(count) > 200


def test_its_time_is_not_that_of_the_clock_on_the_wall(loop: Loop) -> None:
    before = time.monotonic()
    now = loop.reactor.seconds()
    assert before <= now <= time.monotonic()
