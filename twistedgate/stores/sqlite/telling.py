"""Callbacks: who is to be told of an end, and when again.

They are written where a job ends, by the tables themselves, and outlive the job's ttl: its row stays until
its callback is done with.  Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from typing import Final

from twistedgate.jobs.job import Callback
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import JOB, known_job

PATIENCE: Final = 60.0
"""Seconds after which a try of which nothing was heard has failed."""

_TAKE: Final = """
    UPDATE callbacks SET due = ?, attempts = attempts + 1, fence = fence + 1
    WHERE seq IN (SELECT seq FROM callbacks WHERE due <= ? ORDER BY due LIMIT ?)
    RETURNING seq, attempts, fence
"""


def due_callbacks(ledger: Ledger, limit: int, now: float) -> list[Callback]:
    """Take what is due."""
    taken = ledger.all(_TAKE, (now + PATIENCE, now, limit))
    callbacks = [_callback(ledger, row, now) for row in sorted(taken)]
    return [callback for callback in callbacks if callback is not None]


def _callback(ledger: Ledger, row: tuple[int, int, int], now: float) -> Callback | None:
    seq, attempts, fence = row
    found = ledger.one(f"SELECT {JOB} FROM jobs WHERE seq = ?", (seq,))  # noqa: S608 -- ours
    job = known_job(found, now)
    if job is None:
        ledger.execute("DELETE FROM callbacks WHERE seq = ?", (seq,))
        ledger.unreadable.append(str(seq) if found is None else found[0])
        return None
    return Callback(job, job.callback, attempts - 1, fence)


def callback_ended(ledger: Ledger, callback: Callback, next_try: float | None) -> None:
    """Try again at ``next_try``, or never; nothing happens if somebody else has taken it since."""
    which = (callback.job.id, callback.fence)
    if next_try is not None:
        ledger.execute(
            "UPDATE callbacks SET due = ? WHERE seq = (SELECT seq FROM jobs WHERE id = ?) AND fence = ?",
            (next_try, *which),
        )
        return
    statement = "DELETE FROM callbacks WHERE seq = (SELECT seq FROM jobs WHERE id = ?) AND fence = ?"
    if ledger.execute(statement, which).rowcount:
        # a sweep has passed it over: the next one removes it
        ledger.execute(
            "UPDATE jobs SET deadline = finished + 2 * ttl WHERE id = ? AND is_gone = 1", (callback.job.id,)
        )
