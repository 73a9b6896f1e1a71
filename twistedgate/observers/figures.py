"""What the kernel says of the processes of a gateway, for what Prometheus always calls by the same names.

Processor time of children that have ended is that of whoever waited for them, so that a sum over a parent
and its children does not go back.  This module does not know what the processes do.
"""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """Figures of one process, or of several: sums where nothing else is said."""

    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    virtual_bytes: int = 0
    open_descriptors: int = 0
    """Of the one that is nearest to its limit."""
    max_descriptors: int = 0
    """The limit of that one."""
    started: float = 0.0
    """Of the first, in seconds since 1970."""


def read_figures(pids: Sequence[int]) -> ProcessFigures:
    """Return the figures of ``pids`` together; one that has ended counts nothing."""
    found = [figures for pid in pids if (figures := _read(pid)) is not None]
    if not found:
        return ProcessFigures()
    fullest = max(found, key=lambda one: one.open_descriptors / one.max_descriptors)
    return ProcessFigures(
        sum(one.cpu_seconds for one in found),
        sum(one.resident_bytes for one in found),
        sum(one.virtual_bytes for one in found),
        fullest.open_descriptors,
        fullest.max_descriptors,
        found[0].started,
    )


def _read(pid: int) -> ProcessFigures | None:
    folder = _PROC / str(pid)
    try:
        # the name of the program stands in brackets, and may hold anything
        fields = (folder / "stat").read_text("latin-1").rpartition(")")[2].split()
        descriptors = _count_descriptors(folder / "fd")
    except OSError:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    # proc(5) counts from 1, and two fields stand before: utime, stime, cutime, cstime are 14 to 17
    return ProcessFigures(
        sum(map(int, fields[11:15])) / ticks,
        int(fields[21]) * resource.getpagesize(),
        int(fields[20]),
        descriptors,
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        _booted() + int(fields[19]) / ticks,
    )


def _count_descriptors(folder: Path) -> int:
    # Linux 6.2 and later tell their number at once; thousands of names take milliseconds.
    told = folder.stat().st_size
    return told or len(os.listdir(folder))  # noqa: PTH208 -- names only, and nothing of them


@functools.cache
def _booted() -> float:
    """Return when the system started, in seconds since 1970."""
    lines = (_PROC / "stat").read_text("ascii").splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)
