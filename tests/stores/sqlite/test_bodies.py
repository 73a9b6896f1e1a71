"""Bodies in pieces are whose they are, and credentials leave no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores.sqlite.steps import begin, end, queue
from tests.stores.world import DONE, LOST, REQUEST_BODY
from twistedgate.jobs.job import End
from twistedgate.jobs.store import REQUEST, RESULT
from twistedgate.stores.sqlite.bodies import drop_body, get_piece, put_piece
from twistedgate.stores.sqlite.ledger import Ledger


def test_whoever_does_not_run_a_job_writes_nothing_into_its_answer(ledger: Ledger) -> None:
    claimed = begin(ledger)
    put_piece(ledger, claimed.job.id, RESULT, 0, b"mine")
    other = Ledger.__new__(Ledger)
    other.execute, other.runner = ledger.execute, "other"
    put_piece(other, claimed.job.id, RESULT, 0, b"another's")
    assert get_piece(ledger, claimed.job.id, RESULT, 0) == b"mine"
    end(ledger, claimed, LOST)
    put_piece(ledger, claimed.job.id, RESULT, 0, b"too late")
    assert get_piece(ledger, claimed.job.id, RESULT, 0) is None


def test_a_request_is_not_changed_once_it_is_handed_in(ledger: Ledger) -> None:
    job = queue(ledger)
    put_piece(ledger, job, REQUEST, 0, b"another one")
    assert get_piece(ledger, job, REQUEST, 0) == REQUEST_BODY


def test_a_body_is_thrown_away_however_it_is_kept(ledger: Ledger) -> None:
    job = queue(ledger)
    put_piece(ledger, "upload", REQUEST, 0, b"x")
    for name in (job, "upload"):
        drop_body(ledger, name, REQUEST)
        assert get_piece(ledger, name, REQUEST, 0) is None


@pytest.mark.parametrize("how", [DONE, LOST])
@pytest.mark.parametrize("length", [20, 3000, 60_000])
def test_nothing_is_left_of_credentials_in_the_file(
    ledger: Ledger, path: Path, how: End, length: int
) -> None:
    secret = b"sesame" * (length // 6)
    claimed = begin(ledger, headers=((b"Cookie", secret), (b"Accept", b"*/*")))
    for _ in range(5):
        begin(ledger)
    ledger.all("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"sesame" in path.read_bytes()
    end(ledger, claimed, how)
    ledger.all("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"sesame" not in path.read_bytes()
    assert ledger.one("PRAGMA secure_delete") == (2,)
