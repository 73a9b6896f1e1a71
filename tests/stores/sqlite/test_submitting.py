"""What is refused leaves nothing behind; the rest of it is in the suite of all stores."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.stores.sqlite.steps import NOW, hand_in, plan, queue
from tests.stores.sqlite.test_schema import memory
from tests.stores.world import MANY, new_job
from twistedgate.jobs.job import NewJob, Submission, Verdict
from twistedgate.jobs.store import REQUEST
from twistedgate.stores.sqlite import submitting
from twistedgate.stores.sqlite.bodies import put_piece
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import write_call
from twistedgate.stores.sqlite.submitting import Handed, submit


def test_the_large_body_of_a_refused_job_is_not_kept(ledger: Ledger) -> None:
    new = new_job(body=None)
    put_piece(ledger, new.id, REQUEST, 0, b"x")
    full = replace(MANY, max_queued=0, concurrency=0)
    assert hand_in(ledger, new, full).verdict is Verdict.QUEUE_FULL
    assert ledger.one("SELECT count(*) FROM pieces") == (0,)


def test_a_body_that_found_its_job_is_not_waiting_for_it_any_more(ledger: Ledger) -> None:
    new = new_job(body=None)
    put_piece(ledger, new.id, REQUEST, 0, b"x")
    assert ledger.all("SELECT job FROM uploads") == [(new.id,)]
    hand_in(ledger, new, MANY)
    assert ledger.all("SELECT job FROM uploads") == []


def test_whoever_waits_for_work_is_told_of_a_job_that_is_queued(ledger: Ledger) -> None:
    queue(ledger, route="a")
    new = new_job(route="b")
    hand_in(ledger, new, MANY)
    assert ledger.working == ["a"]


def test_no_submission_reads_through_a_table(ledger: Ledger) -> None:
    assert "SEARCH loads" in plan(ledger, submitting._LOADS, 1)
    assert "SEARCH shares" in plan(ledger, submitting._SHARES, 1)
    assert "SEARCH jobs USING INDEX keys" in plan(ledger, submitting._BY_KEY, 3)
    assert "COVERING INDEX queue" in plan(ledger, submitting._COMES_FIRST, 3)


def together(*jobs: NewJob, **named: int) -> tuple[list[Submission], list[Submission]]:
    """Return what becomes of jobs that are handed in at once, and of the same ones one after the other."""
    limits = replace(MANY, **named)
    with closing(memory()) as one, closing(memory()) as other:
        handed = [Handed(new, write_call(new.call), limits, NOW) for new in jobs]
        at_once = submit(Ledger(one, "me"), handed)
        in_turn = [found for each in handed for found in submit(Ledger(other, "me"), [each])]
        for table in ("jobs", "requests", "loads", "shares"):
            kept = [connection.execute(f"SELECT * FROM {table}").fetchall() for connection in (one, other)]
            assert kept[0] == kept[1]
    return at_once, in_turn


HANDED = st.lists(
    st.builds(
        new_job,
        route=st.sampled_from("ab"),
        caller=st.sampled_from("xy"),
        priority=st.sampled_from([0, 0, 1]),
        key=st.sampled_from(["", "", "k"]),
        fingerprint=st.sampled_from("fg"),
    ),
    max_size=80,
)


@given(HANDED, st.sampled_from([0, 3, 50]), st.sampled_from([0, 2, 50]), st.sampled_from([0, 2, 50]))
def test_those_who_come_at_once_are_served_as_if_they_came_in_turn(
    jobs: list[NewJob], concurrency: int, queued: int, share: int
) -> None:
    at_once, in_turn = together(
        *jobs, concurrency=concurrency, max_queued=queued, max_queued_per_caller=share
    )
    assert at_once == in_turn


def test_many_are_written_by_few_statements(ledger: Ledger) -> None:
    statements: list[str] = []
    execute = ledger.execute

    def count(statement: str, *values: Any) -> sqlite3.Cursor:
        statements.append(statement)
        return execute(statement, *values)

    ledger.execute = count
    jobs = [new_job() for _ in range(64)]
    submit(ledger, [Handed(new, write_call(new.call), MANY, NOW) for new in jobs])
    assert len(statements) == 4
