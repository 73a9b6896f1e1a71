from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.observers.writer import Writer, _piece

PATIENCE = 10.0
"""Seconds after which a thread that should have done something is taken for stuck."""


class Trouble:
    """Remembers what a writer said about its trouble, and wakes those who wait for it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.writer: Writer | None = None
        self._changed = threading.Condition()

    def __call__(self) -> None:
        assert self.writer is not None
        with self._changed:
            self.told.append(self.writer.trouble)
            self._changed.notify_all()

    def wait_for(self, number: int) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.told) >= number, PATIENCE), self.told
            return self.told


MakeWriter = Callable[[str | Path], Writer]


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
def make_writer(trouble: Trouble) -> MakeWriter:
    def make(path: str | Path) -> Writer:
        trouble.writer = Writer(str(path), trouble)
        return trouble.writer

    return make


def open_in_new_folder(writer: Writer, trouble: Trouble, first: bytes) -> None:
    """Have the file opened and ``first`` written: trouble that comes and goes says when that is done."""
    writer.hand(b"lost\n")
    trouble.wait_for(1)
    Path(writer.path).parent.mkdir()
    writer.hand(first)
    assert trouble.wait_for(2) == ["No such file or directory", ""]


def stop(writer: Writer) -> None:
    stopped = threading.Event()
    writer.stop(stopped.set)
    assert stopped.wait(PATIENCE)


def test_appends_batches_in_order(tmp_path: Path, make_writer: MakeWriter) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"before\n")
    writer = make_writer(path)
    for number in range(100):
        writer.hand(b"%d\n" % number)
    stop(writer)
    assert path.read_bytes() == b"before\n" + b"".join(b"%d\n" % number for number in range(100))
    assert writer.outstanding == 0
    assert writer.lost == 0


def test_the_file_is_not_for_everybody(tmp_path: Path, make_writer: MakeWriter) -> None:
    path = tmp_path / "access.log"
    writer = make_writer(path)
    writer.hand(b"1\n")
    stop(writer)
    assert path.stat().st_mode & 0o007 == 0


def test_reopens_after_what_was_handed_before(
    tmp_path: Path, make_writer: MakeWriter, trouble: Trouble
) -> None:
    path, rotated = tmp_path / "logs/access.log", tmp_path / "logs/access.log.1"
    writer = make_writer(path)
    open_in_new_folder(writer, trouble, b"1\n")
    path.rename(rotated)
    writer.hand(b"2\n")
    writer.reopen()
    writer.hand(b"3\n")
    stop(writer)
    assert rotated.read_bytes() == b"1\n2\n"
    assert path.read_bytes() == b"3\n"


def test_opens_the_file_when_asked_before_there_is_a_line(tmp_path: Path, make_writer: MakeWriter) -> None:
    writer = make_writer(tmp_path / "access.log")
    writer.reopen()
    stop(writer)
    assert (tmp_path / "access.log").read_bytes() == b""


def test_a_full_disk_loses_lines_and_counts_them(make_writer: MakeWriter, trouble: Trouble) -> None:
    writer = make_writer("/dev/full")
    writer.hand(b"1\n2\n3\n")
    writer.hand(b"4\n")
    stop(writer)
    assert writer.lost == 4
    assert writer.outstanding == 0
    assert trouble.told == ["No space left on device"]


def test_a_directory_that_vanished_and_came_back(
    tmp_path: Path, make_writer: MakeWriter, trouble: Trouble
) -> None:
    writer = make_writer(tmp_path / "logs/access.log")
    open_in_new_folder(writer, trouble, b"written\n")
    stop(writer)
    assert (tmp_path / "logs/access.log").read_bytes() == b"written\n"
    assert writer.lost == 1


def test_the_old_file_serves_until_the_new_one_can_be_opened(
    tmp_path: Path, make_writer: MakeWriter, trouble: Trouble
) -> None:
    folder, rotated = tmp_path / "logs", tmp_path / "rotated"
    writer = make_writer(folder / "access.log")
    open_in_new_folder(writer, trouble, b"1\n")
    folder.rename(rotated)
    writer.reopen()
    writer.hand(b"2\n")
    assert trouble.wait_for(3)[-1] == "No such file or directory"
    writer.hand(b"3\n")
    writer.reopen()
    stop(writer)
    assert (rotated / "access.log").read_bytes() == b"1\n2\n3\n"
    assert writer.trouble == "No such file or directory"
    assert writer.lost == 1


def test_goes_on_in_the_new_file_as_soon_as_it_can_be_opened(
    tmp_path: Path, make_writer: MakeWriter, trouble: Trouble
) -> None:
    folder, rotated = tmp_path / "logs", tmp_path / "rotated"
    writer = make_writer(folder / "access.log")
    open_in_new_folder(writer, trouble, b"1\n")
    folder.rename(rotated)
    writer.reopen()
    trouble.wait_for(3)
    folder.mkdir()
    writer.hand(b"2\n")
    stop(writer)
    assert writer.trouble == ""
    assert (rotated / "access.log").read_bytes() == b"1\n"
    assert (folder / "access.log").read_bytes() == b"2\n"


def test_a_pipe_without_reader_loses_lines(tmp_path: Path, make_writer: MakeWriter, trouble: Trouble) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = make_writer(path)
    writer.hand(b"1\n")
    reader = os.open(path, os.O_RDONLY)
    assert os.read(reader, 100) == b"1\n"
    os.close(reader)
    writer.hand(b"2\n")
    assert trouble.wait_for(1) == ["Broken pipe"]
    writer.hand(b"3\n")
    reader = os.open(path, os.O_RDONLY)
    assert os.read(reader, 100) == b"3\n"
    stop(writer)
    os.close(reader)
    assert trouble.told == ["Broken pipe", ""]
    assert writer.lost == 1


def test_a_pipe_that_is_read_slowly_gets_everything(tmp_path: Path, make_writer: MakeWriter) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = make_writer(path)
    batch = (b"x" * 99 + b"\n") * 5000
    writer.hand(batch)
    with path.open("rb") as reader:
        assert reader.read(len(batch)) == batch
        stop(writer)
    assert writer.lost == 0


LINES = {mark: [(mark * (1 + 37 * number % 1800)) + b"\n" for number in range(2000)] for mark in (b"a", b"b")}
"""Lines of two writers, of many lengths."""


def test_two_writers_of_one_pipe_do_not_tear_each_others_lines(
    tmp_path: Path, make_writer: MakeWriter
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writers = {mark: make_writer(path) for mark in LINES}
    for mark, writer in writers.items():
        writer.hand(b"".join(LINES[mark]))
    with path.open("rb") as reader:
        read = [reader.readline() for _ in range(4000)]
        for writer in writers.values():
            stop(writer)
    assert {line[:1] for line in read[:2000]} == {b"a", b"b"}, "they took turns"
    for mark, lines in LINES.items():
        assert [line for line in read if line.startswith(mark)] == lines


WRITES_LONG_LINES = """
import sys, threading
from twistedgate.observers.writer import Writer
writer, over = Writer("-", lambda: None), threading.Event()
for number in range(200):
    writer.hand(sys.argv[1].encode() * (100 + 331 * number % 20000) + b"\\n")
writer.stop(over.set)
over.wait()
"""


def test_processes_that_share_a_pipe_do_not_tear_long_lines() -> None:
    reading, writing = os.pipe()
    started = [
        subprocess.Popen([sys.executable, "-c", WRITES_LONG_LINES, mark], stdout=writing) for mark in "ab"
    ]
    os.close(writing)
    with os.fdopen(reading, "rb") as reader:
        lines = reader.read().splitlines()
    assert [process.wait(PATIENCE) for process in started] == [0, 0]
    for mark in (b"a", b"b"):
        assert [line for line in lines if line[:1] == mark] == [
            mark * (100 + 331 * number % 20000) for number in range(200)
        ]


@pytest.mark.parametrize("length", [select.PIPE_BUF - 1, select.PIPE_BUF, select.PIPE_BUF * 3])
def test_a_long_line_goes_alone(length: int, tmp_path: Path, make_writer: MakeWriter) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = make_writer(path)
    batch = (b"before\n" + b"x" * length + b"\nafter\n") * 30
    writer.hand(batch)
    with path.open("rb") as reader:
        assert reader.read(len(batch)) == batch
        stop(writer)
    assert writer.lost == 0


@given(st.lists(st.integers(0, 9000), min_size=1), st.booleans())
def test_pieces_are_whole_lines_that_fit(lengths: list[int], is_ended: bool) -> None:
    batch = b"".join(b"x" * length + b"\n" for length in lengths) + (b"" if is_ended else b"y")
    begin = 0
    while begin < len(batch):
        end = _piece(batch, begin)
        piece = batch[begin:end]
        assert piece.endswith(b"\n") or end == len(batch)
        assert len(piece) <= select.PIPE_BUF or piece.count(b"\n") == 1
        begin = end


def test_a_line_that_was_cut_is_ended_before_the_next(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys, threading\n"
        "from twistedgate.observers.writer import Writer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))\n"
        "full = threading.Event()\n"
        "writer = Writer(sys.argv[1], full.set)\n"
        "writer.hand(b'whole\\nthis one is cut\\nlost\\n')\n"
        "full.wait()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "writer.hand(b'whole again\\n')\n"
        "stopped = threading.Event()\n"
        "writer.stop(stopped.set)\n"
        "stopped.wait()\n"
        "sys.exit(writer.lost)\n"
    )
    path = tmp_path / "access.log"
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=30)
    assert path.read_bytes() == b"whole\nthis\nwhole again\n"
    assert ended.returncode == 2


STANDARD_OUTPUT_SCRIPT = (
    "import sys, threading\n"
    "from twistedgate.observers.writer import Writer\n"
    "taken = open(sys.argv[1], 'wb')\n"
    "writer = Writer('-', lambda: None)\n"
    "writer.hand(b'1\\n2\\n')\n"
    "stopped = threading.Event()\n"
    "writer.stop(stopped.set)\n"
    "stopped.wait()\n"
    "sys.stderr.write(f'{writer.lost} {writer.trouble}')\n"
)


def test_a_dash_is_standard_output(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STANDARD_OUTPUT_SCRIPT, str(tmp_path / "taken")],
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert (ended.stdout, ended.stderr) == (b"1\n2\n", b"0 ")


def test_standard_output_that_does_not_block_gets_everything(tmp_path: Path) -> None:
    script = STANDARD_OUTPUT_SCRIPT.replace("b'1\\n2\\n'", "b'line\\n' * 50_000")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    arguments = [sys.executable, "-c", script, str(tmp_path / "taken")]
    with subprocess.Popen(arguments, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as reader:
            assert reader.read() == b"line\n" * 50_000
        assert process.stderr is not None
        assert process.stderr.read() == b"0 "


def test_closed_standard_output_is_not_mistaken_for_what_took_its_number(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    ended = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" "$2" >&-', sys.executable, STANDARD_OUTPUT_SCRIPT, str(taken)],
        stderr=subprocess.PIPE,
        check=True,
        timeout=30,
    )
    assert ended.stderr == b"2 standard output is closed"
    assert taken.read_bytes() == b""
