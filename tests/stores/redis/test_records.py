"""A job is read as it was written, whatever bytes and texts it is made of."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.stores.world import CALL, HEAD, new_job
from twistedgate.jobs.job import Delivery, End, Head, Job, Limits, NewJob, State, Terms
from twistedgate.stores.redis.records import (
    end_record,
    head_record,
    key_name,
    milliseconds,
    new_record,
    octets,
    read_claim,
    read_job,
    remembered_job,
    submit_record,
    submitted_job,
)

FIELDS = st.tuples(
    st.sampled_from([b"Accept", b"Authorization", b"cookie", b"X-A", b"COOKIE"]), st.binary(max_size=5)
)
TEXTS = st.text(st.characters(), max_size=8)
"""Lone surrogates among them, which a claim of a token may hold."""


def view(new: NewJob, **named: bytes) -> list[bytes | None]:
    """Return what the prelude's ``view`` would show of a job, with fields as ``named``."""
    written, secret = new_record(new)
    shown = {
        "new": written,
        "secret": secret or None,
        "state": b"queued",
        "submitted": b"1000",
        **dict.fromkeys(("started", "finished", "attempts", "due", "status", "reason", "head")),
        "forgotten": None,
        "runner": b"",
        "version": b"1",
        "id": new.id.encode(),
        "now": b"1000",
    }
    return list({**shown, **named}.values())


@given(st.lists(FIELDS, max_size=6), TEXTS, TEXTS, st.sampled_from(Delivery), st.integers(-5, 5))
def test_a_job_is_read_as_it_was_written(
    headers: list[tuple[bytes, bytes]], owner: str, key: str, delivery: Delivery, priority: int
) -> None:
    new = new_job(
        headers=tuple(headers), owner=owner, key=key, delivery=delivery, priority=priority, hold=2.5
    )
    assert read_job(view(new)) == submitted_job(new, 1.0, "")


@given(st.lists(FIELDS, max_size=6))
def test_what_never_changes_holds_no_credentials(headers: list[tuple[bytes, bytes]]) -> None:
    new = new_job(headers=tuple(headers))
    job = read_job([new_record(new)[0], None, *view(new)[2:]])
    assert job is not None
    assert job.call == new.call.without_secrets()


def test_all_that_happened_to_it_is_read() -> None:
    new = new_job()
    shown = view(
        new,
        state=b"succeeded",
        started=b"2500",
        finished=b"4000",
        attempts=b"3",
        due=b"2000",
        status=b"200",
        reason=b"",
        head=head_record(HEAD),
        forgotten=b"1",
        runner=b"me",
        version=b"9",
        now=b"5000",
    )
    assert read_job(shown) == Job(
        new.id,
        new.route,
        new.owner,
        new.caller,
        CALL,
        new.terms,
        State.SUCCEEDED,
        1.0,
        started=2.5,
        finished=4.0,
        attempts=3,
        due=2.0,
        status=200,
        head=HEAD,
        is_forgotten=True,
        runner="me",
        version=9,
    )


def test_a_job_is_gone_after_its_ttl_and_unknown_after_as_long_again() -> None:
    new = new_job(ttl=10.0)
    shown = [
        read_job(view(new, state=b"failed", finished=b"1000", now=now))
        for now in (b"10999", b"11000", b"20999", b"21000")
    ]
    assert [job and job.is_gone for job in shown] == [False, True, True, None]
    assert remembered_job(view(new, state=b"failed", finished=b"1000", now=b"99000")).is_gone


def test_a_job_of_a_version_that_knew_less_is_read() -> None:
    new = new_job()
    shown = view(new)
    assert shown[0] is not None
    terms = b'["at-most-once",95.0,45.0,3,0,0.0]'
    assert terms in shown[0]
    shown[0] = shown[0].replace(terms, b'["at-most-once",95.0,45.0,3]')
    assert read_job(shown) == submitted_job(new, 1.0, "")


@given(st.binary(max_size=5), st.binary(max_size=5), st.binary(max_size=5))
def test_heads_are_any_bytes(name: bytes, value: bytes, phrase: bytes) -> None:
    head = Head(599, ((name, value),), 2**40, phrase)
    job = read_job(view(new_job(), head=head_record(head)))
    assert job is not None
    assert job.head == head


def test_a_claim_has_its_body_if_it_is_small() -> None:
    large, empty, small = new_job(length=10**7), new_job(length=0), new_job(length=1)
    bodies = [
        read_claim([4, body, view(new)]).body for new, body in ((large, None), (empty, None), (small, b"x"))
    ]
    assert bodies == [None, b"", b"x"]
    assert read_claim([4, None, view(large)]).fence == 4


def test_keys_of_different_calls_have_different_names() -> None:
    jobs = [
        new_job(key="k"),
        new_job(key="k", caller="other"),
        new_job(key="k", route="other"),
        new_job(key='","k'),
        new_job(key="k", caller='x","k'),
    ]
    assert len({key_name(job) for job in jobs}) == len(jobs)
    assert key_name(jobs[0]) == key_name(replace(jobs[0], id="x", owner="y"))
    assert key_name(new_job()) == ""


def test_scripts_are_told_of_a_submission_in_their_units() -> None:
    new = new_job(ttl=1.5, queue_timeout=0.25, priority=-1, delivery=Delivery.AT_LEAST_ONCE, body=None)
    record = submit_record(new, Limits(1, 2, 3))
    assert record[8:] == (b"", 1, 1500, 250, 1, -1, b"", 1, 2, 3)


def test_scripts_are_told_of_an_end() -> None:
    assert end_record(End(State.FAILED, reason="reset")) == (State.FAILED, "reset", "", b"", b"", 1)
    assert end_record(End(State.SUCCEEDED, HEAD, b"x"))[2:] == (200, head_record(HEAD), b"x", 0)


def test_numbers_and_texts_are_told_exactly() -> None:
    assert milliseconds(0.0015) == 2
    assert octets("é\ud800").decode("utf-8", "surrogatepass") == "é\ud800"


def test_terms_are_written_in_their_order() -> None:
    assert Terms.__slots__[:4] == ("delivery", "ttl", "queue_timeout", "retries")
