"""A file of jobs, opened in the test's own thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.opening import open_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is, or will be."""
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """A transaction of the runner ``me``, each statement of which is kept at once."""
    connection = open_file(path)
    yield Ledger(connection, "me")
    connection.close()
