"""A Redis of our own: on a port and in a folder that nobody else has."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from benchmarks.processes import Launch, Program, free_port, wait_for_port

KEEPING = ("--appendonly", "yes", "--appendfsync", "everysec")
"""What a Redis that is to keep jobs is run with."""


class Redis:
    """A redis-server that can be stopped in each of the ways in which one stops."""

    def __init__(self, folder: Path, core: int | None, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("Redis is not installed: apt-get install redis-server")
        self.port = free_port()
        self.folder = folder
        self._core = core
        place = "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)
        self._command = [program, *place, "--save", "", *options]
        self.program = self.start()

    @property
    def address(self) -> str:
        """Its address, as the gateway and its peers want it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Program:
        """Start it; it answers when this returns."""
        self.program = Program("redis", Launch(self._command), self.folder, self._core)
        wait_for_port(self.port, self.program)
        # a port is there before what was kept has been read
        while not self.ask("PING").startswith(b"+PONG"):
            continue
        return self.program

    def ask(self, *command: str) -> bytes:
        """Send a command, and return the first bytes of the answer."""
        words = [f"${len(word)}\r\n{word}\r\n" for word in command]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(f"*{len(words)}\r\n{''.join(words)}".encode())
            return connection.recv(1 << 16)
