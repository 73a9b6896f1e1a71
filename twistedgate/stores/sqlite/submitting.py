"""How a job is handed in: by its key, by what is queued, by whether there is a slot for it at once.

Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from twistedgate.jobs.job import Claim, Job, Limits, NewJob, Submission, Verdict
from twistedgate.jobs.store import REQUEST
from twistedgate.stores.sqlite.bodies import drop_pieces
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import JOB, NEW_JOB, new_job, new_row, read_job

_LOAD = """
    SELECT queued, running, coalesce((SELECT queued FROM shares WHERE route = loads.route AND caller = ?), 0)
    FROM loads WHERE route = ?
"""
_COMES_BEFORE = """
    SELECT 1 FROM jobs WHERE state = 0 AND route = ? AND priority >= ? AND due <= ? AND deadline > ? LIMIT 1
"""


def submit(ledger: Ledger, new: NewJob, call: bytes, limits: Limits, now: float) -> Submission:
    """Keep a job whose call is written as ``call``, or say why not."""
    submission = _decide(ledger, new, limits, now)
    if submission.verdict is Verdict.ACCEPTED:
        _keep(ledger, new, call, submission.claim is not None, now)
    elif new.body is None:
        drop_pieces(ledger, new.id, REQUEST)
    return submission


def _decide(ledger: Ledger, new: NewJob, limits: Limits, now: float) -> Submission:
    if new.key:
        known = _by_key(ledger, new, now)
        if known is not None:
            is_same = known.fingerprint == new.fingerprint
            return Submission(Verdict.REPLAYED, known) if is_same else Submission(Verdict.MISMATCH)
    queued, running, share = ledger.one(_LOAD, (new.caller, new.route)) or (0, 0, 0)
    if running < limits.concurrency and not (queued and _is_behind(ledger, new, now)):
        job = new_job(new, ledger.runner, now)
        return Submission(Verdict.ACCEPTED, job, Claim(job, new.body, fence=1))
    if queued >= limits.max_queued:
        return Submission(Verdict.QUEUE_FULL)
    if share >= limits.max_queued_per_caller:
        return Submission(Verdict.CALLER_FULL)
    return Submission(Verdict.ACCEPTED, new_job(new, "", now))


def _is_behind(ledger: Ledger, new: NewJob, now: float) -> bool:
    values = (new.route, new.terms.priority, now, now)
    return ledger.one(_COMES_BEFORE, values) is not None


def _by_key(ledger: Ledger, new: NewJob, now: float) -> Job | None:
    """Return the job that has the key; one that is gone gives it back."""
    row = ledger.one(
        f"SELECT {JOB} FROM jobs WHERE route = ? AND caller = ? AND key = ? AND key <> ''",  # noqa: S608 -- ours
        (new.route, new.caller, new.key),
    )
    if row is None:
        return None
    job = read_job(row, now)
    if not job.is_gone:
        return job
    ledger.execute("UPDATE jobs SET key = '' WHERE id = ?", (job.id,))
    return None


def _keep(ledger: Ledger, new: NewJob, call: bytes, is_claimed: bool, now: float) -> None:
    row = new_row(new, ledger.runner if is_claimed else "", now)
    seq = ledger.execute(NEW_JOB, row).lastrowid
    ledger.execute("INSERT INTO requests VALUES (?, ?, ?)", (seq, call, new.body or None))
    if new.body is None:
        ledger.execute("DELETE FROM uploads WHERE job = ?", (new.id,))
    if not is_claimed:
        ledger.working.append(new.route)
