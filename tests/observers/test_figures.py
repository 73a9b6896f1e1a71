from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from twistedgate.observers.figures import ProcessFigures, read_figures


def own() -> ProcessFigures:
    return read_figures([os.getpid()])


def test_the_figures_of_this_process() -> None:
    figures = own()
    assert 1 << 20 < figures.resident_bytes < figures.virtual_bytes
    assert figures.max_descriptors == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert figures.started <= time.time()
    assert figures.cpu_seconds > 0


def test_descriptors_are_counted(tmp_path: Path) -> None:
    before = own().open_descriptors
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        assert own().open_descriptors == before + 2
    assert own().open_descriptors == before


def test_time_of_children_that_ended_stays() -> None:
    before = own().cpu_seconds
    subprocess.run([sys.executable, "-S", "-c", "sum(range(3_000_000))"], check=True)
    assert own().cpu_seconds > before


def test_of_several_the_descriptors_of_the_fullest_count(tmp_path: Path) -> None:
    code = "import sys; files = [open(sys.argv[0]) for _ in range(300)]; print(flush=True); input()"
    script = tmp_path / "opens.py"
    script.write_text(code)
    command = [sys.executable, "-S", str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as greedy:
        assert greedy.stdout is not None
        greedy.stdout.readline()
        assert read_figures([os.getpid(), greedy.pid]).open_descriptors > 300
        greedy.communicate(b"\n")


def test_several_are_summed_and_those_that_ended_are_nothing() -> None:
    alone = own()
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    together = read_figures([os.getpid(), ended.pid, os.getppid()])
    assert together.resident_bytes > alone.resident_bytes
    assert together.started == alone.started
    assert read_figures([ended.pid]) == ProcessFigures()
