"""Lists find an owner's jobs without a search; the rest of it is in the suite of all stores."""

from __future__ import annotations

import pytest

from tests.stores.sqlite.steps import NOW, begin, damage, plan, queue
from twistedgate.jobs.job import State
from twistedgate.stores.sqlite import owning
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.owning import cancel, find_all, list_jobs, read_cursor, retry


def test_an_owners_jobs_are_found_by_their_index(ledger: Ledger) -> None:
    statement = owning._LIST + " AND owner = ? AND owner <> '' ORDER BY seq DESC LIMIT ?"
    steps = plan(ledger, statement, 4)
    assert "INDEX owners" in steps
    assert "TEMP B-TREE" not in steps


def test_a_list_of_those_without_an_owner_is_a_list(ledger: Ledger) -> None:
    nobodys = queue(ledger, owner="")
    queue(ledger)
    page = list_jobs(ledger, ("", State.QUEUED), 10, read_cursor(""), NOW)
    assert [job.id for job in page.jobs] == [nobodys]


def test_a_cursor_is_a_place_in_the_order_of_submission(ledger: Ledger) -> None:
    jobs = [queue(ledger) for _ in range(3)]
    page = list_jobs(ledger, (None, None), 2, read_cursor(""), NOW)
    assert [job.id for job in page.jobs] == jobs[:0:-1]
    assert read_cursor(page.cursor) == 2
    with pytest.raises(ValueError, match="cursor"):
        read_cursor("-1")


def test_cancelling_and_repeating_are_noted(ledger: Ledger) -> None:
    claimed = begin(ledger)
    queue(ledger)
    ledger.working.clear()
    cancel(ledger, claimed.job.id, NOW)
    assert (ledger.changed, ledger.working) == ([claimed.job.id], ["reports"])
    retry(ledger, claimed.job.id, NOW)
    assert (ledger.changed, ledger.working) == ([claimed.job.id] * 2, ["reports"] * 2)


def test_who_asks_for_a_job_that_cannot_be_read_keeps_nobody_from_his_own(ledger: Ledger) -> None:
    damaged, other = queue(ledger), queue(ledger)
    damage(ledger, damaged)
    gone, found = find_all(ledger, [(damaged, NOW), (other, NOW)])
    assert gone is None
    assert found is not None
    assert [job.id for job in list_jobs(ledger, (None, None), 9, 2**62, NOW).jobs] == [other]
