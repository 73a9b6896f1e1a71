"""How many connections this process holds, and when it stops accepting more.

Twisted alone accepts and closes when descriptors run out.  Here accepting pauses before that, at
``max_connections`` or at three quarters of the descriptors (nine tenths with the connections to targets), and
goes on when a connection has ended; what waits meanwhile waits in the kernel's queue.  It pauses, too, for
other processes that accept on the same addresses and have fewer connections.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

DESCRIPTORS_USED = 0.9
"""The share of the descriptors for connections; the rest is for logs, probes, names and the operator."""

CLIENTS_SHARE = 0.75
"""The share that clients alone may take: whoever is let in wants a connection to a target."""

FEWEST = 4
"""Connections that are always allowed: a gateway that accepts nothing is of no use."""

BATCH = 16
"""Connections accepted in one turn at most: no crowd keeps those that are served waiting."""

NO_ADDRESS = "unix:"
"""Stands for the address of whoever comes by a unix socket: many, who have no share together."""

TOLD_EVERY = 10.0
"""Seconds in which a pause is told once: at the limit, accepting pauses and goes on with each connection."""

_log = Logger()


class Accepting(Protocol):
    """Something that accepts connections."""

    def pause_accepting(self) -> None:
        """Accept no more for now."""

    def resume_accepting(self) -> None:
        """Accept again."""

    def has_waiting(self) -> bool:
        """Whether a connection waits to be accepted."""


class Others(Protocol):
    """Other processes that accept on the same addresses."""

    def tell(self, open_count: int, accepts: bool) -> None:
        """Take how many connections this process has, and whether it would accept more."""

    def room(self) -> int:
        """Return how many more connections they leave to this process now."""

    def look_again(self, has_waiting: Callable[[], bool], check: Callable[[], None]) -> None:
        """Call ``check`` in a moment: they left nothing, and it changes without a word."""


class ConnectionCounts(Protocol):
    """Who counts what becomes of connections."""

    def accepted(self) -> None:
        """One was accepted."""

    def limit_hit(self, limit: str) -> None:
        """One was refused, or has to wait, for the option of that name."""


class NoCounts:
    """Where nobody counts."""

    def accepted(self) -> None:
        """One was accepted."""

    def limit_hit(self, limit: str) -> None:
        """One was refused, or has to wait."""


class NoOthers:
    """Where one process serves alone."""

    def tell(self, open_count: int, accepts: bool) -> None:
        """Nobody wants to know."""

    def room(self) -> int:
        """Everything is this process's."""
        return BATCH

    def look_again(self, has_waiting: Callable[[], bool], check: Callable[[], None]) -> None:
        """Nothing changes."""


class Capacity:
    """The connections of all listeners of one process."""

    def __init__(
        self,
        descriptors: int,
        in_use: int,
        upstream_connections: Callable[[], int],
        others: Others | None = None,
        counts: ConnectionCounts | None = None,
    ) -> None:
        """``descriptors`` is the limit of the process, ``in_use`` what it needs besides connections.

        ``upstream_connections`` counts the connections to targets; ``others`` are processes that serve, too.
        """
        self.now: Callable[[], float] = time.monotonic
        self._told = -math.inf
        self._is_told = False
        self._most = max(int(descriptors * DESCRIPTORS_USED) - in_use, FEWEST)
        self._most_clients = max(int(descriptors * CLIENTS_SHARE) - in_use, FEWEST)
        self._upstream_connections = upstream_connections
        self._others = NoOthers() if others is None else others
        self._counts = NoCounts() if counts is None else counts
        self._listeners: list[Accepting] = []
        self._by_address: Counter[str] = Counter()
        self.max_connections = self._most
        self.max_per_address = 0
        self.open_count = 0
        self.is_full = False
        """Whether this process can have no more."""
        self.is_paused = False
        """Whether nothing is accepted now: it is full, or others are to have the next ones."""

    def configure(self, max_connections: int, max_per_address: int) -> None:
        """Take the limits of a configuration; 0 addresses means no limit for one."""
        self.max_connections = max_connections
        self.max_per_address = max_per_address
        self.check()

    def add(self, listener: Accepting) -> None:
        """Mind a listener that accepts connections from now on."""
        if listener not in self._listeners:
            self._listeners.append(listener)
            self.check()

    def remove(self, listener: Accepting) -> None:
        """Forget a listener."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self.check()

    def admit(self, address: str) -> bool:
        """Count a new connection; ``False`` if its address has its share already."""
        most = self.max_per_address
        if most and self._by_address[address] >= most and address != NO_ADDRESS:
            self._counts.limit_hit("max_connections_per_ip")
            return False
        self._counts.accepted()
        self.open_count += 1
        self._by_address[address] += 1
        self.check()
        return True

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self.open_count -= 1
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
        if self.is_paused:
            self.check()
        else:
            self._others.tell(self.open_count, bool(self._listeners))

    def room(self) -> int:
        """Return how many more connections may be accepted now, in one turn."""
        return min(self._own_room(), self._others.room())

    def _own_room(self) -> int:
        by_descriptors = self._most - self.open_count - self._upstream_connections()
        by_clients = min(self.max_connections, self._most_clients) - self.open_count
        return min(BATCH, by_clients, by_descriptors)

    def check(self) -> None:
        """Pause or resume accepting."""
        is_full = self._own_room() <= 0
        if is_full != self.is_full:
            self.is_full = is_full
            if is_full:
                self._counts.limit_hit("max_connections")
            self._tell(is_full)
        self._others.tell(self.open_count, bool(self._listeners) and not is_full)
        self._pause(is_full or self._others.room() <= 0)
        if self.is_paused and not is_full and self._listeners:
            self._others.look_again(self._has_waiting, self.check)

    def _pause(self, is_paused: bool) -> None:
        if is_paused == self.is_paused:
            return
        self.is_paused = is_paused
        for listener in self._listeners:
            if is_paused:
                listener.pause_accepting()
            else:
                listener.resume_accepting()

    def _has_waiting(self) -> bool:
        return any(listener.has_waiting() for listener in self._listeners)

    def _tell(self, is_full: bool) -> None:
        """Log a pause unless one was logged a moment ago, and the end of one that was."""
        if is_full and self.now() - self._told >= TOLD_EVERY:
            self._told = self.now()
            self._is_told = True
            _log.warn("accepting pauses: {count} connections are open", count=self.open_count)
        elif not is_full and self._is_told:
            self._is_told = False
            _log.info("accepting goes on: {count} connections are open", count=self.open_count)
