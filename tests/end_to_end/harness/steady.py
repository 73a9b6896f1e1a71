"""Clients that ask all the time, over connections that they keep as long as they may."""

from __future__ import annotations

import threading
from types import TracebackType

from tests.end_to_end.harness.answers import Cut
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.waiting import PATIENCE, until


class Steady:
    """Some clients, each a thread; what is not answered 200 by the request's own target is ``wrong``."""

    def __init__(self, daemon: Daemon, clients: int = 2) -> None:
        self.wrong: list[object] = []
        self.served = [0] * clients
        self._daemon = daemon
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[place]) for place in range(clients)]

    def __enter__(self) -> Steady:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        if error is None:
            assert self.wrong == []

    def go_on(self) -> None:
        """Return when each client has been served once more."""
        before = list(self.served)
        until(
            lambda: self.wrong or all(now > then for now, then in zip(self.served, before, strict=True)),
            "every client is served",
        )

    def _run(self, place: int) -> None:
        try:
            while not self._stop.is_set():
                with self._daemon.connect() as client:
                    self._ask(client, place)
        except (Cut, OSError) as error:
            self.wrong.append(error)

    def _ask(self, client: Client, place: int) -> None:
        """Ask until the connection ends by the server's word."""
        while not self._stop.is_set():
            target = f"/steady/{place}/{self.served[place]}"
            answer = client.get(target)
            self.served[place] += 1
            if (answer.status, answer.value("X-Target")) != (200, target):
                self.wrong.append(answer)
            if answer.closes:
                return
