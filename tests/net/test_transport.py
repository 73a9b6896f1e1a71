"""Writing at once on real sockets, queueing what does not fit, and never failing inside ``write``."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.certificates import Authority
from tests.net.loop import Loop, Recorder, a_loop, receive_all, reset
from twistedgate.net.conduit import PASSED_SIZE
from twistedgate.net.tls import ClientTLS, ServerTLS, client_settings
from twistedgate.net.transport import (
    FIRST_READ,
    LATE,
    READ_SIZE,
    EagerClient,
    EagerServer,
    can_half_close,
    lowest,
    queued,
    written,
)

MUCH = bytes(range(256)) * 32 * 1024
"""More than the kernel takes of one connection at a time."""


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


def is_writing(recorder: Recorder) -> bool:
    """Whether the reactor waits until the connection can be written to."""
    transport = recorder.transport
    return transport.fileno() in transport.reactor._writes


def drain(loop: Loop, client: socket.socket, recorder: Recorder, size: int) -> bytes:
    """Read ``size`` bytes while the loop turns."""
    client.setblocking(False)
    pieces: list[bytes] = []

    def is_all_here() -> bool:
        with suppress(BlockingIOError):
            pieces.append(client.recv(1 << 20))
        return sum(map(len, pieces)) >= size

    loop.until(is_all_here)
    client.settimeout(10)
    return b"".join(pieces)


def test_what_is_written_is_sent_at_once(loop: Loop) -> None:
    recorder, client = loop.pair()
    assert isinstance(recorder.transport, EagerServer)
    recorder.transport.write(b"hello")
    assert client.recv(10) == b"hello"
    assert (queued(recorder.transport), written(recorder.transport), is_writing(recorder)) == (0, 0, False)


class Answering(Recorder):
    """Answers what it receives, and looks at what is sent by then."""

    pieces: tuple[bytes, ...] = (b"one ", b"two")
    ends = ""

    def __init__(self, queued: list[int]) -> None:
        super().__init__()
        self.queued = queued

    def dataReceived(self, piece: bytes) -> None:
        for one in self.pieces:
            self.transport.write(one)
        self.queued.append(self.transport.queued)
        if self.ends:
            getattr(self.transport, self.ends)()


def in_one_turn(loop: Loop, count: int, **answering: Any) -> tuple[list[int], list[socket.socket]]:
    """Have so many connections answer in one turn; return what each had queued then, and the clients."""
    queued: list[int] = []
    kind = type("Kind", (Answering,), answering)

    def make() -> Recorder:
        loop.accepted.append(kind(queued))
        return loop.accepted[-1]

    port = loop.reactor.listenTCP(0, Factory.forProtocol(make), 1024, "127.0.0.1")
    loop.ports.append(port)
    clients = [loop.connect(port.getHost().port) for _ in range(count)]
    loop.until(lambda: len(loop.accepted) == count)
    for client in clients:
        client.sendall(b"?")
    loop.turn(1)
    return queued, clients


def test_what_is_written_in_a_turn_with_others_is_sent_at_its_end(loop: Loop) -> None:
    queued, clients = in_one_turn(loop, 3)
    assert queued == [7, 7, 7]
    assert [receive_all(client, 7) for client in clients] == [b"one two"] * 3


def test_what_is_written_in_a_turn_alone_is_sent_at_once(loop: Loop) -> None:
    queued, (client,) = in_one_turn(loop, 1)
    assert queued == [0]
    assert receive_all(client, 7) == b"one two"


def test_much_is_not_kept_for_the_end_of_a_turn(loop: Loop) -> None:
    much = bytes(LATE)
    queued, clients = in_one_turn(loop, 2, pieces=(b"first", much, b"last"))
    assert queued == [4, 4]
    assert [receive_all(client, 9 + LATE) for client in clients] == [b"first" + much + b"last"] * 2


def test_so_many_writes_wait_for_the_end_of_a_turn_and_no_more(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twistedgate.net.transport.MOST", 3)
    queued, clients = in_one_turn(loop, 5, pieces=(b"word",))
    assert queued == [4, 4, 0, 4, 4]
    assert [receive_all(client, 4) for client in clients] == [b"word"] * 5


@pytest.mark.parametrize("ends", ["loseConnection", "loseWriteConnection"])
def test_what_is_written_before_the_end_in_one_turn_arrives(loop: Loop, ends: str) -> None:
    _, clients = in_one_turn(loop, 2, ends=ends)
    loop.turn()
    assert [receive_all(client, 7) for client in clients] == [b"one two"] * 2
    assert [client.recv(1) for client in clients] == [b"", b""]


def test_several_pieces_are_sent_as_one(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.writeSequence([b"a", b"", b"bc"])
    assert client.recv(10) == b"abc"


def test_what_the_kernel_does_not_take_is_queued_and_sent_in_order(loop: Loop) -> None:
    recorder, client = loop.pair()
    transport = recorder.transport
    transport.write(MUCH)
    first = queued(transport)
    assert 0 < first < len(MUCH)
    assert is_writing(recorder)
    assert receive_all(client, 1 << 16) == MUCH[: 1 << 16]
    transport.write(b"second")
    transport.writeSequence([b"thi", b"rd"])
    assert queued(transport) == first + 11
    left = len(MUCH) + 11 - (1 << 16)
    assert drain(loop, client, recorder, left) == MUCH[1 << 16 :] + b"secondthird"
    loop.until(lambda: not is_writing(recorder))
    assert (queued(transport), written(transport)) == (0, first + 11)


def test_the_count_of_what_was_written_grows_while_a_queue_empties(loop: Loop) -> None:
    recorder, client = loop.pair()
    transport = recorder.transport
    transport.write(MUCH)
    total = queued(transport)
    seen = [(0, total)]

    def is_empty() -> bool:
        client.recv(1 << 18)
        assert written(transport) + queued(transport) == total
        seen.append((written(transport), queued(transport)))
        return queued(transport) == 0

    loop.until(is_empty)
    assert len(set(seen)) > 2
    assert sorted(seen) == seen


@given(st.lists(st.integers(0, 300_000), max_size=6))
def test_whatever_is_written_arrives_in_order(sizes: list[int]) -> None:
    with a_loop() as loop:
        recorder, client = loop.pair()
        pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
        for piece in pieces:
            recorder.transport.write(piece)
        recorder.transport.loseConnection()
        total = b"".join(pieces)
        if total:
            assert drain(loop, client, recorder, len(total)) == total
        loop.until(lambda: recorder.is_lost)
        assert client.recv(1) == b""
        assert recorder.reason is ConnectionDone


def test_a_peer_that_is_gone_is_reported_by_the_reactor_and_not_by_write(loop: Loop) -> None:
    recorder, client = loop.pair()
    reset(client)
    for _ in range(3):
        recorder.transport.write(b"hello")
    assert recorder.events == []
    loop.until(lambda: recorder.is_lost)
    assert recorder.reason is ConnectionLost


def test_nothing_is_sent_after_the_end(loop: Loop) -> None:
    recorder, client = loop.pair()
    transport = recorder.transport
    client.close()
    loop.until(lambda: "peer is done" in recorder.events)
    transport.loseConnection()
    loop.until(lambda: recorder.is_lost)
    transport.write(b"late")
    transport.writeSequence([b"later"])
    assert queued(transport) == 0


def test_nothing_is_sent_after_an_abort(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.abortConnection()
    recorder.transport.write(b"late")
    loop.until(lambda: recorder.is_lost)
    assert recorder.reason is ConnectionAborted
    with pytest.raises(ConnectionResetError):
        client.recv(10)


def test_nothing_is_sent_after_our_half_close_and_what_came_before_is(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.write(MUCH)
    recorder.transport.loseWriteConnection()
    assert drain(loop, client, recorder, len(MUCH)) == MUCH
    loop.until(lambda: "we are done" in recorder.events)
    recorder.transport.write(b"late")
    assert client.recv(1) == b""
    client.send(b"still here")
    loop.until(lambda: recorder.received == b"still here")


def test_a_producer_is_paused_when_much_is_queued_and_resumed_when_nothing_is(loop: Loop) -> None:
    recorder, client = loop.pair()
    recorder.transport.registerProducer(recorder, True)
    recorder.transport.write(b"little")
    assert recorder.events == []
    recorder.transport.write(MUCH)
    assert recorder.events == ["pause"]
    drain(loop, client, recorder, len(MUCH) + 6)
    loop.until(lambda: len(recorder.events) > 1)
    assert recorder.events == ["pause", "resume"]


class PullProducer:
    """Writes a piece whenever it is asked to."""

    def __init__(self, transport: Any, pieces: list[bytes]) -> None:
        self._transport = transport
        self._pieces = pieces

    def resumeProducing(self) -> None:
        self._transport.write(self._pieces.pop(0))
        if not self._pieces:
            self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        pass


def test_a_producer_that_waits_to_be_asked_is_asked(loop: Loop) -> None:
    recorder, client = loop.pair()
    pieces = [b"%d " % number for number in range(10)]
    recorder.transport.registerProducer(PullProducer(recorder.transport, list(pieces)), False)
    assert drain(loop, client, recorder, len(b"".join(pieces))) == b"".join(pieces)


def test_many_connections_share_one_buffer_and_not_what_is_in_it(loop: Loop) -> None:
    port = loop.listen()
    clients = [loop.connect(port) for _ in range(5)]
    loop.until(lambda: len(loop.accepted) == 5)
    for number, client in enumerate(clients):
        client.send(bytes([65 + number]) * 1000 * (number + 1))
    loop.until(lambda: sum(len(recorder.received) for recorder in loop.accepted) == 15000)
    for number, recorder in enumerate(loop.accepted):
        assert recorder.received == bytes([65 + number]) * 1000 * (number + 1)


def test_a_read_takes_no_more_than_its_size(loop: Loop) -> None:
    recorder, client = loop.pair()
    sizes: list[int] = []
    recorder.on_piece = lambda piece: sizes.append(len(piece))
    client.setblocking(False)
    sent = 0

    def is_all_here() -> bool:
        nonlocal sent
        with suppress(BlockingIOError):
            sent += client.send(MUCH[sent:])
        return len(recorder.received) == len(MUCH)

    loop.until(is_all_here)
    assert recorder.received == MUCH
    assert max(sizes) <= READ_SIZE


# A connection of our own making, and TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Ends:
    """Both ends of a connection on one loop, each with a recorder."""

    def __init__(self, loop: Loop) -> None:
        port = loop.listen()
        self.client = Recorder()
        loop.reactor.connectTCP("127.0.0.1", port, Once(self.client))
        loop.until(lambda: loop.accepted and self.client.transport)
        self.server = loop.accepted[-1]

    def close(self, loop: Loop) -> None:
        self.client.transport.loseConnection()
        loop.until(lambda: self.client.is_lost and self.server.events)


class Once(Factory):
    """Makes the one protocol of a connection that goes out."""

    noisy = False

    def __init__(self, protocol: Recorder) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Recorder:
        return self._protocol

    def doStart(self) -> None:
        pass

    def doStop(self) -> None:
        pass

    def startedConnecting(self, connector: object) -> None:
        pass

    def clientConnectionLost(self, connector: object, reason: object) -> None:
        pass


def test_a_connection_of_our_own_writes_at_once_too(loop: Loop) -> None:
    ends = Ends(loop)
    assert isinstance(ends.client.transport, EagerClient)
    ends.client.transport.write(b"ping")
    assert not is_writing(ends.client)
    loop.until(lambda: ends.server.received == b"ping")
    ends.close(loop)


def test_only_a_clients_leaving_is_watched_for() -> None:
    assert EagerServer.watches_leaving
    assert not EagerClient.watches_leaving


class Tap:
    """Sees what comes to a protocol."""

    def __init__(self, protocol: Any) -> None:
        self.seen = b""
        self._receive = protocol.dataReceived
        protocol.dataReceived = self._see

    def _see(self, piece: bytes) -> None:
        self.seen += piece
        self._receive(piece)


def start_tls(ends: Ends, authority: Authority) -> None:
    pair = authority.issue("localhost")
    ends.server.transport.startTLS(ServerTLS(pair.certificate, pair.key))
    ends.client.transport.startTLS(ClientTLS("localhost", client_settings(authority.path, True)))


def test_what_is_written_after_start_tls_is_encrypted(loop: Loop, authority: Authority) -> None:
    ends = Ends(loop)
    start_tls(ends, authority)
    on_the_wire = Tap(ends.server.transport.protocol)
    # more than Twisted's TLS keeps back for a turn of the reactor that pytest runs
    secret = b"secret" * 20_000
    ends.server.transport.write(secret)
    ends.client.transport.writeSequence([secret, b"also"])
    loop.until(lambda: ends.client.received == secret and ends.server.received == secret + b"also")
    assert len(on_the_wire.seen) > len(secret)
    assert b"secret" not in on_the_wire.seen
    ends.close(loop)


def test_much_is_sent_through_tls(loop: Loop, authority: Authority) -> None:
    ends = Ends(loop)
    start_tls(ends, authority)
    ends.server.transport.write(MUCH)
    loop.until(lambda: len(ends.client.received) == len(MUCH))
    assert ends.client.received == MUCH
    assert queued(ends.server.transport) == 0
    ends.close(loop)


def test_the_counts_are_those_of_the_transport_under_tls(loop: Loop, authority: Authority) -> None:
    pair = authority.issue("localhost")
    recorder, _ = loop.pair()
    layer = TLSMemoryBIOFactory(ServerTLS(pair.certificate, pair.key), False, Once(Recorder())).buildProtocol(
        None
    )
    layer.makeConnection(recorder.transport)
    recorder.transport.write(MUCH)
    assert lowest(layer) is recorder.transport
    assert queued(layer) == recorder.transport.queued > 0
    assert written(layer) == 0
    assert not can_half_close(layer)
    layer.connectionLost(connectionDone)


def test_a_foreign_transport_has_no_counts_and_can_half_close() -> None:
    transport = StringTransport()
    assert (lowest(transport), queued(transport), written(transport)) == (transport, 0, 0)
    assert can_half_close(transport)


def test_a_stock_transport_has_the_same_counts(loop: Loop, tmp_path: Path) -> None:
    """As of a unix socket: whoever takes nothing there is noticed too."""
    path = str(tmp_path / "socket")
    loop.ports.append(loop.reactor.listenUNIX(path, loop.factory()))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        loop.until(lambda: loop.accepted)
        [recorder] = loop.accepted
        recorder.transport.write(MUCH)
        loop.turn()
        before = (queued(recorder.transport), written(recorder.transport))
        assert 0 < before[0] < len(MUCH)
        drain(loop, client, recorder, len(MUCH))
        loop.until(lambda: not is_writing(recorder))
        assert queued(recorder.transport) == 0
        assert written(recorder.transport) > before[1]


# What is passed on unseen


class Passer(Recorder):
    """Has what comes passed on to another connection, so many bytes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.to: Any = None
        self.left = 0
        self.sizes: list[int] = []

    def connectionMade(self) -> None:
        self.transport.passes_on = True

    def outlet(self) -> tuple[Any, int] | None:
        return None if self.to is None or not self.left else (self.to, self.left)

    def passed(self, size: int) -> None:
        self.left -= size
        self.sizes.append(size)


class Throttle:
    """The producer of the connection that bytes are passed to: pauses the one that they come on."""

    def __init__(self, source: Passer) -> None:
        self._source = source
        self.events: list[str] = []

    def pauseProducing(self) -> None:
        self.events.append("pause")
        self._source.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.events.append("resume")
        self._source.transport.resumeProducing()

    def stopProducing(self) -> None:
        self.events.append("stop")


class Passage:
    """A sender's connection of our making, and a client's that bytes are passed on to."""

    def __init__(self, loop: Loop, left: int) -> None:
        port = loop.listen()
        self.passer = Passer()
        loop.reactor.connectTCP("127.0.0.1", port, Once(self.passer))
        loop.until(lambda: loop.accepted and self.passer.transport)
        self.sender_end = loop.accepted[-1]
        self.sender = self.sender_end.transport
        self.recorder, self.client = loop.pair()
        self.passer.to, self.passer.left = self.recorder.transport, left
        self.throttle = Throttle(self.passer)
        self.recorder.transport.registerProducer(self.throttle, True)

    def close(self, loop: Loop) -> None:
        for one in (self.passer, self.sender_end):
            if not one.is_lost:
                one.transport.abortConnection()
        loop.until(lambda: self.passer.is_lost and self.sender_end.is_lost)


def test_bytes_are_passed_on_unseen_up_to_the_last_and_no_further(loop: Loop) -> None:
    passage = Passage(loop, 100_000)
    passage.sender.write(MUCH[:100_000] + b"not of the body")
    assert drain(loop, passage.client, passage.recorder, 100_000) == MUCH[:100_000]
    loop.until(lambda: passage.passer.received)
    assert passage.passer.received == b"not of the body"
    assert sum(passage.passer.sizes) == 100_000
    passage.close(loop)


def test_one_piece_is_held_while_a_client_takes_nothing_and_reading_pauses(loop: Loop) -> None:
    passage = Passage(loop, len(MUCH))
    passage.sender.write(MUCH)
    loop.until(lambda: passage.throttle.events)
    loop.turn(20)
    assert passage.throttle.events == ["pause"]
    held = passage.recorder.transport.queued
    assert 0 < held <= PASSED_SIZE
    assert len(passage.passer.received) == 0
    assert drain(loop, passage.client, passage.recorder, len(MUCH)) == MUCH
    assert (passage.passer.left, sum(passage.passer.sizes)) == (0, len(MUCH))
    assert passage.throttle.events[1] == "resume"
    passage.close(loop)


def test_nothing_is_passed_to_a_client_that_has_not_taken_the_last(loop: Loop) -> None:
    passage = Passage(loop, 5)
    head = MUCH[: 1 << 16]
    while not passage.recorder.transport.queued:
        passage.recorder.transport.write(head)
    queued_before = passage.recorder.transport.queued
    assert not passage.throttle.events
    passage.sender.write(b"piece")
    loop.until(lambda: passage.throttle.events)
    assert passage.throttle.events == ["pause"]
    assert (passage.recorder.transport.queued, passage.passer.sizes) == (queued_before, [])
    loop.until(lambda: passage.client.recv(1 << 20).endswith(b"piece"))
    assert passage.passer.sizes == [5]
    passage.close(loop)


def test_without_an_outlet_what_comes_is_read(loop: Loop) -> None:
    passage = Passage(loop, 0)
    passage.sender.write(b"hello")
    loop.until(lambda: passage.passer.received == b"hello")
    assert passage.passer.sizes == []
    passage.close(loop)


def test_an_end_behind_what_was_passed_on_is_told(loop: Loop) -> None:
    passage = Passage(loop, 100)
    passage.sender.write(b"half")
    passage.sender.loseConnection()
    loop.until(lambda: "peer is done" in passage.passer.events)
    assert passage.passer.left == 96
    assert passage.client.recv(100) == b"half"
    passage.close(loop)


def test_a_client_that_is_gone_is_reported_by_the_reactor_and_not_while_passing(loop: Loop) -> None:
    passage = Passage(loop, 1000)
    reset(passage.client)
    passage.sender.write(b"hello")
    loop.until(lambda: passage.recorder.is_lost)
    loop.until(lambda: passage.passer.sizes or passage.passer.received)
    assert passage.recorder.reason is ConnectionLost
    assert not passage.passer.is_lost
    passage.close(loop)


def test_what_is_held_goes_with_a_connection_that_is_aborted(loop: Loop) -> None:
    passage = Passage(loop, len(MUCH))
    passage.sender.write(MUCH)
    loop.until(lambda: passage.throttle.events)
    passage.recorder.transport.abortConnection()
    loop.until(lambda: passage.recorder.is_lost)
    assert passage.throttle.events == ["pause", "stop"]
    with pytest.raises(ConnectionResetError):
        receive_all(passage.client, len(MUCH))
    passage.close(loop)


def test_little_is_read_of_an_answer_at_first_and_much_of_what_goes_on(loop: Loop) -> None:
    ends = Ends(loop)
    sizes: list[int] = []
    ends.client.on_piece = lambda piece: sizes.append(len(piece))
    ends.server.transport.write(MUCH)
    loop.until(lambda: len(ends.client.received) == len(MUCH))
    assert sizes[0] <= FIRST_READ < max(sizes)
    ends.close(loop)
