from __future__ import annotations

from typing import Any

import pytest

from tests.admin.conftest import Answer, Conversation, Converse, Orders
from tests.admin.keeping import AwayStore, Jobs, SlowStore
from twistedgate.admin.job_result import Flow
from twistedgate.jobs.job import INLINE

LARGE = bytes(range(256)) * 4096
"""Four pieces."""


def begin(conversation: Conversation, job: str, method: str = "GET") -> None:
    conversation.begin(f"/jobs/{job}/result", method=method)


def test_a_small_result_is_its_bytes_and_nothing_to_be_shown(converse: Converse, operations: Orders) -> None:
    jobs = Jobs()
    operations.store = jobs.store
    job = jobs.succeeded(b"<script>", (b"Content-Type", b"text/html"), (b"Set-Cookie", b"id=s3cret"))
    conversation = converse()
    answer = conversation.ask(f"/jobs/{job}/result")
    assert (answer.status, answer.body) == (200, b"<script>")
    assert (
        answer.headers.items()
        >= {
            "content-type": "application/octet-stream",
            "content-length": "8",
            "content-disposition": f'attachment; filename="{job.lower()}"',
            "content-security-policy": "default-src 'none'; sandbox",
            "cross-origin-resource-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        }.items()
    )
    assert "set-cookie" not in answer.headers
    assert conversation.ask("/live").status == 200


def test_an_empty_one_is_no_bytes(converse: Converse, operations: Orders) -> None:
    jobs = Jobs()
    operations.store = jobs.store
    answer = converse().ask(f"/jobs/{jobs.succeeded(b'')}/result")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "0", b"")


def test_of_a_large_one_all_pieces_are_sent(converse: Converse, operations: Orders) -> None:
    jobs = Jobs()
    operations.store = jobs.store
    job = jobs.succeeded(LARGE)
    conversation = converse()
    assert conversation.ask(f"/jobs/{job}/result").body == LARGE
    assert conversation.ask(f"/jobs/{job}").status == 200


def test_head_is_told_how_long_it_is(converse: Converse, operations: Orders) -> None:
    jobs = Jobs()
    operations.store = jobs.store
    answer = converse().ask(f"/jobs/{jobs.succeeded(LARGE)}/result", "HEAD")
    assert (answer.headers["content-length"], answer.body) == (str(len(LARGE)), b"")


@pytest.fixture
def slow(operations: Orders) -> SlowStore:
    operations.store = SlowStore()
    return operations.store


def test_a_piece_is_asked_for_when_there_is_room(
    converse: Converse, operations: Orders, slow: SlowStore
) -> None:
    conversation = converse()
    begin(conversation, Jobs(slow).succeeded(LARGE))
    received = b""

    def take() -> None:
        nonlocal received
        received += conversation.transport.value()
        conversation.transport.clear()

    slow.go_on()
    assert slow.pieces == 2
    conversation.channel.pauseProducing()
    slow.go_on()
    assert slow.pieces == 2, "the second piece was sent, and no third was asked for"
    take()
    conversation.channel.resumeProducing()
    assert slow.pieces == 3
    while slow.waiting:
        slow.go_on()
    take()
    assert Answer(received).body == LARGE
    assert slow.pieces == 4
    assert conversation.ask("/live").status == 200


def test_nothing_more_is_asked_for_when_nobody_takes_it(
    converse: Converse, operations: Orders, slow: SlowStore
) -> None:
    job = Jobs(slow).succeeded(LARGE)
    early, waiting, paused = converse(), converse(), converse()
    begin(early, job)
    early.close()
    slow.go_on()
    for conversation in (waiting, paused):
        begin(conversation, job)
    slow.go_on()
    paused.channel.pauseProducing()
    slow.go_on()
    begin(waiting, job)
    pieces = slow.pieces
    for conversation in (waiting, paused):
        conversation.close()
    while slow.waiting:
        slow.go_on()
    assert slow.pieces <= pieces + 1


@pytest.mark.parametrize("pieces", [1, 3])
def test_where_the_store_goes_away_the_answer_is_cut_off(
    converse: Converse, operations: Orders, pieces: int
) -> None:
    operations.store = store = AwayStore(get_piece=pieces)
    conversation = converse()
    answer = conversation.ask(f"/jobs/{Jobs(store).succeeded(LARGE)}/result")
    assert conversation.transport.disconnecting
    assert answer.body == LARGE[: pieces * INLINE]


def test_and_where_the_result_is_forgotten_meanwhile(
    converse: Converse, operations: Orders, slow: SlowStore
) -> None:
    jobs = Jobs(slow)
    job = jobs.succeeded(LARGE)
    conversation = converse()
    begin(conversation, job)
    slow.go_on()
    slow.memory.ledger.forget(slow.memory.ledger.records[job])
    slow.go_on()
    assert conversation.transport.disconnecting


def test_one_that_was_forgotten_just_now_is_gone(
    converse: Converse, operations: Orders, slow: SlowStore
) -> None:
    job = Jobs(slow).succeeded(LARGE)
    conversation = converse()
    begin(conversation, job)
    slow.memory.ledger.forget(slow.memory.ledger.records[job])
    slow.go_on()
    answer = conversation.answered()
    assert (answer.status, answer.document["reason"]) == (410, "job-gone")


def test_room_is_waited_for_only_where_there_is_none() -> None:
    from twisted.internet.defer import Deferred

    flow = Flow()
    told: list[Any] = []

    def ask() -> None:
        Deferred.fromCoroutine(flow.has_room()).addCallback(told.append)

    ask()
    flow.pauseProducing()
    ask()
    assert told == [True]
    flow.resumeProducing()
    assert told == [True, True]
    flow.pauseProducing()
    ask()
    flow.stopProducing()
    ask()
    assert told == [True, True, False, False]
