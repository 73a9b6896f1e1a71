"""Claims find their jobs without a search; what a run leaves is in the suite of all stores."""

from __future__ import annotations

from tests.stores.sqlite.steps import NOW, begin, damage, end, plan, queue, take
from tests.stores.world import LOST
from twistedgate.stores.sqlite import running
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.running import put_back
from twistedgate.stores.sqlite.schema import FAILED


def test_a_claim_finds_its_jobs_by_the_index_of_the_queue_alone(ledger: Ledger) -> None:
    steps = plan(ledger, running._CLAIM, 6)
    assert "COVERING INDEX queue" in steps
    assert "TEMP B-TREE" not in steps


def test_ends_find_their_job_at_once(ledger: Ledger) -> None:
    assert "SEARCH jobs" in plan(ledger, running._FINISH.format(rows="(?, ?, ?, ?, ?, ?)"), 6)
    assert "SCAN" not in plan(ledger, running._PUT_BACK, 4)


def test_a_claim_is_noted_for_those_who_watch(ledger: Ledger) -> None:
    job = queue(ledger)
    (claimed,) = take(ledger)
    assert ledger.changed == [job]
    assert claimed.job.runner == "me"


def test_work_is_noted_when_a_slot_gets_free(ledger: Ledger) -> None:
    first, second = begin(ledger), begin(ledger)
    queue(ledger)
    ledger.working.clear()
    end(ledger, first, LOST)
    assert ledger.working == ["reports"]
    ledger.working.clear()
    assert put_back(ledger, second, NOW + 60, NOW)
    assert ledger.working == ["reports"]


def test_no_work_is_noted_where_nobody_waits(ledger: Ledger) -> None:
    end(ledger, begin(ledger))
    assert ledger.working == []


def test_a_job_that_cannot_be_read_fails_and_keeps_no_other_from_being_run(ledger: Ledger) -> None:
    damaged, lost, other = queue(ledger), queue(ledger), queue(ledger)
    damage(ledger, damaged)
    ledger.execute("DELETE FROM requests WHERE seq = (SELECT seq FROM jobs WHERE id = ?)", (lost,))
    assert [claimed.job.id for claimed in take(ledger)] == [other]
    assert sorted(ledger.unreadable) == sorted((damaged, lost))
    assert (
        ledger.all("SELECT state, reason FROM jobs WHERE id IN (?, ?)", (damaged, lost))
        == [(FAILED, "interrupted")] * 2
    )
    assert ledger.one("SELECT queued, running FROM loads") == (0, 1)
