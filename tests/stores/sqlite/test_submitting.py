"""What is refused leaves nothing behind; the rest of it is in the suite of all stores."""

from __future__ import annotations

from dataclasses import replace

from tests.stores.sqlite.steps import NOW, plan, queue
from tests.stores.world import MANY, new_job
from twistedgate.jobs.job import Verdict
from twistedgate.jobs.store import REQUEST
from twistedgate.stores.sqlite import submitting
from twistedgate.stores.sqlite.bodies import put_piece
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import write_call
from twistedgate.stores.sqlite.submitting import submit


def test_the_large_body_of_a_refused_job_is_not_kept(ledger: Ledger) -> None:
    new = new_job(body=None)
    put_piece(ledger, new.id, REQUEST, 0, b"x")
    full = replace(MANY, max_queued=0, concurrency=0)
    assert submit(ledger, new, write_call(new.call), full, NOW).verdict is Verdict.QUEUE_FULL
    assert ledger.one("SELECT count(*) FROM pieces") == (0,)


def test_a_body_that_found_its_job_is_not_waiting_for_it_any_more(ledger: Ledger) -> None:
    new = new_job(body=None)
    put_piece(ledger, new.id, REQUEST, 0, b"x")
    assert ledger.all("SELECT job FROM uploads") == [(new.id,)]
    submit(ledger, new, write_call(new.call), MANY, NOW)
    assert ledger.all("SELECT job FROM uploads") == []


def test_whoever_waits_for_work_is_told_of_a_job_that_is_queued(ledger: Ledger) -> None:
    queue(ledger, route="a")
    new = new_job(route="b")
    submit(ledger, new, write_call(new.call), MANY, NOW)
    assert ledger.working == ["a"]


def test_no_submission_reads_through_a_table(ledger: Ledger) -> None:
    assert "SCAN" not in plan(ledger, submitting._LOAD, 2)
    assert "COVERING INDEX queue" in plan(ledger, submitting._COMES_BEFORE, 4)
