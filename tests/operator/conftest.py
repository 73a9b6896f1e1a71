"""A gateway that says what the test wants, on real sockets, and the command line in front of it."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0


class Spokesman:
    """Answers every request as it was told to, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fields: list[dict[str, str]] = []
        self.answers: list[tuple[int, Any]] = []
        self.raw = b""
        self.bytes_of = 0
        """What is answered as bytes is announced to be that long, if that is not 0."""

    def say(self, document: Any, status: int = 200) -> None:
        """Answer the next request so; the last answer stays."""
        self.answers.append((status, document))

    def next(self) -> tuple[int, bytes]:
        """Return the next answer."""
        status, document = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return status, document if isinstance(document, bytes) else json.dumps(document).encode()


class _Request(BaseHTTPRequestHandler):
    """One request to a ``Spokesman``."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        spokesman: Spokesman = self.server.spokesman
        spokesman.asked.append((self.command, self.path))
        spokesman.fields.append({name.lower(): value for name, value in self.headers.items()})
        if spokesman.raw:
            self.wfile.write(spokesman.raw)
            self.close_connection = True
            return
        is_bytes = isinstance(spokesman.answers[0][1], bytes)
        status, body = spokesman.next()
        self.send_response(status)
        if is_bytes:
            self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str((is_bytes and spokesman.bytes_of) or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = is_bytes

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""

    def address_string(self) -> str:
        return ""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a ``Spokesman``."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, spokesman: Spokesman) -> None:
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.spokesman = spokesman

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none."""


class House:
    """Where the spokesman can be found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spokesman = Spokesman()
        self._servers: list[Server] = []

    def listen(self, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port of the loopback interface, and return it."""
        listening = socket.create_server(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        self._serve(listening if tls is None else tls.wrap_socket(listening, server_side=True))
        return port

    def listen_at(self, path: Path) -> str:
        """Listen on a unix socket, and return its path."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        self._serve(listening)
        return str(path)

    def configure(self, *sections: str) -> str:
        """Write a configuration whose admin listener is the spokesman, and return its path."""
        file = self.folder / "gateway.ini"
        path = self.folder / "admin.sock"
        if not path.exists():
            self.listen_at(path)
        file.write_text("".join(sections) + f"[listener:admin]\nendpoint = unix:{path}\nserve = admin\n")
        return str(file)

    def _serve(self, listening: socket.socket) -> None:
        self._servers.append(Server(listening, self.spokesman))
        threading.Thread(target=self._servers[-1].serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """Take the place of the check that looks for Deferreds after each test: there is no reactor here."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()
