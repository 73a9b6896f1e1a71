"""What is read of /proc, and that a program's whole tree is weighed and ended."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.processes import Launch, ProcessLine, Program, free_port, read_stat, tree_of, wait_for_port

SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()
"""


def test_a_process_may_have_blanks_and_parentheses_in_its_name() -> None:
    numbers = " ".join(str(n) for n in range(5, 53))
    assert read_stat(f"42 (a (b) c) S 7 {numbers}") == ProcessLine(42, 7, "S", 14 + 15)


def test_a_tree_is_the_process_and_all_below_it() -> None:
    lines = [ProcessLine(pid, parent, "S", 0) for pid, parent in [(2, 1), (3, 2), (4, 3), (5, 1)]]
    assert [line.pid for line in tree_of(2, lines)] == [2, 3, 4]


def test_a_program_that_forks_is_ended_with_its_children(tmp_path: Path) -> None:
    port = free_port()
    shell = f'"{sys.executable}" -c "$0" {port}; true'
    program = Program("forks", Launch(["bash", "-c", shell, SERVER]), tmp_path)
    wait_for_port(port, program)
    tree = program.processes()
    assert len(tree) == 2
    assert program.resident_bytes() > 0
    program.kill()
    assert not program.is_running
    assert not set(tree) & set(program.processes())
