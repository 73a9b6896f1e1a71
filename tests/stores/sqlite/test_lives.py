"""A life ends with its process, and with nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from twistedgate.stores.sqlite.lives import Life, is_dead, remove_dead

HOLDS = """
import sys, pathlib
from twistedgate.stores.sqlite.lives import Life
life = Life(pathlib.Path(sys.argv[1]), "child")
life.begin()
print("alive", flush=True)
sys.stdin.read()
"""


def test_whoever_never_was_is_dead(tmp_path: Path) -> None:
    assert is_dead(tmp_path, "nobody")


def test_a_runner_lives_until_it_ends(tmp_path: Path) -> None:
    life = Life(tmp_path / "runners", "a")
    life.begin()
    assert not is_dead(tmp_path / "runners", "a")
    life.end()
    assert is_dead(tmp_path / "runners", "a")
    assert list((tmp_path / "runners").iterdir()) == []
    life.end()


def test_a_killed_process_is_dead_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "alive\n"
        assert not is_dead(tmp_path, "child")
        child.send_signal(signal.SIGSTOP)
        assert not is_dead(tmp_path, "child")
        child.kill()
        child.wait()
    assert (tmp_path / "child").exists()
    assert is_dead(tmp_path, "child")
    assert not (tmp_path / "child").exists()


def test_a_life_whose_file_was_removed_is_renewed(tmp_path: Path) -> None:
    life = Life(tmp_path, "a")
    life.begin()
    (tmp_path / "a").unlink()
    assert is_dead(tmp_path, "a")
    life.renew()
    assert not is_dead(tmp_path, "a")
    life.renew()
    life.end()
    life.renew()
    assert is_dead(tmp_path, "a")


def test_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    life = Life(tmp_path, "living")
    life.begin()
    (tmp_path / "dead").touch()
    remove_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["living"]
    life.end()
