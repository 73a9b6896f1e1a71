"""Scripts of an upstream that keep requests waiting, and count how many wait at once."""

from __future__ import annotations

import threading

from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens


class Held:
    """Keeps each request waiting until it is let go; ``most`` is how many waited at the same time."""

    def __init__(self, body: bytes = b"in peace") -> None:
        self.go_on = threading.Event()
        self.most = 0
        self._body = body
        self._inside = 0
        self._lock = threading.Lock()

    def __call__(self, visit: Visit) -> None:
        """Answer a request once it may be answered."""
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        try:
            happens(self.go_on, "the held request may end")
        finally:
            with self._lock:
                self._inside -= 1
        visit.answer(200, self._body)
