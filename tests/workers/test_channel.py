"""Messages and descriptors over real socketpairs, whole and in order, whatever becomes of the peer."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import capturedLogs, formatEvent

from tests.conftest import LoggedFailures
from tests.net.loop import Loop, a_loop
from twistedgate.workers import channel as channel_module
from twistedgate.workers.channel import PROTOCOL, Channel, Frames, Message, adopt, adopt_again, frame, pair

MUCH = bytes(range(256)) * (9 << 12)
"""Nine MiB: a large configuration."""


class StockLoop(Loop):
    """The same with Twisted's own reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor._poller.close()
        assert self.reactor.waker is not None
        lean, self.reactor = self.reactor, EPollReactor()  # type: ignore[assignment]
        for selectable in lean.removeAll():
            selectable.connectionLost(None)


class End:
    """One end, and everything that it received."""

    def __init__(self, loop: Loop, descriptor: int) -> None:
        self.messages: list[Message] = []
        self.losses = 0
        self.on_message: Callable[[Message], object] = lambda message: None
        self.channel = Channel(self._receive, self._lose)
        adopt(loop.reactor, descriptor, self.channel)

    def _receive(self, message: Message) -> None:
        self.messages.append(message)
        self.on_message(message)

    def _lose(self) -> None:
        self.losses += 1

    @property
    def said(self) -> list[tuple[str, dict[str, Any], bytes]]:
        """What was received after the hello."""
        return [(message.kind, message.fields, message.blob) for message in self.messages[1:]]


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


@pytest.fixture
def stock() -> Iterator[Loop]:
    loop = StockLoop()
    yield loop
    loop.close()


def ends(loop: Loop) -> tuple[End, End]:
    one, other = pair()
    return End(loop, one), End(loop, other)


def end_and_socket(loop: Loop) -> tuple[End, socket.socket]:
    """Return an end, and the bare socket of a peer which has said hello."""
    ours, theirs = pair()
    peer = socket.socket(fileno=theirs)
    peer.send(hello())
    end = End(loop, ours)
    loop.until(lambda: end.messages)
    return end, peer


def hello(protocol: int = PROTOCOL) -> bytes:
    return frame("hello", {"protocol": protocol, "pid": 1}, b"", 0)


def open_descriptors() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


def a_pipe_with(text: bytes) -> int:
    """Return the reading end of a pipe that holds ``text``, its writing end closed."""
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    return reader


# framing


KINDS = st.sampled_from(["configure", "ready", "log"])
FIELDS = st.dictionaries(
    st.sampled_from(["upstream", "listeners", "ö"]), st.none() | st.integers(0, 9) | st.text()
)


@given(st.lists(st.tuples(KINDS, FIELDS, st.binary(), st.integers(0, 300))), st.data())
@settings(max_examples=60)
def test_however_it_is_cut_the_messages_are_the_same(
    messages: list[tuple[str, dict[str, Any], bytes, int]], data: st.DataObject
) -> None:
    written = b"".join(frame(*message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=8)))
    frames = Frames()
    pieces = [written[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    assert [message for piece in pieces for message in frames.feed(piece)] == messages
    assert not frames.unread


@given(FIELDS, st.integers(0, 5000))
def test_there_is_a_byte_for_each_descriptor(fields: dict[str, Any], count: int) -> None:
    assert len(frame("configure", fields, b"", count)) >= count


# what is said


def test_each_side_hears_what_the_other_says_in_order(loop: Loop) -> None:
    ours, theirs = ends(loop)
    assert ours.channel.send("configure", b"pickled", columns=[1, 2])
    assert ours.channel.send("commit")
    assert theirs.channel.send("prepared", ok=True, errors=[])
    loop.until(lambda: len(theirs.messages) == 3 and len(ours.messages) == 2)
    assert theirs.said == [("configure", {"columns": [1, 2]}, b"pickled"), ("commit", {}, b"")]
    assert ours.said == [("prepared", {"ok": True, "errors": []}, b"")]


def test_hello_comes_first_and_says_who_speaks(loop: Loop) -> None:
    ours, theirs = ends(loop)
    loop.until(lambda: ours.messages and theirs.messages)
    assert ours.messages[0] == Message("hello", {"protocol": PROTOCOL, "pid": os.getpid()})
    assert theirs.messages[0].kind == "hello"


def test_a_large_message_holds_up_nobody_and_stays_whole(loop: Loop) -> None:
    ours, theirs = ends(loop)
    theirs.channel.send("configure", MUCH)
    theirs.channel.send("commit")
    ours.channel.send("log", MUCH)
    loop.until(lambda: len(ours.messages) == 3 and len(theirs.messages) == 2)
    assert [kind for kind, _, _ in ours.said] == ["configure", "commit"]
    assert ours.said[0][2] == MUCH == theirs.said[0][2]
    assert theirs.channel.unsent == 0


def test_what_is_received_may_be_answered_at_once(loop: Loop) -> None:
    ours, theirs = ends(loop)
    theirs.on_message = lambda message: message.kind == "stop" and theirs.channel.send("drained")
    ours.channel.send("stop")
    loop.until(lambda: ours.said)
    assert ours.said == [("drained", {}, b"")]


def test_it_works_with_twisteds_own_reactor(stock: Loop) -> None:
    ours, theirs = ends(stock)
    descriptor = a_pipe_with(b"through")
    read: list[bytes] = []
    theirs.on_message = lambda message: read.extend(os.read(each, 99) for each in message.descriptors)
    ours.channel.send("configure", MUCH, [descriptor])
    os.close(descriptor)
    stock.until(lambda: theirs.said)
    assert read == [b"through"]
    assert theirs.said[0][2] == MUCH


# descriptors


def test_descriptors_come_with_their_message(loop: Loop) -> None:
    ours, theirs = ends(loop)
    words = [b"one", b"two", b"three", b"four"]
    descriptors = [a_pipe_with(word) for word in words]
    read: list[tuple[str, list[bytes]]] = []
    theirs.on_message = lambda message: read.append(
        (message.kind, [os.read(each, 99) for each in message.descriptors])
    )
    ours.channel.send("configure", MUCH)
    ours.channel.send("columns", b"", descriptors[:1])
    ours.channel.send("configure", MUCH, descriptors[1:])
    ours.channel.send("commit")
    for descriptor in descriptors:
        os.close(descriptor)
    loop.until(lambda: len(read) == 5)
    assert read[1:] == [("configure", []), ("columns", words[:1]), ("configure", words[1:]), ("commit", [])]


def test_many_descriptors_come_in_order(loop: Loop) -> None:
    ours, theirs = ends(loop)
    read: list[bytes] = []
    theirs.on_message = lambda message: read.extend(os.read(each, 9) for each in message.descriptors)
    descriptors = [a_pipe_with(b"%d" % number) for number in range(150)]
    ours.channel.send("configure", b"", descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    loop.until(lambda: theirs.said)
    assert read == [b"%d" % number for number in range(150)]


def test_nothing_stays_open_that_nobody_kept(loop: Loop) -> None:
    ours, theirs = ends(loop)
    loop.until(lambda: ours.messages and theirs.messages)
    kept: list[int] = []
    theirs.on_message = lambda message: kept.extend(os.dup(each) for each in message.descriptors[:1])
    descriptor = a_pipe_with(b"kept")
    before = open_descriptors()
    ours.channel.send("configure", b"", [descriptor, descriptor, descriptor])
    loop.until(lambda: kept)
    loop.turn()
    assert open_descriptors() - before == set(kept)
    assert os.read(kept[0], 9) == b"kept"
    for each in (*kept, descriptor):
        os.close(each)


def test_descriptors_whose_message_never_comes_are_closed(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    before = open_descriptors()
    descriptor = a_pipe_with(b"")
    socket.send_fds(peer, [frame("configure", {}, MUCH, 1)[:100]], [descriptor])
    os.close(descriptor)
    loop.until(lambda: open_descriptors() - before)
    peer.close()
    loop.until(lambda: end.losses)
    assert not open_descriptors() - before
    assert end.said == []


def test_descriptors_that_could_not_be_sent_are_closed(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    before = open_descriptors()
    descriptor = a_pipe_with(b"")
    end.channel.send("configure", MUCH)
    end.channel.send("configure", MUCH, [descriptor])
    os.close(descriptor)
    loop.turn()
    peer.close()
    loop.until(lambda: end.losses)
    assert not open_descriptors() - before


def test_what_is_received_is_closed_on_exec(loop: Loop) -> None:
    ours, theirs = ends(loop)
    inherited: list[bool] = []
    theirs.on_message = lambda message: inherited.extend(os.get_inheritable(fd) for fd in message.descriptors)
    descriptor = a_pipe_with(b"")
    os.set_inheritable(descriptor, True)
    ours.channel.send("configure", b"", [descriptor])
    os.close(descriptor)
    loop.until(lambda: theirs.said)
    assert inherited == [False]


def test_neither_ends_nor_copies_survive_an_exec(loop: Loop) -> None:
    before = open_descriptors()
    ours, theirs = pair()
    os.set_inheritable(theirs, True)  # as a child finds its end
    end, _ = End(loop, ours), End(loop, theirs)
    end.channel.send("configure", MUCH, [0])
    inherited = {fd for fd in open_descriptors() - before - {0} if _is_inheritable(fd)}
    assert inherited == set()


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def test_descriptors_that_the_kernel_dropped_end_the_channel(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    with capturedLogs() as logged:
        peer.send(frame("configure", {}, b"", 2))
        loop.until(lambda: end.losses)
    assert [formatEvent(event) for event in logged] == [
        "the channel is cut: 'configure' came with 0 of its 2 descriptors"
    ]
    assert peer.recv(1 << 16)
    peer.close()


# the end


def test_the_loss_is_told_once_and_nothing_is_taken_any_more(loop: Loop) -> None:
    ours, theirs = ends(loop)
    loop.until(lambda: ours.messages and theirs.messages)
    theirs.channel.close()
    loop.until(lambda: ours.losses and theirs.losses)
    assert not ours.channel.send("configure", b"", [0])
    assert (ours.losses, theirs.losses) == (1, 1)
    assert repr(ours.channel) == "<Channel closed>"
    assert ours.channel.descriptor == -1


def test_what_was_said_before_a_close_arrives(loop: Loop) -> None:
    ours, theirs = ends(loop)
    descriptor = a_pipe_with(b"last")
    read: list[bytes] = []
    ours.on_message = lambda message: read.extend(os.read(each, 9) for each in message.descriptors)
    theirs.channel.send("log", MUCH)
    theirs.channel.send("drained", b"", [descriptor])
    os.close(descriptor)
    theirs.channel.close()
    assert not theirs.channel.send("late")
    loop.until(lambda: ours.losses)
    assert [kind for kind, _, _ in ours.said] == ["log", "drained"]
    assert read == [b"last"]


def test_what_a_peer_said_before_it_died_arrives_though_a_write_fails_first(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    descriptor = a_pipe_with(b"last")
    read: list[bytes] = []
    end.on_message = lambda message: read.extend(os.read(each, 9) for each in message.descriptors)
    for number in range(10):
        peer.send(frame("log", {"number": number}, b"l" * 14_000, 0))  # two reads of the transport
    socket.send_fds(peer, [frame("log", {"number": 10}, b"", 1)], [descriptor])
    os.close(descriptor)
    peer.close()
    end.channel.send("standings", MUCH)
    loop.until(lambda: end.losses)
    assert [fields["number"] for _, fields, _ in end.said] == [*range(11)]
    assert read == [b"last"]


def test_half_a_message_is_not_handed_on(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    peer.send(frame("log", {}, b"whole", 0) + frame("log", {}, b"half", 0)[:-1])
    peer.close()
    loop.until(lambda: end.losses)
    assert end.said == [("log", {}, b"whole")]


def test_a_peer_that_is_gone_already_is_lost(loop: Loop) -> None:
    ours, theirs = pair()
    os.close(theirs)
    end = End(loop, ours)
    loop.until(lambda: end.losses)
    assert end.messages == []


def test_nothing_is_handed_on_after_an_abort(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    end.on_message = lambda message: end.channel.abort()
    peer.send(frame("log", {}, b"", 0) * 3)
    loop.until(lambda: end.losses)
    assert len(end.said) == 1
    peer.close()


def test_a_receiver_that_fails_ends_the_channel(loop: Loop, logged_failures: LoggedFailures) -> None:
    end, peer = end_and_socket(loop)
    before = open_descriptors()

    def fail(message: Message) -> None:
        raise ZeroDivisionError

    end.on_message = fail
    descriptor = a_pipe_with(b"")
    socket.send_fds(peer, [frame("log", {}, b"", 1)], [descriptor])
    os.close(descriptor)
    loop.until(lambda: end.losses)
    assert len(logged_failures.flush(ZeroDivisionError)) == 1
    assert open_descriptors() <= before
    peer.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (hello(PROTOCOL + 1), f"the peer speaks protocol {PROTOCOL + 1}, this side {PROTOCOL}"),
        (frame("ready", {}, b"", 0), "'ready' came before a hello"),
    ],
)
def test_who_speaks_another_protocol_is_not_listened_to(loop: Loop, said: bytes, told: str) -> None:
    ours, theirs = pair()
    peer = socket.socket(fileno=theirs)
    peer.send(said + frame("ready", {}, b"", 0))
    end = End(loop, ours)
    with capturedLogs() as logged:
        loop.until(lambda: end.losses)
    assert [formatEvent(event) for event in logged] == [f"the channel is cut: {told}"]
    assert end.messages == []
    peer.close()


# other programs


CHILD = """
import os, sys
from twistedgate.net.reactor import install
install()
from twisted.internet import reactor
from twistedgate.workers.channel import Channel, adopt

def received(message):
    if message.kind == "configure":
        texts = [os.read(each, 99).decode() for each in message.descriptors]
        channel.send("prepared", message.blob, [1], texts=texts)
    if message.kind == "stop":
        os.kill(os.getpid(), 9)

channel = Channel(received, reactor.stop)
adopt(reactor, 3, channel)
reactor.run()
"""


def child() -> tuple[subprocess.Popen[bytes], int]:
    """Start a process whose descriptor 3 is the other end; return it and our end."""
    ours, theirs = pair()
    program = f"import os; os.dup2({theirs}, 3); os.set_inheritable(3, True)\n{CHILD}"
    started = subprocess.Popen(
        [sys.executable, "-c", program], pass_fds=[theirs], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(theirs)
    return started, ours


def test_a_child_answers_and_its_death_is_noticed(loop: Loop) -> None:
    started, ours = child()
    end = End(loop, ours)
    written: list[int] = []
    end.on_message = lambda message: written.extend(os.write(each, b"ours") for each in message.descriptors)
    words = [a_pipe_with(b"one"), a_pipe_with(b"two")]
    end.channel.send("configure", MUCH, words)
    for word in words:
        os.close(word)
    _patiently(loop, lambda: end.said)
    assert end.said == [("prepared", {"texts": ["one", "two"]}, MUCH)]
    assert written == [4]
    end.channel.send("stop")
    _patiently(loop, lambda: end.losses)
    out, errors = started.communicate(timeout=30)
    assert (started.returncode, out, errors) == (-9, b"ours", b"")


def test_a_child_notices_that_the_channel_is_closed(loop: Loop) -> None:
    started, ours = child()
    end = End(loop, ours)
    _patiently(loop, lambda: end.messages)
    end.channel.close()
    loop.until(lambda: end.losses)
    # every descriptor of our end is gone, or the child would live on
    out, errors = started.communicate(timeout=30)
    assert (started.returncode, out, errors) == (0, b"", b"")


def _patiently(loop: Loop, happened: Callable[[], object]) -> None:
    """Turn until something has happened that takes a process its time."""
    for _ in range(2000):
        if happened():
            return
        select.select([loop.reactor._poller], [], [], 0.02)
        loop.turn()
    raise AssertionError("it never happened")


def test_another_program_goes_on_where_this_one_stopped(loop: Loop) -> None:
    end, peer = end_and_socket(loop)
    message = frame("log", {}, b"cut in two", 0)
    peer.send(message[:11])
    loop.until(lambda: end.channel.unread)
    again = os.dup(end.channel.descriptor)
    unread = end.channel.unread
    read: list[Message] = []
    losses: list[int] = []
    end.channel.transport.stopReading()
    channel = Channel(read.append, lambda: losses.append(1))
    adopt_again(loop.reactor, again, channel, unread)
    peer.send(message[11:])
    loop.until(lambda: read)
    assert read == [Message("log", {}, b"cut in two")]
    assert channel.send("commit")
    loop.turn()
    frames = Frames()
    assert [kind for kind, *_ in frames.feed(peer.recv(1 << 16))] == ["hello", "commit"]
    end.channel.transport.startReading()
    peer.close()
    loop.until(lambda: losses and end.losses)


def test_what_it_says_is_json(loop: Loop) -> None:
    framed = frame("log", {"text": "ö"}, b"blob", 0)
    length = int.from_bytes(framed[:4], "big")
    assert orjson.loads(framed[8 : 8 + length]) == {"text": "ö", "kind": "log", "descriptors": 0}
    assert framed[8 + length :] == b"blob"
    assert channel_module.HELLO == "hello"
