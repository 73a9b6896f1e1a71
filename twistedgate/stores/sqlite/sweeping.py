"""What time does: queues that took too long, ttls that are over, runners that died, routes that are gone.

Each sweep does a bounded amount and says whether there is more, so that nobody waits behind it for long.
Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from twistedgate.jobs.job import Swept
from twistedgate.jobs.store import RESULT
from twistedgate.stores.sqlite.bodies import drop_pieces, erase_secrets
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.owning import drop_all

MOST: Final = 200
"""Jobs of each kind in one transaction; others wait for some ten milliseconds at most."""

UPLOAD_PATIENCE: Final = 3600.0
"""Seconds that a body may be there without its job."""

SPARE_PAGES: Final = 4096
"""Free pages that are kept for what comes next (16 MiB); what is more is given back to the disk."""

MOST_PAGES: Final = 2048
"""Pages given back in one transaction: each may have to be moved, and is then written anew."""

_FAIL: Final = """
    UPDATE jobs SET state = 3, finished = ?, reason = ?, runner = '', deadline = ? + ttl,
        version = version + 1
    WHERE seq IN ({which})
    RETURNING id, seq, has_secrets, route
"""
_TOO_OLD: Final = "SELECT seq FROM jobs WHERE deadline <= ? AND state = 0 LIMIT ?"
_OF_ROUTE: Final = "SELECT seq FROM jobs WHERE state = 0 AND route = ? LIMIT ?"
_OF_RUNNER: Final = "SELECT seq FROM jobs WHERE state = 1 AND runner = ? AND is_retried = 0 LIMIT ?"
_BACK: Final = """
    UPDATE jobs SET state = 0, due = ?, runner = '', deadline = max(submitted, ?) + queue_timeout,
        version = version + 1
    WHERE seq IN (SELECT seq FROM jobs WHERE state = 1 AND runner = ? AND is_retried = 1 LIMIT ?)
    RETURNING id, route
"""
_GONE: Final = """
    UPDATE jobs SET is_gone = 1, key = '', deadline = finished + 2 * ttl, version = version + 1
    WHERE seq IN (SELECT seq FROM jobs WHERE deadline <= ? AND state >= 2 AND is_gone = 0 LIMIT ?)
    RETURNING id, seq
"""
_REMOVED: Final = "SELECT seq FROM jobs WHERE deadline <= ? AND is_gone = 1 LIMIT ?"


class Sweep:
    """One sweep at one moment, over as many transactions as it takes."""

    def __init__(
        self, routes: Collection[str] | None, is_dead: Callable[[str], bool], now: float, most: int = MOST
    ) -> None:
        self._routes = None if routes is None else frozenset(routes)
        self._is_dead = is_dead
        self._now = now
        self._most = most

    def step(self, ledger: Ledger) -> tuple[Swept, bool]:
        """Do some of it; returns what was done, and whether there is more to do."""
        expired = self._fail(ledger, _TOO_OLD, self._now, "expired-in-queue")
        left = self._end_routes(ledger)
        interrupted, put_back = self._bury(ledger)
        forgotten = self._forget(ledger)
        removed = self._remove(ledger)
        self._drop_uploads(ledger)
        is_more = any(
            len(some) >= self._most for some in (expired, left, interrupted, put_back, forgotten, removed)
        )
        ended = tuple(expired + left + interrupted)
        return Swept(len(expired), len(interrupted), len(put_back), len(forgotten), ended), is_more

    def _fail(self, ledger: Ledger, which: str, value: Any, reason: str) -> list[str]:
        rows = ledger.all(_FAIL.format(which=which), (self._now, reason, self._now, value, self._most))
        for name, seq, has_secrets, _ in rows:
            drop_pieces(ledger, name, RESULT)
            if has_secrets:
                erase_secrets(ledger, seq)
            ledger.changed.append(name)
        return [row[0] for row in rows]

    def _end_routes(self, ledger: Ledger) -> list[str]:
        if self._routes is None:
            return []
        waiting = ledger.all("SELECT route FROM loads WHERE queued > 0")
        gone = [route for (route,) in waiting if route not in self._routes]
        return [name for route in gone for name in self._fail(ledger, _OF_ROUTE, route, "route-gone")]

    def _bury(self, ledger: Ledger) -> tuple[list[str], list[str]]:
        interrupted: list[str] = []
        put_back: list[str] = []
        for (runner,) in ledger.all("SELECT DISTINCT runner FROM jobs WHERE state = 1"):
            if runner != ledger.runner and self._is_dead(runner):
                interrupted += self._fail(ledger, _OF_RUNNER, runner, "interrupted")
                put_back += self._put_back(ledger, runner)
        if interrupted or put_back:
            # slots are free, whose they were does not matter
            ledger.free_slots(route for (route,) in ledger.all("SELECT route FROM loads"))
        return interrupted, put_back

    def _put_back(self, ledger: Ledger, runner: str) -> list[str]:
        rows = ledger.all(_BACK, (self._now, self._now, runner, self._most))
        for name, _ in rows:
            drop_pieces(ledger, name, RESULT)
            ledger.changed.append(name)
        return [name for name, _ in rows]

    def _forget(self, ledger: Ledger) -> list[str]:
        rows = ledger.all(_GONE, (self._now, self._most))
        for name, seq in rows:
            drop_all(ledger, seq, name)
            ledger.changed.append(name)
        return [name for name, _ in rows]

    def _remove(self, ledger: Ledger) -> list[int]:
        """Remove what is not remembered any more; whose callback is still to be told stays until it is."""
        rows = [seq for (seq,) in ledger.all(_REMOVED, (self._now, self._most))]
        for seq in rows:
            told = ledger.one("SELECT 1 FROM callbacks WHERE seq = ?", (seq,)) is None
            statement = (
                "DELETE FROM jobs WHERE seq = ?" if told else "UPDATE jobs SET deadline = NULL WHERE seq = ?"
            )
            ledger.execute(statement, (seq,))
        return rows

    def _drop_uploads(self, ledger: Ledger) -> None:
        """Throw bodies away whose job did not come; the first sweep that sees one starts its clock."""
        ledger.execute("UPDATE uploads SET seen = ? WHERE seen IS NULL", (self._now,))
        statement = "DELETE FROM uploads WHERE seen <= ? RETURNING job"
        for (job,) in ledger.all(statement, (self._now - UPLOAD_PATIENCE,)):
            ledger.execute("DELETE FROM pieces WHERE job = ?", (job,))


def give_back(ledger: Ledger) -> bool:
    """Give some of the file's free pages back to the disk; returns whether there are more to give."""
    (free,) = ledger.one("PRAGMA freelist_count")
    spare = free - SPARE_PAGES
    if spare <= 0:
        return False
    for _ in range(min(spare, MOST_PAGES)):
        # a step gives one page back, and Python takes no second one of a statement without columns
        ledger.execute("PRAGMA incremental_vacuum(1)")
    return bool(spare > MOST_PAGES)
