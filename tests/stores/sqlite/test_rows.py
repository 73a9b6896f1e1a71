"""What is read is what was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.stores.sqlite.steps import NOW, queue
from tests.stores.world import CALL, new_job
from twistedgate.jobs.job import Call, Delivery, Head, State
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.rows import (
    JOB,
    NUMBERS,
    STATES,
    WIDTH,
    has_secrets,
    is_remembered,
    read_call,
    read_head,
    read_job,
    write_call,
    write_head,
)
from twistedgate.stores.sqlite.rows import (
    new_job as made,
)

FIELDS = st.lists(st.tuples(st.binary(), st.binary())).map(tuple)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(FIELDS, TEXT, st.lists(TEXT).map(tuple), st.integers(0, 2**53))
def test_a_call_is_read_as_it_was_written(
    fields: tuple[tuple[bytes, bytes], ...], text: str, groups: tuple[str, ...], length: int
) -> None:
    call = Call("GET", text, text, text, text, fields, text, text, text, text, groups, length)
    assert read_call(write_call(call)) == call


@given(st.integers(100, 599), FIELDS, st.binary())
def test_a_head_is_read_as_it_was_written(
    status: int, fields: tuple[tuple[bytes, bytes], ...], phrase: bytes
) -> None:
    head = Head(status, fields, 7, phrase)
    assert read_head(write_head(head)) == head


def test_every_state_has_its_number() -> None:
    assert set(STATES) == set(State)
    assert [NUMBERS[state] for state in STATES] == [0, 1, 2, 3, 4]


def test_a_row_is_the_job_that_it_was_made_of(ledger: Ledger) -> None:
    named: dict[str, Any] = {
        "priority": -2,
        "hold": 1.5,
        "key": "k",
        "fingerprint": "f",
        "callback": "https://x",
    }
    new = new_job(delivery=Delivery.AT_LEAST_ONCE, **named)
    queue(ledger, id=new.id, delivery=Delivery.AT_LEAST_ONCE, **named)
    row = ledger.one(f"SELECT {JOB} FROM jobs")
    assert len(row) == WIDTH
    assert read_job(row, NOW) == made(new, "", NOW)


def test_a_job_is_gone_after_its_ttl_and_forgotten_after_another() -> None:
    job = replace(made(new_job(ttl=10.0), "", NOW), finished=NOW)
    assert is_remembered(job, NOW + 19)
    assert not is_remembered(job, NOW + 20)
    assert is_remembered(replace(job, finished=None), NOW + 1000)


def test_credentials_are_seen_however_they_are_written() -> None:
    assert not has_secrets(CALL)
    assert has_secrets(replace(CALL, headers=((b"COOKIE", b"a=b"),)))
