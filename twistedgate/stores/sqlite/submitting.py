"""How jobs are handed in: by their keys, by what is queued, by whether there is a slot for one at once.

All that are handed in at the same time are taken one after the other, by what was read once, and written by
few statements: between two of them this thread has to get Python's lock anew, for which a busy reactor lets
it wait.  Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from twistedgate.jobs.job import Claim, Job, Limits, NewJob, Submission, Verdict
from twistedgate.jobs.store import REQUEST
from twistedgate.stores.sqlite.bodies import drop_pieces
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import JOB, NEW_JOBS, known_job, new_job, new_row

_LAST: Final = "SELECT coalesce(max(seq), 0) FROM jobs"
_LOADS: Final = "SELECT route, queued, running FROM loads WHERE route IN (SELECT value FROM json_each(?))"
_SHARES: Final = """
    SELECT route, caller, queued FROM shares WHERE (route, caller) IN (
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
    )
"""
_COMES_FIRST: Final = """
    SELECT priority FROM jobs WHERE state = 0 AND route = ? AND due <= ? AND deadline > ?
    ORDER BY priority DESC, seq LIMIT 1
"""
_BY_KEY: Final = f"SELECT {JOB} FROM jobs WHERE route = ? AND caller = ? AND key = ? AND key <> ''"  # noqa: S608 -- ours


_END: Final = """
    UPDATE jobs SET state = 4, callback = '' WHERE id = ? AND version = 1 AND (state = 0 OR runner = ?)
    RETURNING seq, route
"""
"""What is to be erased leaves the queue first, or its run: what is counted of a route goes by states."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What one client hands in."""

    new: NewJob
    call: bytes
    """As it is written."""
    limits: Limits
    now: float


def submit(ledger: Ledger, handed: Sequence[Handed]) -> list[Submission]:
    """Keep jobs, or say of each why not."""
    desk = _Desk(ledger, handed)
    submissions = [desk.take(one) for one in handed]
    desk.write()
    return submissions


def withdraw(ledger: Ledger, job: str) -> bool:
    """Erase a job whose submitter was told that it is not kept, unless somebody else runs it by now."""
    row = ledger.one(_END, (job, ledger.runner))
    if row is None:
        return False
    seq, route = row
    ledger.execute("DELETE FROM jobs WHERE seq = ?", (seq,))
    ledger.changed.append(job)
    ledger.free_slots((route,))
    return True


class _Desk:
    """Those who stand there at the same time, and what is known of the queues meanwhile."""

    def __init__(self, ledger: Ledger, handed: Sequence[Handed]) -> None:
        self._ledger = ledger
        self._handed = handed
        routes = _json({one.new.route for one in handed})
        loads = ledger.all(_LOADS, (routes,))
        self._queued: dict[str, int] = {route: queued for route, queued, _ in loads}
        self._running: dict[str, int] = {route: running for route, _, running in loads}
        self._shares: dict[tuple[str, str], int] | None = None
        self._first: dict[str, int | None] = {}
        """The highest priority that waits of a route, as it was read."""
        self._came: dict[str, int] = {}
        """And of those who were queued since."""
        self._keys: dict[tuple[str, str, str], Job] = {}
        (self._last,) = ledger.one(_LAST)
        self._jobs: list[tuple[Any, ...]] = []
        self._requests: list[tuple[Any, ...]] = []

    def take(self, one: Handed) -> Submission:
        """Judge what one hands in."""
        submission = self._judge(one)
        if submission.job is not None and submission.verdict is Verdict.ACCEPTED:
            self._keep(one, submission.job)
        elif one.new.body is None:
            drop_pieces(self._ledger, one.new.id, REQUEST)
        return submission

    def write(self) -> None:
        """Write what was kept."""
        self._ledger.many(NEW_JOBS, self._jobs)
        self._ledger.many("INSERT INTO requests VALUES {rows}", self._requests)

    def _judge(self, one: Handed) -> Submission:
        new, limits = one.new, one.limits
        if new.key:
            known = self._by_key(new, one.now)
            if known is not None:
                is_same = known.fingerprint == new.fingerprint
                return Submission(Verdict.REPLAYED, known) if is_same else Submission(Verdict.MISMATCH)
        queued = self._queued.get(new.route, 0)
        has_slot = self._running.get(new.route, 0) < limits.concurrency
        if has_slot and not (queued and self._is_behind(new, one.now)):
            job = new_job(new, self._ledger.runner, one.now)
            return Submission(Verdict.ACCEPTED, job, Claim(job, new.body, fence=1))
        if queued >= limits.max_queued:
            return Submission(Verdict.QUEUE_FULL)
        if self._share_of(new) >= limits.max_queued_per_caller:
            return Submission(Verdict.CALLER_FULL)
        return Submission(Verdict.ACCEPTED, new_job(new, "", one.now))

    def _by_key(self, new: NewJob, now: float) -> Job | None:
        """Return the job that has the key; one that is gone gives it back."""
        known = self._keys.get((new.route, new.caller, new.key))
        if known is not None:
            return known
        row = self._ledger.one(_BY_KEY, (new.route, new.caller, new.key))
        if row is None:
            return None
        job = known_job(row, now)
        if job is not None and not job.is_gone:
            return job
        self._ledger.execute("UPDATE jobs SET key = '' WHERE id = ?", (row[0],))
        return None

    def _is_behind(self, new: NewJob, now: float) -> bool:
        """Whether another that waits comes before this one."""
        if new.route not in self._first:
            row = self._ledger.one(_COMES_FIRST, (new.route, now, now))
            self._first[new.route] = None if row is None else row[0]
        waiting = (self._first[new.route], self._came.get(new.route))
        return any(priority is not None and priority >= new.terms.priority for priority in waiting)

    def _share_of(self, new: NewJob) -> int:
        """Return how much of the queue is the caller's."""
        if self._shares is None:
            pairs = _json({(one.new.route, one.new.caller) for one in self._handed})
            self._shares = {
                (route, caller): count for route, caller, count in self._ledger.all(_SHARES, (pairs,))
            }
        return self._shares.get((new.route, new.caller), 0)

    def _keep(self, one: Handed, job: Job) -> None:
        new, route = one.new, one.new.route
        self._last += 1
        self._jobs.append(new_row(self._last, new, job.runner, one.now))
        self._requests.append((self._last, one.call, new.body or None))
        if new.key:
            self._keys[route, new.caller, new.key] = job
        if new.body is None:
            self._ledger.execute("DELETE FROM uploads WHERE job = ?", (new.id,))
        if job.runner:
            self._running[route] = self._running.get(route, 0) + 1
            return
        self._ledger.working.append(route)
        self._queued[route] = self._queued.get(route, 0) + 1
        self._came[route] = max(new.terms.priority, self._came.get(route, new.terms.priority))
        if self._shares is not None:
            self._shares[route, new.caller] = self._share_of(new) + 1


def _json(values: set[Any]) -> str:
    return orjson.dumps(list(values)).decode()
