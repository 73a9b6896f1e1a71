"""What the kernel knows of processes and of who holds a connection: nobody else has to be believed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What a process that ends just now is answered with."""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    return _state(pid) not in {"", "Z", "X"}


def is_stopped(pid: int) -> bool:
    """Whether a process was told to do nothing for a while."""
    return _state(pid) == "T"


def children(pid: int) -> set[int]:
    """Return the processes that a process has started, and that run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(*_GONE):
            state, parent = _stat(path)[:2]
            if int(parent) == pid and state not in "ZX":
                found.add(int(path.parent.name))
    return found


def holder(pids: Iterable[int], own: int, other: int) -> int | None:
    """Return which process holds the end at the port ``own`` of a connection from or to ``other``."""
    inode = next((inode for *ports, inode in _connections() if ports == [own, other]), 0)
    if not inode:
        return None
    return next((pid for pid in pids if f"socket:[{inode}]" in open_files(pid)), None)


def _connections() -> Iterator[tuple[int, int, int]]:
    """Give the two ports and the inode of each connection; the inode of one that nobody accepted is 0."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        own, other = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        yield own, other, int(fields[9])


def open_files(pid: int) -> set[str]:
    """Return what the descriptors of a process stand for."""
    found = set()
    with suppress(*_GONE):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(*_GONE):
                found.add(str(link.readlink()))
    return found


def _state(pid: int) -> str:
    with suppress(*_GONE):
        return _stat(Path(f"/proc/{pid}/stat"))[0]
    return ""


def _stat(path: Path) -> list[str]:
    """Return state, parent and what follows; the name before them may hold blanks and parentheses."""
    return path.read_text().rpartition(") ")[2].split()
