"""Events are written as an event source reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_job import CALL, TERMS
from twistedgate.jobs.document import document, write
from twistedgate.jobs.events import BEGINNING, COMMENT, is_news, last_event, write_event
from twistedgate.jobs.job import Job, State

JOB = Job("id", "r", "", "", CALL, TERMS, State.RUNNING, 100.0, version=7)


def _read(stream: bytes) -> list[dict[str, str]]:
    """Read a stream as the standard says, fields of each event joined."""
    events: list[dict[str, str]] = []
    for block in stream.decode().split("\n\n")[:-1]:
        event: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                value = value.removeprefix(" ")
                event[name] = f"{event[name]}\n{value}" if name in event else value
        if "data" in event:
            events.append(event)
    return events


def test_a_change_of_state_is_an_event() -> None:
    written = write(document(JOB, "/_jobs"))
    assert write_event(JOB, written) == b"id: 7\nevent: running\ndata: " + written.rstrip() + b"\n\n"


@given(st.sampled_from(State), st.integers(0, 10**9), st.lists(st.text("ab: ", max_size=4), min_size=1))
def test_an_event_is_read_as_it_was_written(state: State, version: int, lines: list[str]) -> None:
    job = replace(JOB, state=state, version=version)
    text = "\n".join(["{", *lines, "}"])
    stream = BEGINNING + write_event(job, text.encode()) + COMMENT + write_event(job, text.encode())
    assert _read(stream) == [{"id": str(version), "event": str(state), "data": text}] * 2
    assert last_event(str(version).encode()) == version


def test_a_comment_is_no_event() -> None:
    assert _read(COMMENT) == []
    assert COMMENT.startswith(b":")
    assert COMMENT.endswith(b"\n\n")


@pytest.mark.parametrize("value", [None, b"", b"x", b"-1", b"1.5", b"9" * 40, "٣".encode(), b" 7"])
def test_what_is_no_id_was_never_seen(value: bytes | None) -> None:
    assert last_event(value) == 0


def test_who_has_seen_the_last_change_is_told_nothing() -> None:
    assert not is_news(JOB, 7)
    assert is_news(JOB, 6)
    assert is_news(JOB, 0)
    assert is_news(JOB, 900)
