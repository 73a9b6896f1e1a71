"""Whoever listens on a shared socket leaves it to the others when it stops."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.loop import Loop, a_loop
from twistedgate.config.model import ListenerConfig
from twistedgate.config.notation import endpoint
from twistedgate.config.values import Surroundings
from twistedgate.net.binding import bind
from twistedgate.net.opened import Opened, open_listening


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


def configured(text: str) -> ListenerConfig:
    """Return the options of a listener."""
    return ListenerConfig("main", endpoint=endpoint.read(text, Surroundings()))


def connect(opened: Opened) -> socket.socket:
    """Connect to what was opened."""
    client = socket.socket(opened.socket.family)
    client.settimeout(10)
    client.connect(opened.socket.getsockname())
    return client


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_socket_stays_with_its_queue(loop: Loop, tmp_path: Path, kind: str) -> None:
    config = configured("tcp:0:interface=127.0.0.1" if kind == "tcp" else f"unix:{tmp_path / 'gate.sock'}")
    opened = open_listening(config)
    binding = bind(loop.reactor, config, loop.factory(), opened)
    assert binding.address == opened.address
    assert binding.port == (opened.socket.getsockname()[1] if kind == "tcp" else 0)
    first = connect(opened)
    loop.until(lambda: loop.accepted)
    stopped: list[object] = []
    binding.stop().addBoth(stopped.append)
    loop.until(lambda: stopped)
    second = connect(opened)
    again = bind(loop.reactor, config, loop.factory(), opened)
    loop.until(lambda: len(loop.accepted) == 2)
    again.stop().addBoth(stopped.append)
    loop.until(lambda: len(stopped) == 2)
    assert stopped == [None, None]
    opened.close()
    for client in (first, second):
        client.close()
    assert list(tmp_path.iterdir()) == []
