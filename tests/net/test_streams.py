"""Programs that are started with standard streams closed, and what has their numbers then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, os, sys
from twistedgate.net.streams import inherited_streams, is_heard, take_closed_streams
closed = [n for n in range(3) if is_heard(n)]
take_closed_streams()
assert closed == [n for n in range(3) if is_heard(n)]
opened = os.open("/dev/zero", os.O_RDONLY)
told = [opened > 2, [os.readlink(f"/proc/self/fd/{n}") == "/dev/null" for n in range(3)]]
with open(sys.argv[1], "w") as file:
    json.dump([*told, list(inherited_streams())], file)
"""


def started(folder: Path, closed: str) -> Any:
    """Start a program by the shell, and return what it found."""
    told, rest = folder / "told", folder / "rest"
    command = ["/bin/sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, PROGRAM, str(told)]
    with rest.open("w+") as file:
        subprocess.run(command, stdin=file, stdout=file, stderr=file, check=True, timeout=60)
    return json.loads(told.read_text())


@pytest.mark.parametrize(
    ("closed", "taken"),
    [
        ("", []),
        ("<&-", [0]),
        (">&-", [1]),
        ("2>&-", [2]),
        ("<&- 2>&-", [0, 2]),
        ("<&- >&- 2>&-", [0, 1, 2]),
    ],
)
def test_numbers_of_closed_streams_are_nobody_elses(tmp_path: Path, closed: str, taken: list[int]) -> None:
    others = [number for number in range(3) if number not in taken]
    assert started(tmp_path, closed) == [True, [number in taken for number in range(3)], others]
