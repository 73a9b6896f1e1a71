"""What changed in a store that several processes share, told to the others at once.

A store that hears of others by itself needs none of this.  Whatever changes in one turn of the reactor is one
message; one that gets lost is made up for by the store, which looks by itself now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twistedgate.jobs.store import Announces, JobStore

News = Sequence[Sequence[str]]
"""Pairs of what kind of thing changed, and which."""


class WakeUps:
    """One process among those that share a store."""

    def __init__(
        self, store: JobStore, say: Callable[[News], object], soon: Callable[[Callable[[], object]], object]
    ) -> None:
        """``say`` tells the others; ``soon`` calls something in the next turn."""
        self._store = store if isinstance(store, Announces) else None
        self._say = say
        self._soon = soon
        self._news: dict[tuple[str, str], None] = {}
        if self._store is not None:
            self._store.announce = self._announce

    def _announce(self, kind: str, name: str) -> None:
        if not self._news:
            self._soon(self._tell)
        self._news[kind, name] = None

    def _tell(self) -> None:
        news, self._news = self._news, {}
        self._say(list(news))

    def hear(self, news: News) -> None:
        """Take what another process has told."""
        store: Any = self._store
        if store is not None:
            for kind, name in news:
                store.hear(kind, name)
