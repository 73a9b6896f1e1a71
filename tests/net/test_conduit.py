"""Bytes from socket to socket through the pipe: all of them, in order, whatever the sockets take."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from tests.net.loop import reset
from twistedgate.net.conduit import PASSED_SIZE, Conduit

MUCH = bytes(range(256)) * 16 * 1024


@pytest.fixture
def conduit() -> Iterator[Conduit]:
    conduit = Conduit()
    yield conduit
    conduit.close()


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection, neither of which waits."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


@pytest.fixture
def pairs() -> Iterator[tuple[socket.socket, socket.socket, socket.socket, socket.socket]]:
    """The sockets of a sender and where they are read, of a receiver and where they are written."""
    sockets = (*make_pair(), *make_pair())
    yield sockets
    for one in sockets:
        one.close()


Pairs = tuple[socket.socket, socket.socket, socket.socket, socket.socket]


def test_what_is_pulled_is_pushed(conduit: Conduit, pairs: Pairs) -> None:
    sender, source, target, receiver = pairs
    sender.send(b"hello")
    assert conduit.pull(source.fileno(), 100) == 5
    assert conduit.push(target.fileno(), 5) == 5
    assert receiver.recv(100) == b"hello"


def test_no_more_is_pulled_than_was_asked_for(conduit: Conduit, pairs: Pairs) -> None:
    sender, source, target, receiver = pairs
    sender.send(b"hello, you")
    assert conduit.pull(source.fileno(), 5) == 5
    conduit.push(target.fileno(), 5)
    assert receiver.recv(100) == b"hello"
    assert source.recv(100) == b", you"


def test_nothing_is_pulled_where_nothing_is_and_where_nothing_will_come(
    conduit: Conduit, pairs: Pairs
) -> None:
    sender, source, _, _ = pairs
    assert conduit.pull(source.fileno(), 100) == 0
    sender.close()
    assert conduit.pull(source.fileno(), 100) == 0
    assert source.recv(1) == b""


def test_what_is_wrong_with_a_source_is_left_to_whoever_reads(conduit: Conduit, pairs: Pairs) -> None:
    sender, source, target, receiver = pairs
    reset(sender)
    assert conduit.pull(source.fileno(), 100) == 0
    receiver.send(b"hello")
    assert conduit.pull(target.fileno(), 100) == 5
    assert conduit.drain(5) == b"hello"


def test_what_a_socket_does_not_take_is_drained_in_order(conduit: Conduit, pairs: Pairs) -> None:
    sender, source, target, receiver = pairs
    left = MUCH
    expected = b""
    sent = taken = 0
    while sent == taken:
        left = left[sender.send(left) :]
        taken = conduit.pull(source.fileno(), PASSED_SIZE)
        assert 0 < taken <= PASSED_SIZE
        sent = conduit.push(target.fileno(), taken)
        expected += MUCH[len(expected) : len(expected) + sent]
    rest = conduit.drain(taken - sent)
    assert len(rest) == taken - sent
    assert rest == MUCH[len(expected) : len(expected) + len(rest)]
    receiver.settimeout(10)
    received = b""
    while len(received) < len(expected):
        received += receiver.recv(1 << 20)
    assert received == expected
    # the pipe is empty again
    receiver.send(b"back")
    assert conduit.pull(target.fileno(), 100) == 4
    assert conduit.push(source.fileno(), 4) == 4
    sender.settimeout(10)
    assert sender.recv(100) == b"back"


def test_a_target_that_is_gone_takes_nothing_and_nothing_is_lost(conduit: Conduit, pairs: Pairs) -> None:
    sender, source, target, receiver = pairs
    sender.send(b"hello")
    reset(receiver)
    assert conduit.pull(source.fileno(), 100) == 5
    assert conduit.push(target.fileno(), 5) == 0
    assert conduit.drain(5) == b"hello"


def test_where_the_system_does_not_pass_bytes_on_it_is_not_asked_again(
    conduit: Conduit, pairs: Pairs
) -> None:
    sender, source, _, _ = pairs
    unfit = os.eventfd(0)
    try:
        assert conduit.pull(unfit, 100) == 0
    finally:
        os.close(unfit)
    sender.send(b"hello")
    assert conduit.pull(source.fileno(), 100) == 0
    assert source.recv(100) == b"hello"


def test_a_pipe_that_was_closed_is_opened_when_it_is_needed(conduit: Conduit, pairs: Pairs) -> None:
    sender, source, target, receiver = pairs
    for text in (b"one", b"two"):
        sender.send(text)
        assert conduit.pull(source.fileno(), 100) == 3
        assert conduit.push(target.fileno(), 3) == 3
        assert receiver.recv(100) == text
        conduit.close()
