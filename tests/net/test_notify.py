"""The other end of the socket is the test's: what comes is what systemd would read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import capturedLogs, formatEvent

from twistedgate.net.notify import LONGEST_STATUS, Notifier, unnotified


class Systemd:
    """Its end of the notify socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.address = address.replace("\0", "@")

    def read(self) -> str:
        """Return the next datagram."""
        return self.socket.recv(1 << 16).decode()

    def notifier(self, **more: str) -> Notifier:
        """Return what speaks to it."""
        return Notifier.from_environment({"NOTIFY_SOCKET": self.address, **more})


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify"))
    yield systemd
    systemd.socket.close()


def test_says_each_state_as_systemd_wants_it(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    assert notifier.ready()
    assert notifier.ready("3 listeners")
    assert notifier.stopping("until later")
    assert notifier.stopping()
    assert notifier.status("all is well")
    assert notifier.watchdog()
    assert [systemd.read() for _ in range(6)] == [
        "READY=1",
        "READY=1\nSTATUS=3 listeners",
        "STOPPING=1\nSTATUS=until later",
        "STOPPING=1",
        "STATUS=all is well",
        "WATCHDOG=1",
    ]


def test_a_reload_says_when_it_began(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    assert notifier.reloading()
    assert notifier.reloading()
    times = []
    for _ in range(2):
        state, time = systemd.read().split("\n")
        assert state == "RELOADING=1"
        times.append(int(time.removeprefix("MONOTONIC_USEC=")))
    assert times == sorted(times)


def test_an_abstract_name_is_one() -> None:
    systemd = Systemd(f"\0twistedgate-test-{os.getpid()}")
    assert systemd.address.startswith("@")
    assert systemd.notifier().ready()
    assert systemd.read() == "READY=1"
    systemd.socket.close()


def test_a_status_is_one_short_line(systemd: Systemd) -> None:
    systemd.notifier().status("refused:\nREADY=1\r\n" + "x" * 1000)
    said = systemd.read()
    assert said.startswith("STATUS=refused: READY=1 xxx")
    assert "\n" not in said
    assert len(said) == LONGEST_STATUS + len("STATUS=")


def test_any_text_can_be_said(systemd: Systemd) -> None:
    systemd.notifier().status("ö \udc80")
    assert systemd.read() == "STATUS=ö ?"


def test_without_a_socket_nothing_is_said() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.ready()
    assert not notifier.watchdog()
    assert notifier.watchdog_interval is None


def test_an_address_of_another_kind_is_told_once_and_left_alone() -> None:
    with capturedLogs() as logged:
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"})
    assert len(logged) == 1
    assert not notifier.ready()


def test_a_socket_that_is_gone_is_told_once(tmp_path: Path) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "nowhere")})
    with capturedLogs() as logged:
        assert not notifier.ready()
        assert not notifier.watchdog()
    (event,) = logged
    assert "systemd cannot be told READY=1" in formatEvent(event)
    systemd = Systemd(str(tmp_path / "nowhere"))
    assert notifier.watchdog()
    systemd.socket.close()
    with capturedLogs() as logged:
        assert not notifier.watchdog()
    assert len(logged) == 1


def test_a_path_that_is_too_long_raises_nothing() -> None:
    with capturedLogs() as logged:
        assert not Notifier.from_environment({"NOTIFY_SOCKET": "/" + "x" * 300}).ready()
    assert len(logged) == 1


def test_a_reader_that_reads_nothing_is_not_waited_for(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    with capturedLogs() as logged:
        taken = [notifier.status("x" * LONGEST_STATUS) for _ in range(5000)]
    assert taken[0]
    assert not taken[-1]
    assert len(logged) == 1


def test_no_descriptor_stays_open(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    before = sorted(Path("/proc/self/fd").iterdir())
    notifier.ready()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_PID": str(os.getpid())}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_is_asked(
    environ: dict[str, str], interval: float | None
) -> None:
    assert Notifier.from_environment(environ).watchdog_interval == interval


def test_children_have_nothing_to_say() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "PATH": "/bin"}
    assert unnotified(environ) == {"PATH": "/bin"}
    assert "NOTIFY_SOCKET" in environ


def test_a_socket_that_is_full_has_room_later(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    while notifier.watchdog():
        assert not notifier.is_behind
    assert notifier.is_behind
    systemd.read()
    assert notifier.ready()
    assert not notifier.is_behind
