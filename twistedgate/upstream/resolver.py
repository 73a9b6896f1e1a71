"""Watches host names: each is looked up again and again, and whoever watches hears of changes.

A name is looked up again after 30 s, or sooner when its record lives shorter, but never within 5 s.  When a
lookup fails, the last good answer stays, one log line says so, and 5 s later it is tried again.  Watchers
of one name share its lookups.  A literal address is its own answer.  This module does not know how a name
is looked up, nor what the addresses are for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

INTERVAL = 30.0
"""Seconds after which a name is looked up again at the latest."""

SHORTEST_INTERVAL = 5.0
"""Seconds after which it is at the earliest, whatever its record says; and after a failure."""

LOOKUP_TIMEOUT = 15.0
"""Seconds that a lookup may take: the C library gives a dead name server two rounds of five."""

_log = Logger()

Changed = Callable[[tuple[str, ...]], object]
"""Called with all addresses, in order, when they are not the same as before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of a name, and for how many seconds they are good, if that is known."""

    addresses: tuple[str, ...]
    ttl: float | None = None


class Lookup(Protocol):
    """Finds the addresses of a name, without keeping the reactor waiting."""

    def __call__(self, host: str, /) -> Deferred[Answer]:
        """Look ``host`` up; the Deferred fails if there is no such name or no answer."""


class Watch:
    """Somebody's interest in one name."""

    def __init__(self, name: _Name | None, changed: Changed) -> None:
        self._name = name
        self.changed = changed

    def stop(self) -> None:
        """Hear no more of it; may be called twice."""
        name, self._name = self._name, None
        if name is not None:
            name.leave(self)


class Resolver:
    """Keeps the addresses of the names that somebody watches."""

    def __init__(self, reactor: IReactorTime, lookup: Lookup) -> None:
        self._reactor = reactor
        self._lookup = lookup
        self._names: dict[str, _Name] = {}

    def watch(self, host: str, changed: Changed) -> Watch:
        """Call ``changed`` with the addresses of ``host``: now if they are known, and when they change."""
        if _is_address(host):
            changed((host,))
            return Watch(None, changed)
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = _Name(host, self._reactor, self._lookup, self._forget)
        watch = Watch(name, changed)
        name.enter(watch)
        return watch

    def stop(self) -> None:
        """Look nothing up any more."""
        for name in list(self._names.values()):
            name.stop()

    def _forget(self, name: _Name) -> None:
        del self._names[name.host]

    def __repr__(self) -> str:
        return f"<Resolver {list(self._names.values())}>"


class _Name:
    """One name: its watchers, its last good answer, and the lookup to come or under way."""

    def __init__(
        self, host: str, reactor: IReactorTime, lookup: Lookup, forget: Callable[[_Name], None]
    ) -> None:
        self.host = host
        self._reactor = reactor
        self._lookup = lookup
        self._forget = forget
        self._watches: list[Watch] = []
        self._addresses: tuple[str, ...] = ()
        self._trouble = ""
        self._is_stopped = False
        self._next: IDelayedCall | None = None
        self._running: Deferred[Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.host} {', '.join(self._addresses) or 'unknown'}{self._trouble and ' (failing)'}>"

    def enter(self, watch: Watch) -> None:
        self._watches.append(watch)
        if self._addresses:
            watch.changed(self._addresses)
        elif self._next is None and self._running is None:
            self._look()

    def leave(self, watch: Watch) -> None:
        self._watches.remove(watch)
        if not self._watches:
            self.stop()

    def stop(self) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        self._forget(self)
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._running is not None:
            self._running.cancel()

    def _look(self) -> None:
        self._next = None
        self._running = looking = self._lookup(self.host)
        looking.addTimeout(LOOKUP_TIMEOUT, self._reactor)
        looking.addCallback(_refuse_none)
        looking.addCallbacks(self._found, self._failed)
        looking.addErrback(
            lambda failure: _log.failure("Addresses of {host} not taken", failure, host=self.host)
        )

    def _found(self, answer: Answer) -> None:
        if self._is_stopped:
            return
        self._schedule(_interval(answer.ttl))
        if self._trouble:
            self._trouble = ""
            _log.info("The name {host} can be looked up again.", host=self.host)
        addresses = tuple(sorted(set(answer.addresses)))
        if addresses != self._addresses:
            self._addresses = addresses
            for watch in list(self._watches):
                # A watcher may have stopped another.
                if watch in self._watches:
                    watch.changed(addresses)

    def _failed(self, failure: Failure) -> None:
        if self._is_stopped:
            return
        self._schedule(SHORTEST_INTERVAL)
        trouble = "no answer in time" if failure.check(GivenUp) else failure.getErrorMessage()
        if trouble != self._trouble:
            self._trouble = trouble
            _log.warn(
                "The name {host} cannot be looked up ({trouble}) and is tried again; its addresses: {kept}.",
                host=self.host,
                trouble=trouble,
                kept=", ".join(self._addresses) or "not known yet",
            )

    def _schedule(self, delay: float) -> None:
        self._running = None
        self._next = self._reactor.callLater(delay, self._look)


def _refuse_none(answer: Answer) -> Answer:
    if not answer.addresses:
        raise LookupError("it has no addresses")
    return answer


def _interval(ttl: float | None) -> float:
    return INTERVAL if ttl is None else min(INTERVAL, max(SHORTEST_INTERVAL, ttl))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
