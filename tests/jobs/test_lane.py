"""The queue of a route: the highest priority's oldest is next, and a slot is for those who waited."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_job import CALL, TERMS
from twistedgate.jobs.job import Counts, Limits, NewJob, Verdict
from twistedgate.jobs.lane import Lane
from twistedgate.jobs.record import Record

NEW = NewJob("id", "r", "o", "c", CALL, TERMS, b"")


def _record(number: int, *, priority: int = 0, caller: str = "c") -> Record:
    new = replace(NEW, id=str(number), caller=caller, terms=replace(TERMS, priority=priority))
    return Record(new, number, 100.0)


def _lane(*records: Record) -> Lane:
    lane = Lane()
    for record in records:
        lane.join(record, 100.0)
    return lane


@given(st.lists(st.tuples(st.integers(-1, 1), st.sampled_from([100.0, 104.0, 108.0])), max_size=20))
def test_the_next_is_the_highest_prioritys_oldest_that_is_due(jobs: list[tuple[int, float]]) -> None:
    records = [_record(number, priority=priority) for number, (priority, _) in enumerate(jobs)]
    for record, (_, due) in zip(records, jobs, strict=True):
        record.due = due
    lane = _lane(*records)
    left = list(records)
    for now in (100.0, 105.0, 110.0):
        due_now = sorted(
            [record for record in left if record.due <= now],
            key=lambda record: (-record.terms.priority, record.number),
        )
        taken = []
        while (following := lane.take(1, now)) is not None:
            taken.append(following)
        assert taken == due_now
        left = [record for record in left if record not in taken]
    assert left == []
    assert lane.counts() == Counts()


def test_nothing_is_taken_when_all_slots_are() -> None:
    lane = _lane(_record(1))
    lane.running = 2
    assert lane.take(2, 100.0) is None
    assert lane.take(3, 100.0) is not None


def test_who_waited_too_long_is_passed_over_but_still_there() -> None:
    old, young = _record(1), _record(2)
    young.due = 110.0
    lane = _lane(old, young)
    assert lane.take(1, 131.0) is young
    assert lane.take(1, 131.0) is None
    assert lane.queued == 1
    lane.leave(old)
    assert lane.queued == 0


def test_a_job_starts_where_a_slot_is_free_and_nothing_comes_before() -> None:
    assert Lane().starts(0, 1, 100.0)
    assert not Lane().starts(0, 0, 100.0)
    lane = _lane(_record(1, priority=3))
    assert [lane.starts(priority, 1, 100.0) for priority in (2, 3, 4)] == [False, False, True]
    assert lane.starts(2, 1, 130.0)


def test_places_are_counted_for_all_and_for_each() -> None:
    one, two = _record(1, caller="alice"), _record(2, caller="bob")
    lane = _lane(one, two)
    limits = Limits(max_queued=2, max_queued_per_caller=1, concurrency=1)
    assert lane.refuses("alice", limits) is Verdict.CALLER_FULL
    assert lane.refuses("carol", limits) is Verdict.QUEUE_FULL
    lane.leave(one)
    assert lane.refuses("alice", limits) is None
    assert lane.refuses("bob", limits) is Verdict.CALLER_FULL


def test_the_oldest_is_told_whatever_it_waits_for() -> None:
    one, two = _record(1), _record(2, priority=5)
    two.submitted = 103.0
    one.due = 120.0
    lane = _lane(one, two)
    lane.running = 4
    assert lane.counts() == Counts(2, 4, 100.0)
    assert lane.waiting() == [one, two]
    lane.leave(one)
    assert lane.counts() == Counts(1, 4, 103.0)
