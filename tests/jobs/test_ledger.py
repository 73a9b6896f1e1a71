"""A ledger finds jobs by everything they are asked by, and gives back all the memory they took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_job import CALL, TERMS
from twistedgate.jobs.job import NewJob, State
from twistedgate.jobs.ledger import ALL, FOR_NEW, MOST_TERMS, RECORD_COST, Ledger, text_weight, weight
from twistedgate.jobs.store import REQUEST, RESULT, StoreFull

HEADERS = ((b"Cookie", b"a=b"), (b"Accept", b"*/*"))
NEW = NewJob("id", "r", "o", "c", replace(CALL, headers=HEADERS), TERMS, b"body", "k", "f")
MUCH = 1 << 30


def _end(ledger: Ledger, job: str, now: float) -> None:
    record = ledger.records[job]
    record.end(State.FAILED, "reset", now)
    ledger.ends.put(now + record.terms.ttl, record)


def test_a_job_leaves_in_two_steps_and_nothing_of_it_stays() -> None:
    ledger = Ledger(MUCH)
    record = ledger.add(NEW, 100.0)
    assert ledger.used == RECORD_COST + len(b"body") + weight(HEADERS) + text_weight(NEW)
    _end(ledger, "id", 110.0)
    ledger.expire(169.0, 10)
    assert (ledger.forgotten, len(ledger.roll("o"))) == (0, 1)
    ledger.expire(170.0, 10)
    assert (ledger.forgotten, record.is_emptied) == (1, True)
    assert ledger.used == RECORD_COST + text_weight(record)
    assert (len(ledger.roll("o")), len(ledger.roll(None))) == (0, 0)
    assert ledger.records == {"id": record}
    ledger.expire(230.0, 10)
    assert (ledger.records, ledger.used, ledger._keys, ledger._owners) == ({}, 0, {}, {})


@pytest.mark.parametrize("chosen", ["path", "query", "authority", "owner", "caller", "key", "callback"])
def test_whatever_a_client_chooses_the_length_of_is_counted(chosen: str) -> None:
    long = "/" + "x" * 9999
    if chosen in {"path", "query", "authority"}:
        job = replace(NEW, call=replace(NEW.call, **cast("Any", {chosen: long})))
    else:
        job = replace(NEW, **cast("Any", {chosen: long}))
    ledger = Ledger(MUCH)
    ledger.add(job, 100.0)
    assert ledger.used > 10_000 + RECORD_COST
    _end(ledger, "id", 110.0)
    ledger.expire(170.0, 10)
    # a query is nobody's any more, and what is remembered takes what it takes
    assert (ledger.used > 10_000) == (chosen != "query")
    ledger.expire(230.0, 10)
    assert (ledger.records, ledger.used) == ({}, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "k", "l"]), st.integers(1, 9))))
def test_memory_is_given_back_to_the_last_byte(jobs: list[tuple[str, str, int]]) -> None:
    ledger = Ledger(MUCH)
    for number, (owner, key, size) in enumerate(jobs):
        body = bytes(size) if size % 3 else None
        job = replace(NEW, id=str(number), owner=owner, caller=owner, key=key, body=body)
        if body is None:
            ledger.put_piece(job.id, REQUEST, 0, bytes(size))
        ledger.add(job, 100.0)
        ledger.put_piece(job.id, RESULT, 0, bytes(size))
        if size % 2:
            ledger.forget(ledger.records[job.id])
        _end(ledger, job.id, 100.0 + size)
    ledger.expire(1e6, 2 * len(jobs))
    assert (ledger.used, ledger.records, len(ledger.pieces), ledger._owners) == (0, {}, 0, {})


def test_no_more_leave_at_once_than_are_let_go() -> None:
    ledger = Ledger(MUCH)
    for number in range(10):
        ledger.add(replace(NEW, id=str(number), key=""), 100.0)
        _end(ledger, str(number), 100.0)
    ledger.expire(1000.0, 10)
    assert (ledger.forgotten, len(ledger.records)) == (10, 10)
    ledger.expire(1000.0, 4)
    assert len(ledger.records) == 6


def test_a_key_is_that_of_a_job_that_lives() -> None:
    ledger = Ledger(MUCH)
    record = ledger.add(NEW, 100.0)
    assert ledger.with_key(NEW, 1e9) is record
    assert ledger.with_key(replace(NEW, key=""), 100.0) is None
    assert ledger.with_key(replace(NEW, caller="d"), 100.0) is None
    assert ledger.with_key(replace(NEW, route="s"), 100.0) is None
    _end(ledger, "id", 110.0)
    assert ledger.with_key(NEW, 169.0) is record
    assert ledger.with_key(NEW, 170.0) is None
    second = ledger.add(replace(NEW, id="second"), 170.0)
    ledger.expire(1e6, 10)
    assert ledger.with_key(NEW, 1e6) is second


def test_an_eighth_is_kept_for_answers() -> None:
    ledger = Ledger(8000)
    ledger.charge(7000, FOR_NEW)
    with pytest.raises(StoreFull):
        ledger.charge(1, FOR_NEW)
    with pytest.raises(StoreFull):
        ledger.put_piece("id", REQUEST, 0, b"x")
    ledger.put_piece("id", RESULT, 0, bytes(1000))
    with pytest.raises(StoreFull):
        ledger.charge(1, ALL)
    assert ledger.used == 8000


def test_a_job_without_an_owner_is_on_nobodys_roll() -> None:
    ledger = Ledger(MUCH)
    ledger.add(replace(NEW, owner=""), 100.0)
    assert len(ledger.roll("")) == 0
    assert len(ledger.roll(None)) == 1


def test_terms_are_kept_once_and_not_for_ever() -> None:
    ledger = Ledger(MUCH)
    first = ledger.add(NEW, 100.0)
    again = ledger.add(replace(NEW, id="again", terms=replace(TERMS)), 100.0)
    assert again.terms is first.terms
    for number in range(2 * MOST_TERMS):
        ledger.add(replace(NEW, id=str(number), terms=replace(TERMS, hold=float(number))), 100.0)
    assert len(ledger._terms) <= MOST_TERMS
    assert ledger.records["7"].terms.hold == 7.0
