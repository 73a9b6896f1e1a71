"""The tables of a file of jobs, and which file is one.

Rules: what a job is asked for all the time is in ``jobs``, whose rows are short; its call, its result's head
and its small bodies are written once, beside it.  Nobody counts rows to know whether there is room: triggers
keep ``loads`` and ``shares`` in step with every change of a state, so no statement can forget to.  A file of
another version, or of another program, is refused and left as it is.
"""

from __future__ import annotations

import sqlite3
from typing import Final

VERSION: Final = 1
"""Of the tables; kept as the file's ``user_version``."""

APPLICATION: Final = 0x7467_6A62
"""The file's ``application_id`` (``tgjb``): file(1) and we know it by that."""

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = range(5)
"""States as they are written; what is final is not below ``SUCCEEDED``."""

_TABLES: Final = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL,
    owner TEXT NOT NULL,
    caller TEXT NOT NULL,
    state INTEGER NOT NULL,
    submitted REAL NOT NULL,
    started REAL,
    finished REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    status INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    is_forgotten INTEGER NOT NULL DEFAULT 0,
    is_gone INTEGER NOT NULL DEFAULT 0,
    runner TEXT NOT NULL DEFAULT '',
    key TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL DEFAULT '',
    callback TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 1,
    is_retried INTEGER NOT NULL,
    ttl REAL NOT NULL,
    queue_timeout REAL NOT NULL,
    retries INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    hold REAL NOT NULL,
    deadline REAL,
    has_secrets INTEGER NOT NULL,
    is_inline INTEGER NOT NULL
);
-- claims: the highest priority's oldest; what is not due, or too old, is passed over in the index alone
CREATE INDEX queue ON jobs (route, priority DESC, seq, due, deadline, state) WHERE state = 0;
CREATE INDEX runs ON jobs (runner) WHERE state = 1;
-- when time acts next: the end of waiting, of the ttl, of being remembered
CREATE INDEX deadlines ON jobs (deadline, state, is_gone) WHERE deadline IS NOT NULL;
CREATE INDEX owners ON jobs (owner, seq) WHERE owner <> '';
CREATE UNIQUE INDEX keys ON jobs (route, caller, key) WHERE key <> '';

CREATE TABLE requests (seq INTEGER PRIMARY KEY, call BLOB NOT NULL, body BLOB);
CREATE TABLE results (seq INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB);
CREATE TABLE pieces (job TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, piece BLOB NOT NULL);
CREATE UNIQUE INDEX pieces_of ON pieces (job, kind, number);
-- bodies whose job has not come yet; ``seen`` by a sweep
CREATE TABLE uploads (job TEXT PRIMARY KEY, seen REAL) WITHOUT ROWID;
CREATE TABLE callbacks (
    seq INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, due REAL NOT NULL, fence INTEGER NOT NULL
);
CREATE INDEX callbacks_due ON callbacks (due);

CREATE TABLE loads (route TEXT PRIMARY KEY, queued INTEGER NOT NULL, running INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE shares (
    route TEXT NOT NULL, caller TEXT NOT NULL, queued INTEGER NOT NULL, PRIMARY KEY (route, caller)
) WITHOUT ROWID;
"""

_ENTER_QUEUE: Final = """
    INSERT INTO loads VALUES (NEW.route, 1, 0) ON CONFLICT DO UPDATE SET queued = queued + 1;
    INSERT INTO shares VALUES (NEW.route, NEW.caller, 1) ON CONFLICT DO UPDATE SET queued = queued + 1;
"""
_LEAVE_QUEUE: Final = """
    UPDATE loads SET queued = queued - 1 WHERE route = OLD.route;
    UPDATE shares SET queued = queued - 1 WHERE route = OLD.route AND caller = OLD.caller;
    DELETE FROM shares WHERE route = OLD.route AND caller = OLD.caller AND queued <= 0;
"""
_BEGIN_RUN: Final = """
    INSERT INTO loads VALUES (NEW.route, 0, 1) ON CONFLICT DO UPDATE SET running = running + 1;
"""
_END_RUN: Final = """
    UPDATE loads SET running = running - 1 WHERE route = OLD.route;
"""

_TRIGGERS: Final = f"""
CREATE TRIGGER queued_new AFTER INSERT ON jobs WHEN NEW.state = 0 BEGIN {_ENTER_QUEUE} END;
CREATE TRIGGER running_new AFTER INSERT ON jobs WHEN NEW.state = 1 BEGIN {_BEGIN_RUN} END;
CREATE TRIGGER queued_again AFTER UPDATE OF state ON jobs WHEN NEW.state = 0 AND OLD.state <> 0
    BEGIN {_ENTER_QUEUE} END;
CREATE TRIGGER queued_no_more AFTER UPDATE OF state ON jobs WHEN OLD.state = 0 AND NEW.state <> 0
    BEGIN {_LEAVE_QUEUE} END;
CREATE TRIGGER running_now AFTER UPDATE OF state ON jobs WHEN NEW.state = 1 AND OLD.state <> 1
    BEGIN {_BEGIN_RUN} END;
CREATE TRIGGER running_no_more AFTER UPDATE OF state ON jobs WHEN OLD.state = 1 AND NEW.state <> 1
    BEGIN {_END_RUN} END;
-- a fence beyond all that an earlier end of the same job has given out
CREATE TRIGGER told AFTER UPDATE OF state ON jobs
    WHEN NEW.state >= 2 AND OLD.state < 2 AND NEW.callback <> ''
    BEGIN INSERT OR REPLACE INTO callbacks VALUES (NEW.seq, 0, NEW.finished, NEW.version * 1000000); END;
CREATE TRIGGER removed AFTER DELETE ON jobs BEGIN
    DELETE FROM requests WHERE seq = OLD.seq;
    DELETE FROM results WHERE seq = OLD.seq;
    DELETE FROM pieces WHERE job = OLD.id;
END;
"""  # noqa: S608 -- our own words


class ForeignFile(Exception):
    """The file is not one of ours, or of a version that this program does not know."""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a file that is empty, check those of one that is not; raises ``ForeignFile``.

    In one transaction: processes that begin at the same moment make them once.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ours(connection):
            for statement in _statements(_TABLES + _TRIGGERS):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there; ``False`` of an empty file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION and version == VERSION:
        return True
    if application == APPLICATION:
        raise ForeignFile(
            f"its jobs are kept as version {version} of twistedgate's tables, and this program knows version "
            f"{VERSION}: run the program that wrote it until its jobs are done, or begin a new file"
        )
    if application or version or tables:
        raise ForeignFile("another program's tables are in it: name a file of twistedgate's own")
    return False


def _statements(script: str) -> list[str]:
    """Cut a script into its statements; ``executescript`` would commit what was begun."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
