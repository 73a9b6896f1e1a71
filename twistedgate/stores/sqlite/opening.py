"""How a file of jobs is opened: its settings, its permissions, and what is said when it cannot be.

Rules: ``synchronous = FULL`` with a write-ahead log: what was committed is on the disk.  The file is its
owner's alone.  Bytes that are erased from a page that stays are written over (``secure_delete = FAST``);
whole pages that get free keep their bytes until they are used again, as a deleted file does, except those of
credentials: zeroing the pages of every body would write each of them twice.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Final

from twistedgate.jobs.store import StoreAway
from twistedgate.stores.sqlite.schema import ForeignFile, prepare

OLDEST: Final = (3, 38, 0)
"""SQLite with ``RETURNING`` (3.35) and with JSON always compiled in (3.38)."""

BUSY: Final = 5.0
"""Seconds that another program, such as a back-up, may hold the file locked before we give up."""

CHECKED: Final = 64 * 2**20
"""Bytes up to which a file is read through at start, to see that it is whole: a fifth of a second."""

PAGE: Final = 8192
"""Bytes of a page, of a new file: with SQLite's own 4,096 large bodies are given back to the disk four times
as slowly, and with 16,384 each small change writes much into the log."""

SETTINGS: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = FAST",
    "PRAGMA cache_size = -16384",
    "PRAGMA temp_store = MEMORY",
    # a checkpoint writes each page once, however often it changed: rarer than SQLite's 4 MiB is cheaper
    "PRAGMA wal_autocheckpoint = 2000",
    "PRAGMA journal_size_limit = 67108864",
)


class UnusableFile(StoreAway):
    """The file of jobs cannot be used; the message says which, why, and what to do."""


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file, or make it; the connection belongs to the calling thread.  Raises ``UnusableFile``."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise _unusable(path, f"SQLite {sqlite3.sqlite_version} is too old", "install SQLite 3.38 or newer")
    try:
        _make(path)
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, _reason(error), "its directory must exist and be writable") from error
    try:
        _set_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    try:
        # before the first table, and in no transaction: later it would take a VACUUM
        connection.execute(f"PRAGMA page_size = {PAGE}").fetchall()
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
        mode = _keep_log(connection)
        for setting in SETTINGS:
            connection.execute(setting).fetchall()
        prepare(connection)
        damage = _find_damage(connection, path)
    except ForeignFile as error:
        raise UnusableFile(f"state = sqlite:{path}: {error}") from error
    except sqlite3.Error as error:
        raise _unusable(path, _reason(error), _advice(error)) from error
    if mode != "wal":
        raise _unusable(path, "its file system allows no write-ahead log", "name a file on a local disk")
    if damage:
        raise _unusable(path, f"the file is damaged ({damage})", _DAMAGED)


def _keep_log(connection: sqlite3.Connection) -> str:
    """Turn the write-ahead log on, and return what the file has; waits while another process does the same.

    SQLite does not wait by itself here: two that both hold a lock and want more would wait for ever.
    """
    until = time.monotonic() + BUSY
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return str(mode)


def _find_damage(connection: sqlite3.Connection, path: Path) -> str:
    if path.stat().st_size > CHECKED:
        return ""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return "" if found == "ok" else str(found)


def _make(path: Path) -> None:
    """Make the file with the permissions it is to have: SQLite gives its log and its index the same ones.

    One that is there is not opened: closing it would take the locks of this process' other connections along.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        _close_to_others(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # a file is as durable as its name
        os.fsync(directory)
    finally:
        os.close(directory)


def _close_to_others(path: Path) -> None:
    """Let nobody else read calls and credentials: a back-up that was put back is often everybody's to read.

    What a group may was meant so, and a file of somebody else's is his to change.
    """
    found = path.stat()
    if found.st_mode & 0o007 and found.st_uid == os.geteuid():
        for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            if each.exists():
                each.chmod(stat.S_IMODE(each.stat().st_mode) & ~0o007)


def _unusable(path: Path, why: str, advice: str) -> UnusableFile:
    return UnusableFile(f"state = sqlite:{path}: {why}; {advice}")


def _reason(error: OSError | sqlite3.Error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


_DAMAGED: Final = "move it away and restore a back-up, or begin with a new one"


def _advice(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {
        sqlite3.SQLITE_NOTADB: "name a file of twistedgate's own",
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_READONLY: "the gateway's user must be able to write to it and to its directory",
        sqlite3.SQLITE_FULL: "make room on its disk",
        sqlite3.SQLITE_BUSY: "another program has locked it; end that, then start again",
    }.get(code, "its directory must exist and be writable, on a local disk")
