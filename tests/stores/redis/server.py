"""A Redis of the tests' own: a real server on a socket, which can be stopped, killed and started empty."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import hiredis

from twistedgate.config.redis_address import RedisAddress

WAIT = 20.0
"""Seconds that a server may take to start, and a command to be answered."""


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


class RedisServer:
    """A redis-server that listens in ``folder``; further arguments are those of its command line."""

    is_ready = "ready to accept connections"
    """What it says when it is."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.path = str(folder / "redis.sock")
        assert len(self.path) < 108, "the address of a socket is not longer (sun_path)"
        self.address = RedisAddress(path=self.path)
        plain = "--port", "0", "--unixsocket", self.path, "--dir", str(folder)
        self._command = ["redis-server", *plain, "--save", "", "--appendonly", "no", *arguments]
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it; it is ready when this returns."""
        ready = threading.Event()
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._process = process
        output = process.stdout
        assert output is not None

        def read() -> None:
            with output:
                for line in output:
                    if self.is_ready in line.lower():
                        ready.set()

        threading.Thread(target=read, daemon=True).start()
        if not ready.wait(WAIT):
            self.kill()
            raise AssertionError("redis-server does not start")

    def restart(self) -> None:
        """Kill it and start it, with nothing in it unless it keeps something on disk."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """Kill it; what it kept is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(WAIT)

    def freeze(self) -> None:
        """Let it be there and do nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)

    def ask(self, *command: str | int | bytes) -> Any:
        """Send it a command, and wait for the answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WAIT)
            connection.connect(self.path)
            return _ask(connection, *command)


def _ask(connection: socket.socket, *command: str | int | bytes) -> Any:
    connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]
    reader = hiredis.Reader()
    while (answer := reader.gets()) is False:
        reader.feed(connection.recv(65536))
    if isinstance(answer, Exception):
        raise answer
    return answer


class Sentinel(RedisServer):
    """A Sentinel on ``port`` that knows the master ``name`` on another port."""

    is_ready = "+monitor master"

    def __init__(self, folder: Path, port: int, name: str, master: int) -> None:
        settings = folder / f"sentinel-{port}.conf"
        settings.write_text(f"sentinel monitor {name} 127.0.0.1 {master} 1\n")
        self._command = [
            "redis-server",
            str(settings),
            "--sentinel",
            "--port",
            str(port),
            "--dir",
            str(folder),
        ]
        self._process = None
        self.start()
