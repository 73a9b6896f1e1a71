"""Addresses are opened as they were asked for, with what accepted sockets inherit, and closed again."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.error import CannotListenError

from tests.net.loop import Loop, a_loop
from twistedgate.config.model import ListenerConfig
from twistedgate.config.notation import endpoint
from twistedgate.config.values import Surroundings
from twistedgate.net.binding import Binding, bind


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


def open_address(loop: Loop, text: str) -> Binding:
    return bind(
        loop.reactor,
        ListenerConfig(name="main", endpoint=endpoint.read(text, Surroundings())),
        loop.factory(),
    )


def stop(loop: Loop, binding: Binding) -> None:
    stopped: list[object] = []
    binding.stop().addBoth(stopped.append)
    loop.until(lambda: stopped)
    assert stopped == [None]


def test_a_port_of_the_systems_choice_is_told(loop: Loop) -> None:
    binding = open_address(loop, "tcp:0:interface=127.0.0.1")
    assert binding.port > 0
    assert binding.address == f"tcp:127.0.0.1:{binding.port}"
    client = loop.connect(binding.port)
    loop.until(lambda: loop.accepted)
    stop(loop, binding)
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", binding.port), timeout=10)


def test_what_every_connection_needs_is_inherited(loop: Loop) -> None:
    binding = open_address(loop, "tcp:0:interface=127.0.0.1")
    loop.connect(binding.port)
    loop.until(lambda: loop.accepted)
    accepted = loop.accepted[0].transport.socket
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    stop(loop, binding)


def test_every_address_is_meant_where_none_is_named(loop: Loop) -> None:
    binding = open_address(loop, "tcp:0")
    assert binding.address == f"tcp:0.0.0.0:{binding.port}"
    stop(loop, binding)


def test_an_address_of_ipv6_stands_in_brackets(loop: Loop) -> None:
    binding = open_address(loop, r"tcp6:0:interface=\:\:1")
    assert binding.address == f"tcp:[::1]:{binding.port}"
    stop(loop, binding)


def test_an_address_that_is_taken_is_refused(loop: Loop) -> None:
    binding = open_address(loop, "tcp:0:interface=127.0.0.1")
    with pytest.raises(CannotListenError):
        open_address(loop, f"tcp:{binding.port}:interface=127.0.0.1")
    stop(loop, binding)


def test_a_unix_socket_has_its_mode_and_no_port(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    binding = open_address(loop, f"unix:{path}")
    assert (binding.address, binding.port) == (f"unix:{path}", 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.send(b"hello")
        loop.until(lambda: loop.accepted and loop.accepted[0].received == b"hello")
    loop.until(lambda: loop.accepted[0].events)
    stop(loop, binding)
    assert not path.exists()


def test_a_unix_socket_that_somebody_uses_is_not_taken(loop: Loop, tmp_path: Path) -> None:
    binding = open_address(loop, f"unix:{tmp_path / 'gate.sock'}")
    with pytest.raises(CannotListenError):
        open_address(loop, f"unix:{tmp_path / 'gate.sock'}")
    stop(loop, binding)


def test_a_unix_socket_that_was_left_behind_is_taken(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    Path(f"{path}.lock").symlink_to("999999999")
    stop(loop, open_address(loop, f"unix:{path}"))


@pytest.mark.parametrize("which", ["index=0", "name=web"])
def test_a_socket_that_systemd_did_not_open_is_refused(loop: Loop, which: str) -> None:
    with pytest.raises(CannotListenError, match="no such socket"):
        open_address(loop, f"systemd:domain=INET:{which}")


SCRIPT = """
import os, socket, sys
opened = socket.create_server(("127.0.0.1", 0))
number = opened.getsockname()[1]
if opened.fileno() != 3:
    os.dup2(opened.fileno(), 3)
    opened.close()
opened.detach()
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web")

from tests.net.loop import Loop
from tests.net.test_binding import open_address, stop

loop = Loop()
binding = open_address(loop, "systemd:domain=INET:index=0")
assert binding.port == number
client = loop.connect(binding.port)
client.send(b"hello")
loop.until(lambda: loop.accepted and loop.accepted[0].received == b"hello")
print(binding.address.rpartition(":")[0], type(loop.accepted[0].transport).__name__)
stop(loop, binding)
loop.close()
"""


def test_a_socket_that_systemd_opened_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
        timeout=50,
    )
    assert (done.stdout.strip(), done.returncode) == ("tcp:127.0.0.1 EagerServer", 0), done.stderr
