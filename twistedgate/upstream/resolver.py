"""Watches host names: each is looked up again and again, and whoever watches hears of changes.

A name is looked up again after 30 s, or sooner when its record lives shorter, but never within 5 s.  When a
lookup fails, the last good answer stays, one log line says so, and 5 s later it is tried again.  Watchers
of one name share its lookups.  A literal address is its own answer.

A name is settled, once and for all, when it is known, when it is known not to exist, or 5 s after it was
first asked for: until then somebody may wait for it, and a lookup that failed is tried again after 1 s.
What an earlier program of the process knew of names is their last good answer.
This module does not know how a name is looked up, nor what the addresses are for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
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

FIRST_LOOKUP = 5.0
"""Seconds after which nobody waits any longer for a name to become known."""

FIRST_RETRY = 1.0
"""Seconds after which a lookup that failed is tried again, as long as the name may be waited for."""

LOOKUP_TIMEOUT = 15.0
"""Seconds that a lookup may take: the C library gives a dead name server two rounds of five."""

_log = Logger()

Changed = Callable[[tuple[str, ...]], object]
"""Called with all addresses, in order, when they are not the same as before."""

Settled = Callable[[], object]
"""Called once, when waiting for the name makes no sense any longer."""


class NoSuchName(OSError):
    """There is no such name, or it has no address: asked again a moment later, everybody says the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of a name, and for how many seconds they are good, if that is known."""

    addresses: tuple[str, ...]
    ttl: float | None = None


class Lookup(Protocol):
    """Finds the addresses of a name, without keeping the reactor waiting."""

    def __call__(self, host: str, /) -> Deferred[Answer]:
        """Look ``host`` up; the Deferred fails: with ``NoSuchName``, or else if nobody answers."""


class Watch:
    """Somebody's interest in one name."""

    def __init__(self, name: _Name | None, changed: Changed, settled: Settled) -> None:
        self._name = name
        self.changed = changed
        self.settled = settled

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
        self._recalled: dict[str, tuple[str, ...]] = {}

    def known(self) -> dict[str, tuple[str, ...]]:
        """Return the addresses of every name that is watched and known."""
        return {host: name.addresses for host, name in self._names.items() if name.addresses}

    def recall(self, known: Mapping[str, Iterable[str]]) -> None:
        """Take this for known of names that are not watched yet."""
        self._recalled = {host: tuple(addresses) for host, addresses in known.items()}

    def watch(self, host: str, changed: Changed, settled: Settled = lambda: None) -> Watch:
        """Call ``changed`` with the addresses of ``host``: now if they are known, and when they change."""
        if _is_address(host):
            changed((host,))
            settled()
            return Watch(None, changed, settled)
        name = self._names.get(host)
        if name is None:
            known = self._recalled.pop(host, ())
            name = self._names[host] = _Name(host, self._reactor, self._lookup, self._forget, known)
        watch = Watch(name, changed, settled)
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
        self,
        host: str,
        reactor: IReactorTime,
        lookup: Lookup,
        forget: Callable[[_Name], None],
        known: tuple[str, ...],
    ) -> None:
        self.host = host
        self._reactor = reactor
        self._lookup = lookup
        self._forget = forget
        self._watches: list[Watch] = []
        self.addresses = known
        self._trouble = ""
        self._is_begun = False
        self._is_settled = bool(known)
        self._is_stopped = False
        self._giving_up: IDelayedCall | None = None
        self._next: IDelayedCall | None = None
        self._running: Deferred[Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.host} {', '.join(self.addresses) or 'unknown'}{self._trouble and ' (failing)'}>"

    def enter(self, watch: Watch) -> None:
        self._watches.append(watch)
        if self.addresses:
            watch.changed(self.addresses)
        was_settled = self._is_settled
        if not self._is_begun:
            self._is_begun = True
            if not was_settled:
                self._giving_up = self._reactor.callLater(FIRST_LOOKUP, self._settle)
            self._look()
        if was_settled:
            watch.settled()

    def leave(self, watch: Watch) -> None:
        self._watches.remove(watch)
        if not self._watches:
            self.stop()

    def stop(self) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        self._forget(self)
        self._wait_no_longer()
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
        if addresses != self.addresses:
            self.addresses = addresses
            for watch in list(self._watches):
                # A watcher may have stopped another.
                if watch in self._watches:
                    watch.changed(addresses)
        self._settle()

    def _failed(self, failure: Failure) -> None:
        if self._is_stopped:
            return
        is_final = self._is_settled or failure.check(NoSuchName) is not None
        self._schedule(SHORTEST_INTERVAL if is_final else FIRST_RETRY)
        trouble = "no answer in time" if failure.check(GivenUp) else failure.getErrorMessage()
        if trouble != self._trouble:
            self._trouble = trouble
            _log.warn(
                "The name {host} cannot be looked up ({trouble}) and is tried again; its addresses: {kept}.",
                host=self.host,
                trouble=trouble,
                kept=", ".join(self.addresses) or "not known yet",
            )
        if is_final:
            self._settle()

    def _settle(self) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        self._wait_no_longer()
        for watch in list(self._watches):
            if watch in self._watches:
                watch.settled()

    def _wait_no_longer(self) -> None:
        if self._giving_up is not None and self._giving_up.active():
            self._giving_up.cancel()

    def _schedule(self, delay: float) -> None:
        self._running = None
        self._next = self._reactor.callLater(delay, self._look)


def _refuse_none(answer: Answer) -> Answer:
    if not answer.addresses:
        raise NoSuchName("it has no addresses")
    return answer


def _interval(ttl: float | None) -> float:
    return INTERVAL if ttl is None else min(INTERVAL, max(SHORTEST_INTERVAL, ttl))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
