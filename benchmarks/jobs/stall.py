"""An upstream that takes calls and never answers: so that only accepting is measured, nothing of running."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from benchmarks.jobs.contenders import CONCURRENCY

READ = 1 << 16


class Stall:
    """Counts the calls that it was sent, and holds their connections."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._held: list[socket.socket] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Stall:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() alone would leave the thread in accept()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for connection in self._held:
            connection.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listening.getsockname()[1]
        return port

    def wait_until_full(self, seconds: float = 60.0) -> None:
        """Return when as many calls are held as may be under way; raises ``RuntimeError`` otherwise."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._held) >= CONCURRENCY, seconds):
                raise RuntimeError(f"{len(self._held)} calls of {CONCURRENCY} came")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with self._changed:
                    self._held.append(connection)
                    self._changed.notify_all()
