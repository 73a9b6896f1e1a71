"""Bodies: a small one lies beside its job, a large one in pieces of a table of their own.

Pieces may come before their job; who never comes is forgotten by a sweep.  A piece of a result counts only
from whoever runs the job, so that a run which was taken away writes nothing into the next one's answer.
Steps of a transaction; see ``ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from twistedgate.jobs.store import REQUEST, RESULT
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import read_call, write_call
from twistedgate.stores.sqlite.schema import RUNNING

_INLINE: Final = {
    REQUEST: "SELECT body FROM requests WHERE seq = (SELECT seq FROM jobs WHERE id = ?)",
    RESULT: "SELECT body FROM results WHERE seq = (SELECT seq FROM jobs WHERE id = ?)",
}
_DROP_INLINE: Final = {
    REQUEST: "UPDATE requests SET body = NULL WHERE seq = ? AND body IS NOT NULL",
    RESULT: "UPDATE results SET body = NULL WHERE seq = ? AND body IS NOT NULL",
}
_DROP_REQUESTS: Final = """
    UPDATE requests SET body = NULL WHERE seq IN (SELECT value FROM json_each(?)) AND body IS NOT NULL
"""


def put_piece(ledger: Ledger, job: str, kind: str, number: int, piece: bytes) -> None:
    """Keep a piece; one that comes too late, or from who does not run the job any more, is not kept."""
    known = ledger.one("SELECT state, runner FROM jobs WHERE id = ?", (job,))
    if known is None:
        ledger.execute("INSERT OR IGNORE INTO uploads VALUES (?, NULL)", (job,))
    elif kind != RESULT or known != (RUNNING, ledger.runner):
        return
    ledger.execute("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?)", (job, kind, number, piece))


def get_piece(ledger: Ledger, job: str, kind: str, number: int) -> bytes | None:
    """Return a piece; a small body is one."""
    found = ledger.one(
        "SELECT piece FROM pieces WHERE job = ? AND kind = ? AND number = ?", (job, kind, number)
    )
    if found is None and number == 0:
        found = ledger.one(_INLINE[kind], (job,))
    return None if found is None else found[0]


def drop_pieces(ledger: Ledger, job: str, kind: str) -> int:
    """Throw the pieces of a body away; returns how many there were."""
    return ledger.execute("DELETE FROM pieces WHERE job = ? AND kind = ?", (job, kind)).rowcount


def drop_body(ledger: Ledger, job: str, kind: str) -> None:
    """Throw a body away, however it is kept."""
    drop_pieces(ledger, job, kind)
    known = ledger.one("SELECT seq FROM jobs WHERE id = ?", (job,))
    if known is not None:
        ledger.execute(_DROP_INLINE[kind], known)


def drop_requests(ledger: Ledger, jobs: Sequence[int]) -> None:
    """Throw small bodies of requests away, now that nobody sends them again."""
    if jobs:
        ledger.execute(_DROP_REQUESTS, (orjson.dumps(list(jobs)).decode(),))


def erase_secrets(ledger: Ledger, seq: int) -> None:
    """Erase the credentials of a call; what they were written over with is all that is left in the file."""
    (call,) = ledger.one("SELECT call FROM requests WHERE seq = ?", (seq,))
    # elsewhere whole pages that get free keep what was in them until they are used again: see ``opening``
    ledger.execute("PRAGMA secure_delete = ON").fetchall()
    try:
        kept = write_call(read_call(call).without_secrets())
        ledger.execute("UPDATE requests SET call = ? WHERE seq = ?", (kept, seq))
        ledger.execute("UPDATE jobs SET has_secrets = 0 WHERE seq = ?", (seq,))
    finally:
        ledger.execute("PRAGMA secure_delete = FAST").fetchall()
