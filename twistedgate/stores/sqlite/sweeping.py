"""What time does: queues that took too long, ttls that are over, runners that died, routes that are gone.

Each sweep does a bounded amount and says whether there is more, so that nobody waits behind it for long.
Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final

from twistedgate.jobs.job import MOST_RUNS, EndedJob, Swept
from twistedgate.jobs.store import RESULT
from twistedgate.stores.sqlite.bodies import drop_pieces, erase_secrets
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.owning import drop_all

MOST: Final = 200
"""Jobs of each kind in one transaction; others wait for some ten milliseconds at most."""

UPLOAD_PATIENCE: Final = 3600.0
"""Seconds that a body may be there without its job."""

MOST_PIECES: Final = 400
"""Pieces of bodies that are thrown away in one transaction, about: a hundred mebibytes."""

SPARE_PAGES: Final = 2048
"""Free pages that are kept for what comes next (16 MiB); what is more is given back to the disk."""

LONGEST: Final = 0.01
"""Seconds that one transaction gives pages back for: others wait meanwhile, and the more pages are free, the
longer SQLite looks for the one it needs."""

_FAIL: Final = """
    UPDATE jobs SET state = 3, finished = ?, reason = ?, runner = '', deadline = ? + ttl,
        version = version + 1
    WHERE seq IN ({which})
    RETURNING id, seq, has_secrets, route
"""
_TOO_OLD: Final = "SELECT seq FROM jobs WHERE deadline <= ? AND state = 0 LIMIT ?"
_OF_ROUTE: Final = "SELECT seq FROM jobs WHERE state = 0 AND route = ? LIMIT ?"
_GOES_ON: Final = f"(is_retried = 1 AND attempts < {MOST_RUNS})"
_OF_RUNNER: Final = f"SELECT seq FROM jobs WHERE state = 1 AND runner = ? AND NOT {_GOES_ON} LIMIT ?"  # noqa: S608 -- ours
_BACK: Final = f"""
    UPDATE jobs SET state = 0, due = ?, runner = '', deadline = max(submitted, ?) + queue_timeout,
        version = version + 1
    WHERE seq IN (SELECT seq FROM jobs WHERE state = 1 AND runner = ? AND {_GOES_ON} LIMIT ?)
    RETURNING id, route
"""  # noqa: S608 -- ours
_GONE: Final = "SELECT id, seq FROM jobs WHERE deadline <= ? AND state >= 2 AND is_gone = 0 LIMIT ?"
_FORGET: Final = """
    UPDATE jobs SET is_gone = 1, key = '', deadline = finished + 2 * ttl, version = version + 1 WHERE seq = ?
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
        forgotten, is_more = self._forget(ledger)
        removed = self._remove(ledger)
        self._drop_uploads(ledger)
        steps = max(len(expired), len(left), len(interrupted), len(put_back), len(removed))
        is_more = is_more or steps >= self._most
        ended = tuple(expired + left + interrupted)
        return Swept(len(expired), len(interrupted), len(put_back), forgotten, ended), is_more

    def _fail(self, ledger: Ledger, which: str, value: Any, reason: str) -> list[EndedJob]:
        rows = ledger.all(_FAIL.format(which=which), (self._now, reason, self._now, value, self._most))
        for name, seq, has_secrets, _ in rows:
            drop_pieces(ledger, name, RESULT)
            if has_secrets:
                erase_secrets(ledger, seq)
            ledger.changed.append(name)
        return [EndedJob(name, route, reason) for name, _, _, route in rows]

    def _end_routes(self, ledger: Ledger) -> list[EndedJob]:
        if self._routes is None:
            return []
        waiting = ledger.all("SELECT route FROM loads WHERE queued > 0")
        gone = [route for (route,) in waiting if route not in self._routes]
        return [job for route in gone for job in self._fail(ledger, _OF_ROUTE, route, "route-gone")]

    def _bury(self, ledger: Ledger) -> tuple[list[EndedJob], list[str]]:
        interrupted: list[EndedJob] = []
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

    def _forget(self, ledger: Ledger) -> tuple[int, bool]:
        """Forget what is kept of jobs that are gone; returns of how many, and whether there are more."""
        rows = ledger.all(_GONE, (self._now, self._most))
        done = pieces = 0
        for name, seq in rows:
            ledger.execute(_FORGET, (seq,))
            pieces += drop_all(ledger, seq, name)
            ledger.changed.append(name)
            done += 1
            if pieces >= MOST_PIECES:
                return done, True
        return done, done >= self._most

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
    until = time.monotonic() + LONGEST
    for _ in range(free - SPARE_PAGES):
        # a step gives one page back, and Python takes no second one of a statement without columns
        ledger.execute("PRAGMA incremental_vacuum(1)")
        if time.monotonic() >= until:
            return True
    return False
