"""The tables count by themselves, and only a file of ours is touched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.job import new_id
from twistedgate.stores.sqlite.schema import APPLICATION, VERSION, ForeignFile, prepare

NEW = """
    INSERT INTO jobs (route, caller, state, id, owner, submitted, due, is_retried, ttl, queue_timeout,
        retries, priority, hold, has_secrets, is_inline)
    VALUES (?, ?, ?, ?, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
"""
CHANGES = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 4)), max_size=40
)


def memory() -> sqlite3.Connection:
    """Return a database with the tables in it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection)
    return connection


def counted(connection: sqlite3.Connection) -> tuple[set[tuple[str, int, int]], set[tuple[str, str, int]]]:
    """Return what ``loads`` and ``shares`` must say, counted row by row."""
    loads = connection.execute(
        "SELECT route, sum(state = 0), sum(state = 1) FROM jobs GROUP BY route HAVING sum(state < 2) > 0"
    )
    shares = connection.execute(
        "SELECT route, caller, count(*) FROM jobs WHERE state = 0 GROUP BY route, caller"
    )
    return set(loads.fetchall()), set(shares.fetchall())


@given(CHANGES)
def test_what_waits_and_what_runs_is_counted_whatever_happens(
    changes: list[tuple[int, str, str, int]],
) -> None:
    connection = memory()
    for job, route, caller, state in changes:
        if connection.execute("SELECT 1 FROM jobs WHERE id = ?", (str(job),)).fetchone():
            connection.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, str(job)))
        else:
            connection.execute(NEW, (route, caller, state, str(job)))
    loads, shares = counted(connection)
    assert set(connection.execute("SELECT * FROM loads WHERE queued <> 0 OR running <> 0")) == loads
    assert set(connection.execute("SELECT * FROM shares")) == shares
    connection.close()


def test_a_job_takes_along_what_was_kept_of_it() -> None:
    connection = memory()
    connection.execute(NEW, ("r", "c", 0, "j"))
    connection.execute("UPDATE jobs SET state = 3")
    connection.execute("INSERT INTO requests VALUES (1, '', '')")
    connection.execute("INSERT INTO results VALUES (1, '', '')")
    connection.execute("INSERT INTO pieces VALUES ('j', 'request', 0, '')")
    connection.execute("DELETE FROM jobs")
    for table in ("requests", "results", "pieces"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.close()


def test_an_end_is_told_where_somebody_asked() -> None:
    connection = memory()
    connection.execute(NEW, ("r", "c", 1, "asked"))
    connection.execute(NEW, ("r", "c", 1, "silent"))
    connection.execute("UPDATE jobs SET callback = 'https://x' WHERE id = 'asked'")
    connection.execute("UPDATE jobs SET state = 3, finished = 7, version = 2")
    assert connection.execute("SELECT * FROM callbacks").fetchall() == [(1, 0, 7.0, 2_000_000)]
    connection.close()


def test_tables_that_are_there_are_left_as_they_are(path: Path) -> None:
    for _ in range(2):
        connection = sqlite3.connect(path, isolation_level=None)
        prepare(connection)
        connection.execute(NEW, ("r", "c", 0, new_id()))
        connection.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (2,)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (["CREATE TABLE notes (text)"], "another program"),
        (["PRAGMA application_id = 7"], "another program"),
        ([f"PRAGMA application_id = {APPLICATION}", "PRAGMA user_version = 99"], "version 99"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(path: Path, made: list[str], says: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in made:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(ForeignFile, match=says):
        prepare(connection)
    assert not connection.in_transaction
    connection.close()
    assert path.read_bytes() == before
