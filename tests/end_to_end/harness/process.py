"""What the kernel knows of a process: memory, descriptors, processor time."""

from __future__ import annotations

from pathlib import Path


def resident(pid: int) -> int:
    """Return the resident memory in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel says nothing of resident memory")


def descriptors(pid: int) -> int:
    """Return how many descriptors are open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def processor_ticks(pid: int) -> int:
    """Return the processor time used so far, in hundredths of a second on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def descriptor_limits(pid: int) -> tuple[str, str]:
    """Return the soft and the hard limit of descriptors."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.split()[3:5]
            return soft, hard
    raise AssertionError("the kernel says nothing of limits")
