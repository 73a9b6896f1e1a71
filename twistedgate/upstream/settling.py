"""Waits until names are settled: known, known not to exist, or looked up in vain for as long as is sensible.

One set of names at a time; whoever waits for another set waits for the old one no longer.  While it waits,
the names are watched, and so are known at once to whoever watches them next; so they are until what is done
then is over.  This module does not know what that is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from twistedgate.upstream.resolver import Resolver, Watch

_log = Logger()

_BEGINNING = ""
"""Stands among the names until all of them are watched: some are settled at once."""


class Settling:
    """Waits for names."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._watches: list[Watch] = []
        self._open: set[str] = set()
        self._then: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return f"<Settling {', '.join(self.names) or 'nothing'}>"

    @property
    def names(self) -> list[str]:
        """What is waited for, in order; empty if nothing is."""
        return sorted(self._open)

    def wait(self, names: Iterable[str], then: Callable[[], object]) -> None:
        """Call ``then`` once all ``names`` are settled, at once if they are; an earlier wait ends unheard.

        What it returns may be a Deferred: names stay watched until it fires.
        """
        self.stop()
        self._then = then
        self._open = {*names, _BEGINNING}
        for name in self.names[1:]:
            settled = functools.partial(self._settled, name)
            self._watches.append(self._resolver.watch(name, lambda addresses: None, settled))
        self._settled(_BEGINNING)

    def stop(self) -> None:
        """Wait no longer."""
        watches, self._watches = self._watches, []
        self._open = set()
        _stop(watches)

    def _settled(self, name: str) -> None:
        self._open.discard(name)
        if self._open:
            return
        watches, self._watches = self._watches, []
        # not before it is done: whoever needs the names watches them by then, or they would be looked up anew
        done = maybeDeferred(self._then)
        done.addErrback(lambda failure: _log.failure("what waited for names failed", failure))
        done.addCallback(lambda _: _stop(watches))


def _stop(watches: Iterable[Watch]) -> None:
    for watch in watches:
        watch.stop()
