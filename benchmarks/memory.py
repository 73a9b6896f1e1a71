"""What a serving process holds: with nothing connected, and for each idle connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.cases import HELD
from benchmarks.rounds import Contender

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PER_ADDRESS = 5000
"""Connections from one loopback address; a dozen thousand would come near the end of its ports."""

IP_BIND_ADDRESS_NO_PORT = 24
"""From linux/in.h: the port is chosen by connect(), which need not search for one that is quite free."""

IDLE_GOAL = 60 * 1024 * 1024
CONNECTION_GOAL = 12 * 1024


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Bytes resident of a contender's serving process."""

    name: str
    idle: int
    held: int
    connections: int

    @property
    def each(self) -> float:
        """Bytes for each idle connection."""
        return (self.held - self.idle) / self.connections


def _connected(port: int, number: int) -> socket.socket:
    """Open a connection and have one request answered on it: idle, as a kept-alive one is."""
    connection = socket.socket()
    connection.settimeout(10.0)
    connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    connection.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
    connection.connect(("127.0.0.1", port))
    connection.sendall(REQUEST)
    if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"connection {number} was not answered 200")
    return connection


@contextmanager
def held(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Hold so many idle connections."""
    connections: list[socket.socket] = []
    try:
        connections.extend(_connected(port, number) for number in range(count))
        yield connections
    finally:
        for connection in connections:
            connection.close()


def measure_memory(contender: Contender, count: int = HELD) -> MemoryRow:
    """Weigh a contender that has served nothing yet, then with ``count`` connections held."""
    idle = contender.program.resident_bytes()
    with held(contender.port, count):
        return MemoryRow(contender.name, idle, contender.program.resident_bytes(), count)
