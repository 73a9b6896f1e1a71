"""Runs: who may begin one, and how it ends.

A claim is good for as long as its job runs and no later run of it began: the number of the run is its fence.
Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from twistedgate.jobs.job import Claim, End, Head, Room, State
from twistedgate.jobs.store import REQUEST, RESULT
from twistedgate.stores.sqlite.bodies import drop_pieces, drop_requests, erase_secrets
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import JOB, NUMBERS, WIDTH, known_job, write_head

_CLAIM: Final = f"""
    UPDATE jobs SET state = 1, started = ?, attempts = attempts + 1, runner = ?, deadline = NULL,
        version = version + 1
    WHERE seq IN (
        SELECT seq FROM jobs WHERE state = 0 AND route = ? AND due <= ? AND deadline > ?
        ORDER BY priority DESC, seq LIMIT ?
    )
    RETURNING {JOB}, seq, is_inline, (SELECT body FROM requests WHERE requests.seq = jobs.seq)
"""  # noqa: S608 -- our own words
_FAIL_UNREADABLE: Final = """
    UPDATE jobs SET state = 3, finished = ?, reason = 'interrupted', runner = '', deadline = ? + ttl,
        callback = '', version = version + 1
    WHERE seq = ?
"""
_FINISH: Final = """
    UPDATE jobs SET state = column3, finished = column4, status = column5, reason = column6, runner = '',
        deadline = column4 + ttl, version = version + 1
    FROM (VALUES {rows}) WHERE jobs.id = column1 AND jobs.state = 1 AND attempts = column2
    RETURNING id, seq, has_secrets, is_inline
"""
_PUT_BACK: Final = """
    UPDATE jobs SET state = 0, due = ?, runner = '', deadline = max(submitted, ?) + queue_timeout,
        version = version + 1
    WHERE id = ? AND state = 1 AND attempts = ?
    RETURNING seq
"""


def claim(ledger: Ledger, rooms: Sequence[Room], now: float) -> list[Claim]:
    """Take what is due, for each room."""
    return [taken for room in rooms for taken in _claim_of(ledger, room, now)]


def _claim_of(ledger: Ledger, room: Room, now: float) -> list[Claim]:
    queued, running = ledger.one("SELECT queued, running FROM loads WHERE route = ?", (room.route,)) or (0, 0)
    wanted = min(room.wanted, room.concurrency - running, queued)
    if wanted <= 0:
        return []
    rows = ledger.all(_CLAIM, (now, ledger.runner, room.route, now, now, wanted))
    claims = [(row[WIDTH], taken) for row in rows if (taken := _claim(ledger, row, now)) is not None]
    # the order in which rows are returned is SQLite's own affair
    claims.sort(key=lambda one: (-one[1].job.terms.priority, one[0]))
    ledger.changed += (taken.job.id for _, taken in claims)
    return [taken for _, taken in claims]


def _claim(ledger: Ledger, row: tuple[Any, ...], now: float) -> Claim | None:
    job = known_job(row[:WIDTH], now)
    seq, is_inline, body = row[WIDTH:]
    if job is None:
        ledger.execute(_FAIL_UNREADABLE, (now, now, seq))
        ledger.unreadable.append(row[0])
        return None
    return Claim(job, (body or b"") if is_inline else None, fence=job.attempts)


@dataclass(frozen=True, slots=True)
class Ended:
    """What one runner says of a run's end."""

    claim: Claim
    end: End
    now: float

    @property
    def head(self) -> Head | None:
        """The head of the answer, where there is one."""
        return self.end.head if self.end.state is State.SUCCEEDED else None

    def row(self) -> tuple[Any, ...]:
        """Return what ``_FINISH`` takes."""
        status = None if self.head is None else self.head.status
        return (
            self.claim.job.id,
            self.claim.fence,
            NUMBERS[self.end.state],
            self.now,
            status,
            self.end.reason,
        )


def finish(ledger: Ledger, runs: Sequence[Ended]) -> list[bool]:
    """Keep how runs ended; each answer says whether it did."""
    if len({one.claim.job.id for one in runs}) < len(runs):
        # one statement ends a job once
        return [ended for one in runs for ended in finish(ledger, [one])]
    rows = {name: row for name, *row in ledger.many(_FINISH, [one.row() for one in runs])}
    valid = [one for one in runs if one.claim.job.id in rows]
    results, bodies = [], []
    for one in valid:
        job = one.claim.job
        seq, has_secrets, is_inline = rows[job.id]
        if has_secrets:
            # before the row is written for another reason, which would leave a copy of them behind
            erase_secrets(ledger, seq)
        if one.head is not None:
            results.append((seq, write_head(one.head), one.end.body or None))
        if one.end.state is not State.SUCCEEDED:
            drop_pieces(ledger, job.id, RESULT)
        elif job.call.length and is_inline:
            bodies.append(seq)
        elif job.call.length:
            drop_pieces(ledger, job.id, REQUEST)
        ledger.changed.append(job.id)
    ledger.many("INSERT INTO results VALUES {rows}", results)
    drop_requests(ledger, bodies)
    ledger.free_slots({one.claim.job.route for one in valid})
    return [one.claim.job.id in rows for one in runs]


def put_back(ledger: Ledger, ended: Claim, due: float, now: float) -> bool:
    """Queue a job again, for a time that is not before ``now``."""
    due = max(due, now)
    if ledger.one(_PUT_BACK, (due, due, ended.job.id, ended.fence)) is None:
        return False
    drop_pieces(ledger, ended.job.id, RESULT)
    ledger.changed.append(ended.job.id)
    ledger.free_slots((ended.job.route,))
    if due <= now:
        ledger.working.append(ended.job.route)
    return True
