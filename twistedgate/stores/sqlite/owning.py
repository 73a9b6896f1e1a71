"""What owners and operators ask of jobs: how one stands, which there are, to cancel, forget or repeat one.

Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from twistedgate.jobs.job import Counts, Job, Page, State
from twistedgate.jobs.store import REQUEST, RESULT
from twistedgate.stores.sqlite.bodies import drop_pieces, drop_requests, erase_secrets
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import JOB, NUMBERS, is_remembered, known_job

_FIND: Final = f"SELECT {JOB} FROM jobs WHERE id = ?"  # noqa: S608 -- our own words
_FIND_ALL: Final = f"SELECT {JOB} FROM jobs WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
_LIST: Final = f"SELECT {JOB}, seq FROM jobs WHERE seq < ? AND (finished IS NULL OR finished + ttl > ?)"  # noqa: S608
_CANCEL: Final = """
    UPDATE jobs SET state = 4, finished = ?, runner = '', deadline = ? + ttl, version = version + 1
    WHERE id = ? AND state < 2
    RETURNING seq, has_secrets, route, attempts
"""
_FORGET: Final = """
    UPDATE jobs SET is_forgotten = 1, version = version + 1
    WHERE id = ? AND state >= 2 AND is_forgotten = 0 AND is_gone = 0
    RETURNING seq, is_inline
"""
_RETRY: Final = """
    UPDATE jobs SET state = 0, due = ?, finished = NULL, status = NULL, reason = '',
        deadline = ? + queue_timeout, version = version + 1
    WHERE id = ? AND state IN (3, 4) AND is_forgotten = 0 AND is_gone = 0 AND finished + ttl > ?
    RETURNING seq, route
"""
_COUNT: Final = """
    SELECT route, queued, running,
        (SELECT min(submitted) FROM jobs WHERE state = 0 AND route = loads.route)
    FROM loads WHERE queued > 0 OR running > 0
"""
_FARTHEST: Final = 2**63 - 1


def find_all(ledger: Ledger, asked: Sequence[tuple[str, float]]) -> list[Job | None]:
    """Return jobs by their ids, each as it is at the moment that is named with it."""
    names = orjson.dumps([job for job, _ in asked]).decode()
    rows = {row[0]: row for row in ledger.all(_FIND_ALL, (names,))}
    return [_remembered(rows.get(job), now) for job, now in asked]


def find(ledger: Ledger, job: str, now: float) -> Job | None:
    """Return a job for as long as it is remembered."""
    return _remembered(ledger.one(_FIND, (job,)), now)


def _remembered(row: tuple[Any, ...] | None, now: float) -> Job | None:
    found = known_job(row, now)
    return found if found is not None and is_remembered(found, now) else None


def cancel(ledger: Ledger, job: str, now: float) -> Job | None:
    """Cancel a job that is not finished."""
    row = ledger.one(_CANCEL, (now, now, job))
    if row is not None:
        seq, has_secrets, route, attempts = row
        if attempts:
            drop_pieces(ledger, job, RESULT)
        if has_secrets:
            erase_secrets(ledger, seq)
        ledger.changed.append(job)
        ledger.free_slots((route,))
    found = find(ledger, job, now)
    return found if row is None or found is None else replace(found, was_ended_now=True)


def forget(ledger: Ledger, job: str, now: float) -> Job | None:
    """Throw away what is kept of a finished job's bodies."""
    row = ledger.one(_FORGET, (job,))
    if row is not None:
        drop_all(ledger, row[0], job)
        ledger.changed.append(job)
    return find(ledger, job, now)


def drop_all(ledger: Ledger, seq: int, job: str) -> int:
    """Throw away both bodies and the head of the answer; returns how many pieces there were."""
    ledger.execute("DELETE FROM results WHERE seq = ?", (seq,))
    drop_requests(ledger, [seq])
    return drop_pieces(ledger, job, REQUEST) + drop_pieces(ledger, job, RESULT)


def retry(ledger: Ledger, job: str, now: float) -> Job | None:
    """Queue a job again that did not succeed; its next end is told anew."""
    row = ledger.one(_RETRY, (now, now, job, now))
    if row is not None:
        seq, route = row
        ledger.execute("DELETE FROM callbacks WHERE seq = ?", (seq,))
        ledger.changed.append(job)
        ledger.working.append(route)
    return find(ledger, job, now)


def read_cursor(cursor: str) -> int:
    """Return what a cursor says; raises ``ValueError``."""
    if not cursor:
        return _FARTHEST
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ValueError("no cursor of a list of jobs")
    return int(cursor)


def list_jobs(
    ledger: Ledger, whose: tuple[str | None, State | None], limit: int, before: int, now: float
) -> Page:
    """Return an owner's jobs, of one state or of all, that come before a place in the order of submission."""
    owner, state = whose
    statement, values = _LIST, list[object]((before, now))
    for condition, value in (("owner = ?", owner), ("state = ?", None if state is None else NUMBERS[state])):
        if value is not None:
            statement += f" AND {condition}"
            values.append(value)
    # the index of owners leaves out those that have none
    statement += " AND owner <> ''" if owner else ""
    rows = ledger.all(f"{statement} ORDER BY seq DESC LIMIT ?", (*values, limit + 1))
    return _page(rows, limit, now)


def _page(rows: list[tuple[Any, ...]], limit: int, now: float) -> Page:
    shown = rows[:limit]
    read = [known_job(row[:-1], now) for row in shown]
    jobs = tuple(job for job in read if job is not None)
    return Page(jobs, str(shown[-1][-1]) if len(rows) > limit and shown else "")


def counts(ledger: Ledger) -> dict[str, Counts]:
    """Return what is not finished, by route."""
    return {route: Counts(queued, running, oldest) for route, queued, running, oldest in ledger.all(_COUNT)}
