"""A sweep does a little at a time, and gives the disk back what nobody needs."""

from __future__ import annotations

from tests.stores.sqlite.steps import NOW, begin, end, plan, queue
from tests.stores.world import QUEUE_TIMEOUT, TTL
from twistedgate.jobs.job import INLINE, Delivery, End, EndedJob, Head, State, Swept
from twistedgate.jobs.store import REQUEST, RESULT
from twistedgate.stores.sqlite import sweeping
from twistedgate.stores.sqlite.bodies import put_piece
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.sweeping import MOST_PIECES, SPARE_PAGES, UPLOAD_PATIENCE, Sweep, give_back


def pages(ledger: Ledger) -> int:
    """Return how many pages the file has."""
    (count,) = ledger.one("PRAGMA page_count")
    return int(count)


def test_a_sweep_does_a_bounded_amount_and_says_whether_there_is_more(ledger: Ledger) -> None:
    jobs = {queue(ledger) for _ in range(5)}
    sweep = Sweep(None, lambda _: False, NOW + QUEUE_TIMEOUT, most=2)
    done = [sweep.step(ledger) for _ in range(3)]
    assert [(len(swept.ended), is_more) for swept, is_more in done] == [(2, True), (2, True), (1, False)]
    assert {job for swept, _ in done for job in swept.ids} == jobs


def test_runs_of_the_dead_alone_are_ended_or_queued_again(ledger: Ledger) -> None:
    def by(runner: str, delivery: Delivery) -> str:
        ledger.runner = runner
        return begin(ledger, delivery=delivery).job.id

    lost, kept = by("dead", Delivery.AT_MOST_ONCE), by("living", Delivery.AT_MOST_ONCE)
    again = by("dead", Delivery.AT_LEAST_ONCE)
    mine = by("me", Delivery.AT_MOST_ONCE)
    swept, _ = Sweep(None, lambda runner: runner != "living", NOW).step(ledger)
    assert swept == Swept(interrupted=1, put_back=1, ended=(EndedJob(lost, "reports", "interrupted"),))
    assert ledger.changed == [lost, again]
    assert "reports" in ledger.working
    running = ledger.all("SELECT id FROM jobs WHERE state = 1")
    assert {job for (job,) in running} == {kept, mine}


def test_a_sweep_with_nothing_to_do_writes_nothing(ledger: Ledger) -> None:
    begin(ledger)
    before = ledger.one("SELECT total_changes()")
    assert Sweep({"reports"}, lambda _: False, NOW).step(ledger) == (Swept(), False)
    assert ledger.one("SELECT total_changes()") == before


def test_what_time_acts_on_is_found_by_the_index_of_deadlines(ledger: Ledger) -> None:
    for statement in (sweeping._TOO_OLD, sweeping._REMOVED):
        assert "INDEX deadlines" in plan(ledger, statement, 2)
    assert "INDEX deadlines" in plan(ledger, sweeping._GONE, 2)
    assert "INDEX runs" in plan(ledger, "SELECT DISTINCT runner FROM jobs WHERE state = 1", 0)


def test_a_body_without_a_job_is_thrown_away_an_hour_after_it_was_seen(ledger: Ledger) -> None:
    put_piece(ledger, "nobody", REQUEST, 0, b"x")
    for now, left in ((NOW, 1), (NOW + UPLOAD_PATIENCE - 1, 1), (NOW + UPLOAD_PATIENCE, 0)):
        Sweep(None, lambda _: False, now).step(ledger)
        assert ledger.one("SELECT count(*) FROM pieces") == (left,)


def test_free_pages_are_given_back_but_for_some(ledger: Ledger) -> None:
    ledger.execute("BEGIN")
    for number in range(120):
        put_piece(ledger, "upload", REQUEST, number, bytes(INLINE))
    full = pages(ledger)
    ledger.execute("DELETE FROM pieces")
    while give_back(ledger):
        pass
    assert ledger.one("PRAGMA freelist_count") == (SPARE_PAGES,)
    assert pages(ledger) < full - 1500
    assert give_back(ledger) is False
    ledger.execute("COMMIT")


def test_the_large_bodies_of_many_jobs_are_forgotten_a_few_at_a_time(ledger: Ledger) -> None:
    ledger.execute("BEGIN")
    for _ in range(3):
        claimed = begin(ledger)
        for number in range(MOST_PIECES // 2):
            put_piece(ledger, claimed.job.id, RESULT, number, b"x")
        end(ledger, claimed, End(State.SUCCEEDED, Head(200, (), MOST_PIECES // 2)))
    sweep = Sweep(None, lambda _: False, NOW + TTL)
    done = [sweep.step(ledger) for _ in range(2)]
    assert [(swept.forgotten, is_more) for swept, is_more in done] == [(2, True), (1, False)]
    ledger.execute("COMMIT")


def test_nothing_is_left_of_a_job_at_the_end(ledger: Ledger) -> None:
    end(ledger, begin(ledger, key="k", fingerprint="f"))
    for now in (NOW + TTL, NOW + 2 * TTL):
        Sweep(None, lambda _: False, now).step(ledger)
    for table in ("jobs", "requests", "results", "pieces", "shares"):
        assert ledger.one(f"SELECT count(*) FROM {table}") == (0,)
