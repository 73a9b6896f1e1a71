"""An upstream that records every byte it is sent and answers as it is told.

Rules: what a connection received is there in full once ``settle`` returns; every request is read
strictly, and what is not clean HTTP/1.1 is a complaint that fails the test.  Scripts are plain functions that
run on the connection's own thread, so they wait for events and never for time.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

from tests.end_to_end.harness.link import Gone, Link, shut
from tests.end_to_end.harness.visit import Unclean, Visit
from tests.end_to_end.harness.waiting import PATIENCE, is_readable, until

Script = Callable[[Visit], None]
"""Answers one request; its head has been read, its body has not."""


def echo(visit: Visit) -> None:
    """Answer 200 with the request's own body, and its target in a field."""
    body = visit.read_body()
    visit.answer(200, body or b"ok\n", f"X-Target: {visit.target}")


class Recorder:
    """A listening socket whose connections are recorded; see the module."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.changed = threading.Condition()
        self.links: list[Link] = []
        self.visits: list[Visit] = []
        self.complaints: list[str] = []
        self._scripts: dict[str, Script] = {}
        self._default: Script = echo
        self._threads: list[threading.Thread] = []
        self._tls = tls
        self._listening = _listen()
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on(self, path: str, script: Script) -> None:
        """Answer requests for ``path`` (without the query) by ``script`` from now on."""
        self._scripts[path] = script

    def otherwise(self, script: Script) -> None:
        """Answer requests that no path of ``on`` names by ``script`` from now on."""
        self._default = script

    def visit(self, path: str, nth: int = 0) -> Visit:
        """Return the n-th request for ``path``, waiting until it has arrived."""
        return until(lambda: self.visits_to(path)[nth : nth + 1], f"request {nth} for {path} arrives")[0]

    def visits_to(self, path: str) -> list[Visit]:
        """Return the requests for ``path`` that have arrived."""
        with self.changed:
            return [visit for visit in self.visits if visit.path == path]

    def mark(self) -> dict[int, int]:
        """Return a mark for ``since``."""
        self.settle()
        with self.changed:
            return {link.number: len(link.raw) for link in self.links}

    def since(self, mark: dict[int, int]) -> dict[int, bytes]:
        """Return what each connection received after ``mark``, connections without any left out."""
        self.settle()
        with self.changed:
            new = {link.number: bytes(link.raw[mark.get(link.number, 0) :]) for link in self.links}
        return {number: raw for number, raw in new.items() if raw}

    def settle(self) -> None:
        """Return when every byte that the kernel holds for us has been recorded."""
        until(self._is_settled, "all connections are read empty")

    def close(self) -> None:
        """End every connection and every thread."""
        shut(self._listening)
        self._threads[0].join(PATIENCE)
        for link in self.links:
            if not link.ended.is_set():
                shut(link.socket)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listening.close()

    def _is_settled(self) -> bool:
        with self.changed:
            coming = is_readable(self._listening)
            return not coming and not any(link.has_unread() for link in self.links)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            is_readable(self._listening, None)
            with self.changed:
                try:
                    connection, _ = self._listening.accept()
                except BlockingIOError:  # the client left before we came to it
                    continue
                except OSError:
                    return
                connection.setblocking(True)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    connection = self._tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                link = Link(connection, len(self.links), self.changed)
                self.links.append(link)
            self._start(_Service(self, link).run)

    def answer_next(self, link: Link) -> None:
        """Read the next request of a connection and have its script answer it."""
        visit = Visit(link)
        with self.changed:
            self.visits.append(visit)
            self.changed.notify_all()
        self._scripts.get(visit.path, self._default)(visit)
        if not link.ended.is_set():
            visit.read_body()


class _Service:
    """Answers the requests of one connection, one after the other."""

    def __init__(self, recorder: Recorder, link: Link) -> None:
        self._recorder = recorder
        self._link = link

    def run(self) -> None:
        try:
            self._link.start()
            while not self._link.ended.is_set():
                self._recorder.answer_next(self._link)
        except Gone:
            pass
        except Unclean as unclean:
            self._recorder.complaints.append(str(unclean))
        finally:
            if not self._link.ended.is_set():
                self._link.close()
            self._link.socket.close()


def _listen() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    listening.setblocking(False)
    return listening
