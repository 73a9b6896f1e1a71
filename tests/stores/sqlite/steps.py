"""Steps as most tests take them: a job that is handed in, run, ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.stores.world import DONE, MANY, QUEUES, new_job, room
from twistedgate.jobs.job import Claim, End, Limits, NewJob, Submission
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import write_call
from twistedgate.stores.sqlite.running import Ended, claim, finish
from twistedgate.stores.sqlite.submitting import Handed, submit

NOW = 1_800_000_000.0


def hand_in(ledger: Ledger, new: NewJob, limits: Limits, now: float = NOW) -> Submission:
    """Hand in a job."""
    (submission,) = submit(ledger, [Handed(new, write_call(new.call), limits, now)])
    return submission


def queue(ledger: Ledger, now: float = NOW, **named: Any) -> str:
    """Hand in a job that nobody runs, and return its id."""
    new = new_job(**named)
    assert hand_in(ledger, new, QUEUES, now).job is not None
    return new.id


def begin(ledger: Ledger, now: float = NOW, **named: Any) -> Claim:
    """Hand in a job that is run at once."""
    new: NewJob = new_job(**named)
    claimed = hand_in(ledger, new, MANY, now).claim
    assert claimed is not None
    return claimed


def end(ledger: Ledger, claimed: Claim, how: End = DONE, now: float = NOW) -> None:
    """End a run."""
    assert finish(ledger, [Ended(claimed, how, now)]) == [True]


def take(ledger: Ledger, now: float = NOW, **named: Any) -> list[Claim]:
    """Claim what there is."""
    return claim(ledger, [replace(room(), **named)], now)


def damage(ledger: Ledger, job: str) -> None:
    """Let what is kept of a call be no call."""
    ledger.execute("UPDATE requests SET call = '{' WHERE seq = (SELECT seq FROM jobs WHERE id = ?)", (job,))


def plan(ledger: Ledger, statement: str, values: int) -> str:
    """Return how SQLite would go about a statement that takes so many values."""
    rows = ledger.all(f"EXPLAIN QUERY PLAN {statement}", (None,) * values)
    return "\n".join(row[-1] for row in rows)
