"""A file is opened as it must be, or it is said why not and what to do."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from tests.stores.sqlite.steps import begin
from twistedgate.jobs.store import StoreAway
from twistedgate.stores.sqlite import opening
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.opening import UnusableFile, open_file


def refusal(path: Path) -> str:
    """Return what is said of a file that cannot be used."""
    with pytest.raises(UnusableFile) as refused:
        open_file(path)
    assert isinstance(refused.value, StoreAway)
    assert str(refused.value).startswith(f"state = sqlite:{path}: ")
    return str(refused.value)


def test_what_is_committed_is_on_the_disk(ledger: Ledger) -> None:
    settings = {
        "journal_mode": "wal",
        "synchronous": 2,
        "auto_vacuum": 2,
        "page_size": 8192,
        "secure_delete": 2,
    }
    for name, value in settings.items():
        assert ledger.one(f"PRAGMA {name}") == (value,)


def test_the_file_is_its_owners_alone(ledger: Ledger, path: Path) -> None:
    begin(ledger)
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(path.with_name(path.name + suffix).stat().st_mode) == 0o600


def test_permissions_that_somebody_gave_are_left(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    open_file(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_everybody_may_read_is_nobody_elses_any_more(path: Path) -> None:
    open_file(path).close()
    # as a back-up that was put back is
    path.chmod(0o644)
    connection = open_file(path)
    connection.execute("INSERT INTO loads VALUES ('r', 0, 0)")
    modes = [stat.S_IMODE(path.with_name(path.name + end).stat().st_mode) for end in ("", "-wal", "-shm")]
    connection.close()
    assert modes == [0o640] * 3


def test_a_directory_must_exist(path: Path) -> None:
    said = refusal(path / "jobs")
    assert "No such file or directory" in said
    assert "its directory must exist" in said


def test_a_directory_is_no_file(path: Path) -> None:
    path.mkdir()
    assert "unable to open" in refusal(path)


def test_what_is_no_database_is_left_alone(path: Path) -> None:
    text = b"[gateway]\nworkers = 1\n" * 100
    path.write_bytes(text)
    said = refusal(path)
    assert "not a database" in said
    assert "name a file of twistedgate's own" in said
    assert path.read_bytes() == text


def test_another_programs_file_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    assert "another program's tables" in refusal(path)


def test_a_damaged_file_is_found_at_start(path: Path) -> None:
    connection = open_file(path)
    ledger = Ledger(connection, "me")
    for _ in range(50):
        begin(ledger)
    connection.close()
    written = bytearray(path.read_bytes())
    written[8192:] = b"\xa5" * (len(written) - 8192)
    path.write_bytes(written)
    assert "move it away and restore a back-up" in refusal(path)


def test_a_file_that_another_program_has_locked_is_said_to_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY", 0.0)
    connection = open_file(path)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    assert "another program has locked it" in refusal(path)
    connection.execute("ROLLBACK")
    connection.close()


def test_an_old_library_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OLDEST", (99, 0, 0))
    assert "is too old" in refusal(path)
    assert not path.exists()
