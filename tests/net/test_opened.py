"""Sockets are opened as they were asked for, and closing one leaves nothing behind."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from twisted.internet.error import CannotListenError

from twistedgate.config.model import ListenerConfig
from twistedgate.config.notation import endpoint
from twistedgate.config.values import Surroundings
from twistedgate.net.opened import Opened, User, open_listening


@pytest.fixture
def opening() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def open_at(opening: ExitStack, text: str, mode: int = 0o660) -> Opened:
    """Open an address, and close it after the test."""
    config = ListenerConfig("main", endpoint=endpoint.read(text, Surroundings()), mode=mode)
    opened = open_listening(config)
    opening.callback(opened.close)
    return opened


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:"),
        ("tcp:0", "tcp:0.0.0.0:"),
        (r"tcp6:0:interface=\:\:1", "tcp:[::1]:"),
        ("tcp6:0", "tcp:[::]:"),
    ],
)
def test_a_port_listens_where_it_was_asked_to(opening: ExitStack, text: str, start: str) -> None:
    opened = open_at(opening, text)
    assert opened.address.startswith(start)
    number = int(opened.address.removeprefix(start))
    with socket.create_connection(("::1" if "[" in start else "127.0.0.1", number), timeout=10):
        accepted, _ = opened.socket.accept()
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    accepted.close()
    assert not opened.socket.getblocking()
    assert not opened.socket.get_inheritable()


def test_a_port_that_is_taken_is_refused(opening: ExitStack) -> None:
    opened = open_at(opening, "tcp:0:interface=127.0.0.1")
    number = opened.address.rpartition(":")[2]
    with pytest.raises(CannotListenError, match="in use"):
        open_at(opening, f"tcp:{number}:interface=127.0.0.1")


def test_a_path_has_its_mode_and_goes_with_its_socket(opening: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    opened = open_at(opening, f"unix:{path}", mode=0o600)
    assert (opened.address, opened.is_unix) == (f"unix:{path}", True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    opened.close()
    assert list(tmp_path.iterdir()) == []


def another_user() -> User:
    """Return somebody to whom this process may give its files."""
    return User(12345, 23456) if os.geteuid() == 0 else User(-1, os.getgroups()[-1])


def test_a_path_can_be_given_to_whom_the_process_becomes(opening: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    open_at(opening, f"unix:{path}")
    user = another_user()
    user.take(str(path))
    for one in tmp_path.iterdir():
        status = one.lstat()
        assert (status.st_uid, status.st_gid) == (
            status.st_uid if user.user == -1 else user.user,
            user.group,
        )
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_not_there_is_given_to_nobody(tmp_path: Path) -> None:
    another_user().take(str(tmp_path / "gate.sock"))


def test_a_path_that_somebody_uses_is_refused(opening: ExitStack, tmp_path: Path) -> None:
    open_at(opening, f"unix:{tmp_path / 'gate.sock'}")
    with pytest.raises(CannotListenError, match="another process listens there"):
        open_at(opening, f"unix:{tmp_path / 'gate.sock'}")
    assert (tmp_path / "gate.sock").exists()


def test_a_path_that_was_left_behind_is_taken(opening: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    Path(f"{path}.lock").symlink_to("999999999")
    open_at(opening, f"unix:{path}")


def test_but_nothing_that_is_no_socket(opening: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    path.write_text("precious")
    Path(f"{path}.lock").symlink_to("999999999")
    with pytest.raises(CannotListenError):
        open_at(opening, f"unix:{path}")
    assert path.read_text() == "precious"
    # it can be had once that is out of the way
    path.unlink()
    open_at(opening, f"unix:{path}")


def test_a_socket_that_systemd_did_not_open_is_refused(opening: ExitStack) -> None:
    with pytest.raises(CannotListenError, match="no such socket"):
        open_at(opening, "systemd:domain=INET:name=web")
