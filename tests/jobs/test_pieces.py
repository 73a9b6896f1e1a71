"""Pieces are found by their number, and those of nobody go in time."""

from __future__ import annotations

from twistedgate.jobs.pieces import ORPHANED, Pieces
from twistedgate.jobs.store import REQUEST, RESULT


def test_pieces_are_kept_by_job_kind_and_number() -> None:
    pieces = Pieces()
    assert pieces.put("a", REQUEST, 0, b"one") == 3
    assert pieces.put("a", REQUEST, 1, b"two!") == 4
    assert pieces.put("a", RESULT, 0, b"x") == 1
    assert pieces.put("a", REQUEST, 1, b"2") == -3
    assert pieces.get("a", REQUEST, 1) == b"2"
    assert pieces.get("a", REQUEST, 2) is None
    assert pieces.get("b", REQUEST, 0) is None
    assert (pieces.size("a", REQUEST), pieces.size("b", REQUEST), len(pieces)) == (4, 0, 2)


def test_a_body_is_dropped_whole() -> None:
    pieces = Pieces()
    pieces.put("a", REQUEST, 0, b"one")
    pieces.put("a", RESULT, 0, b"x")
    assert [pieces.drop("a", REQUEST), pieces.drop("a", REQUEST)] == [3, 0]
    assert pieces.get("a", RESULT, 0) == b"x"


def test_those_of_nobody_go_an_hour_after_they_were_seen() -> None:
    pieces = Pieces()
    for job in ("a", "b"):
        pieces.put(job, REQUEST, 0, b"one")
        pieces.await_job(job)
    pieces.adopt("b")
    assert [pieces.drop_orphans(now) for now in (5.0, 5.0 + ORPHANED - 1, 5.0 + ORPHANED)] == [0, 0, 3]
    assert pieces.get("a", REQUEST, 0) is None
    assert pieces.get("b", REQUEST, 0) == b"one"
    assert pieces.drop_orphans(1e9) == 0
