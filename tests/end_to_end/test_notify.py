"""The daemon under systemd: this is the other end of its notify socket (sd_notify(3))."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.configuration import ini, route
from tests.end_to_end.harness.daemon import Launch
from tests.end_to_end.harness.waiting import PATIENCE

WORD = route("word", "/word", respond='200 "word"')
AS_WATCHED = ("sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh")
"""Starts a command as systemd does: the variable names the process."""


class Systemd:
    """Listens to what the service says, and knows who said it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(address.replace("@", "\0"))
        self._socket.settimeout(PATIENCE)
        self.senders: set[int] = set()

    def launch(self, **more: str) -> Launch:
        """Return how the service is started."""
        return Launch({"NOTIFY_SOCKET": self.address, **more}, AS_WATCHED)

    def hear(self) -> dict[str, str]:
        """Return the assignments of the next message."""
        message, ancillary, *_ = self._socket.recvmsg(1 << 16, 1 << 10)
        for _, _, credentials in ancillary:
            self.senders.add(struct.unpack("3i", credentials[:12])[0])
        return dict(line.split("=", 1) for line in message.decode().split("\n"))

    def hear_until(self, name: str) -> dict[str, str]:
        """Return the next message that assigns ``name``."""
        while name not in (said := self.hear()):
            pass
        return said

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify"))
    yield systemd
    systemd.close()


def test_says_what_it_does_over_its_life(start: Start, systemd: Systemd) -> None:
    daemon = start(WORD, launch=systemd.launch())
    assert systemd.hear() == {"STATUS": "waiting until it is known where the targets are"}
    assert systemd.hear() == {"READY": "1", "STATUS": "serving; listeners: 2, routes: 1"}
    with daemon.connect() as client:
        assert client.get("/word").body.strip() == b"word"
    daemon.reload(ini(WORD, route("more", "/more", respond="404")))
    said = systemd.hear()
    assert said.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert int(said["MONOTONIC_USEC"]) > 0
    said = systemd.hear()
    assert said["READY"] == "1"
    assert said["STATUS"].startswith("serving; listeners: 2, routes: 2; the last reload: ")
    assert "route:more" in said["STATUS"]
    daemon.signal(signal.SIGTERM)
    said = systemd.hear()
    assert said["STOPPING"] == "1"
    assert said["STATUS"].startswith("draining")
    assert daemon.wait() == 0
    assert systemd.senders == {daemon.pid}


def test_a_reload_that_is_refused_ends_too_and_the_status_says_why(start: Start, systemd: Systemd) -> None:
    daemon = start(WORD, launch=systemd.launch())
    systemd.hear_until("READY")
    daemon.reload(ini(WORD, "[route:broken]\npath = broken\n"))
    assert systemd.hear()["RELOADING"] == "1"
    said = systemd.hear()
    assert said["READY"] == "1"
    assert "the last reload: refused: " in said["STATUS"]
    assert "[route:broken]" in said["STATUS"]


def test_feeds_the_watchdog_as_long_as_it_answers(start: Start, systemd: Systemd) -> None:
    daemon = start(WORD, launch=systemd.launch(WATCHDOG_USEC="100000"))
    systemd.hear_until("READY")
    for _ in range(3):
        assert systemd.hear() == {"WATCHDOG": "1"}
    daemon.signal(signal.SIGTERM)
    systemd.hear_until("STOPPING")
    assert daemon.wait() == 0


def test_an_abstract_address_is_one_too(start: Start) -> None:
    systemd = Systemd(f"@twistedgate-{os.getpid()}")
    start(WORD, launch=systemd.launch())
    assert systemd.hear_until("READY")["READY"] == "1"
    systemd.close()


def test_nobody_has_to_listen(start: Start, tmp_path: Path) -> None:
    daemon = start(WORD, launch=Launch({"NOTIFY_SOCKET": str(tmp_path / "nowhere")}))
    daemon.wait_for_log("systemd cannot be told")
    with daemon.connect() as client:
        assert client.get("/word").status == 200
