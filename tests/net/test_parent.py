"""Real processes: a grandchild tells of itself over a pipe, whose end is its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from twistedgate.net.parent import end_with_parent

CHILD = """
import os, sys
from twistedgate.net.parent import end_with_parent
print(end_with_parent(int(sys.argv[1]) or os.getppid()), os.getpid(), flush=True)
sys.stdin.read()
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
child.wait()
"""


@pytest.fixture
def kept_open() -> Iterator[int]:
    """The reading end of a pipe to which nothing is ever written: whoever reads it waits."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_child_ends_when_its_parent_is_ended_by_any_signal(number: signal.Signals, kept_open: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdin=kept_open, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    is_arranged, child = parent.stdout.readline().split()
    assert is_arranged == "True"
    os.kill(int(child), 0)
    parent.send_signal(number)
    # the child has the other copy of this pipe, and its standard input never ends
    said, _ = parent.communicate(timeout=30)
    assert (parent.returncode, said) == (-number, "")


def test_a_parent_that_was_gone_before_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == "False"


def test_without_prctl_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: None, use_errno: bool) -> object:
        raise OSError("there is no C library")

    monkeypatch.setattr("ctypes.CDLL", nothing)
    assert not end_with_parent(os.getppid())
