"""A record changes as its job does, and lets go of what is not to be kept."""

from __future__ import annotations

import gc
from dataclasses import replace

from tests.jobs.test_job import CALL, TERMS
from twistedgate.jobs.job import Head, NewJob, State
from twistedgate.jobs.record import Record

SECRET = replace(CALL, headers=((b"Authorization", b"Bearer x"), (b"Accept", b"*/*")))
NEW = NewJob("id", "r", "o", "c", SECRET, TERMS, b"body", "k", "f", "https://client.example/")
HEAD = Head(200, (), 2)


def test_a_job_is_shown_as_it_was_handed_in() -> None:
    job = Record(NEW, 7, 100.0).job(100.0)
    assert (job.id, job.route, job.owner, job.caller, job.call) == ("id", "r", "o", "c", SECRET)
    assert (job.terms, job.key, job.fingerprint, job.callback) == (TERMS, "k", "f", "https://client.example/")
    assert (job.state, job.submitted, job.attempts, job.version) == (State.QUEUED, 100.0, 0, 1)


def test_every_change_makes_another_version() -> None:
    record = Record(NEW, 7, 100.0)
    versions = [record.version]
    for change in (
        lambda: record.begin("a", 1, 101.0),
        lambda: record.wait(105.0, 102.0),
        lambda: record.begin("a", 2, 105.0),
        lambda: record.end(State.FAILED, "reset", 106.0),
        record.forget,
    ):
        change()
        versions.append(record.version)
    assert versions == sorted(set(versions))


def test_a_run_leaves_its_traces() -> None:
    record = Record(NEW, 7, 100.0)
    record.begin("a", 1, 101.0)
    assert (record.state, record.runner, record.fence, record.started) == (State.RUNNING, "a", 1, 101.0)
    record.wait(50.0, 102.0)
    assert (record.state, record.runner, record.fence, record.due) == (State.QUEUED, "", 0, 102.0)
    assert record.attempts == 1


def test_it_waits_from_when_it_was_due() -> None:
    record = Record(NEW, 7, 100.0)
    assert record.queue_ends == record.job(100.0).queue_ends == 130.0
    record.wait(150.0, 102.0)
    assert record.queue_ends == record.job(102.0).queue_ends == 180.0


def test_nothing_secret_outlives_the_end() -> None:
    record = Record(NEW, 7, 100.0)
    record.end(State.CANCELLED, "", 110.0)
    assert record.call.headers == ((b"Accept", b"*/*"),)
    kept = [getattr(record, name) for name in Record.__slots__]
    assert "Bearer" not in repr(kept)


def test_it_is_gone_after_its_ttl_and_unknown_after_two() -> None:
    record = Record(NEW, 7, 100.0)
    assert not record.is_gone(10_000.0)
    record.end(State.SUCCEEDED, "", 110.0)
    times = (169.9, 170.0, 229.9, 230.0)
    assert [record.is_gone(now) for now in times] == [False, True, True, True]
    assert [record.is_unknown(now) for now in times] == [False, False, False, True]
    assert record.job(170.0).is_gone


def test_a_job_that_is_over_is_shown_as_it_was() -> None:
    record = Record(NEW, 7, 100.0)
    record.head = HEAD
    record.end(State.SUCCEEDED, "", 110.0)
    assert (record.head, record.job(110.0).head) == (HEAD, HEAD)
    assert record.call == SECRET.without_secrets()
    record.wait(120.0, 120.0)
    assert record.job(120.0).call == SECRET.without_secrets()


def test_a_job_that_is_over_is_little_work_for_the_collector() -> None:
    record = Record(NEW, 7, 100.0)
    record.head = HEAD
    record.end(State.SUCCEEDED, "", 110.0)
    gc.collect()
    gc.collect()
    shared = (Record, TERMS, State.SUCCEEDED)
    own = [value for value in gc.get_referents(record) if value not in shared]
    assert [value for value in own if gc.is_tracked(value)] == []


def test_it_is_emptied_and_forgotten() -> None:
    record = Record(NEW, 7, 100.0)
    record.end(State.SUCCEEDED, "", 110.0)
    record.head, record.result, record.status = HEAD, b"ok", 200
    record.forget()
    assert [record.job(110.0).head, record.result, record.body, record.status] == [None, None, None, 200]
    record.empty()
    assert (record.is_emptied, record.call.headers) == (True, ())
