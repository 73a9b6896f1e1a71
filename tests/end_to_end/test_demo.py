"""The demo does what it says: each line that it prints works, and Ctrl-C is one clean stop."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.harness.client import Client, request
from tests.end_to_end.harness.daemon import environment, in_flight
from tests.end_to_end.harness.servers import free_ports
from tests.end_to_end.harness.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parent.parent.parent
TO_TRY = re.compile(r"^    ((?:job=|curl ).+)$", re.MULTILINE)
END_OF_LINES = "Ctrl-C stops everything."
CTRL_C = b"\x03"
END_OF_ONE = "\n--\n"
NEXT = "\nprintf '\\n--\\n'\n"
SHOWN = "{{ {}\n}} 2>&1"

IN_A_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
"""Runs a program as the terminal's own, so that Ctrl-C reaches all that it has in the foreground."""


class Demo:
    """The script, in a terminal, by the interpreter that runs the tests, on free ports."""

    def __init__(self, folder: Path) -> None:
        self.said = ""
        self._changed = threading.Condition()
        self._has_ended = False
        self._terminal, inside = os.openpty()
        self.ports = free_ports(5)
        variables = {
            "DEMO_PYTHON": sys.executable,
            "DEMO_PORTS": " ".join(map(str, self.ports)),
            "TMPDIR": str(folder),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, str(ROOT / "scripts" / "demo")],
            env=environment(variables),
            stdin=inside,
        )
        os.close(inside)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_until_said(self, text: str) -> None:
        """Return when the script, or one of its processes, has said this."""
        with self._changed:
            self._changed.wait_for(lambda: text in self.said or self._has_ended, PATIENCE)
        assert text in self.said, self.said

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._terminal, key)

    def end(self) -> int:
        """Return how the script ended; it is ended with force if it does not end."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self._thread.join(PATIENCE)
            os.close(self._terminal)

    def _read(self) -> None:
        while piece := self._piece():
            with self._changed:
                self.said += piece
                self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _piece(self) -> str:
        try:
            return os.read(self._terminal, 65536).decode().replace("\r\n", "\n")
        except OSError:
            # so ends a terminal that nobody has open any more
            return ""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """The demo, once it has printed what to try."""
    started = Demo(tmp_path)
    try:
        started.wait_until_said(END_OF_LINES)
        yield started
    finally:
        if started.process.poll() is None:
            started.process.terminate()
            started.end()


def test_every_line_that_it_prints_works_and_ctrl_c_is_one_clean_stop(demo: Demo, tmp_path: Path) -> None:
    gateway, operator, *_ = demo.ports
    orders, echo, docs, status, accepted, stands, result = typed(TO_TRY.findall(demo.said))
    assert orders.startswith("HTTP/1.1 200 ")
    assert '"path": "/orders/7"' in orders
    assert echo.startswith("HTTP/1.1 200 ")
    assert '"body": "hello"' in echo
    assert docs.startswith("HTTP/1.1 308 ")
    assert set(json.loads(status)["upstreams"]) == {"orders"}
    assert accepted.startswith("HTTP/1.1 202 ")
    assert stands.startswith("HTTP/1.1 200 ")
    assert '"route":"reports"' in stands
    assert result.startswith("HTTP/1.1 200 ")
    assert '"path": "/reports/7"' in result
    with Client(gateway) as client:
        client.send(request("POST", "/echo", "Content-Length: 5"))
        until(lambda: in_flight(said_by(operator)), "a request is under way")
        demo.press(CTRL_C)
        demo.wait_until_said("draining 1 connections")
        client.send(b"hello")
        assert b'"body": "hello"' in client.answer().body
    assert demo.end() == 0
    assert demo.said.count("shutting down: not ready any more") == 1
    assert "stopping at once" not in demo.said
    assert list(tmp_path.iterdir()) == []


def said_by(operator: int) -> object:
    """Return what the gateway says of itself."""
    with Client(operator) as client:
        answer = client.get("/status", f"Host: 127.0.0.1:{operator}", "Connection: close")
    return json.loads(answer.body)


def typed(lines: list[str]) -> list[str]:
    """Return what each of the printed lines shows, typed one after the other into another terminal."""
    # what a line shows on its way into a variable; curl by itself would draw its progress there
    script = NEXT.join(SHOWN.format(line) if line.startswith("job=") else line for line in lines)
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment({}),
        capture_output=True,
        timeout=PATIENCE,
        check=True,
        text=True,
    )
    return done.stdout.split(END_OF_ONE)
