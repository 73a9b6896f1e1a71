"""What is seen of a gateway's workers from outside: who serves, what each carries, what all have counted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.soak.site import Setting, Site

WORKERS = 2
SEVERAL = Setting(workers=WORKERS)

_SAMPLE = re.compile(r"^(twistedgate_\w+_(?:total|count|bucket)(?:\{.*\})?) (\S+)$", re.MULTILINE)


def serving(trial: Site) -> list[int]:
    """Return the processes of the workers that serve."""
    return [row["pid"] for row in trial.status()["workers"] if row["state"] == "serving"]


async def replaced(trial: Site, gone: Collection[int], seconds: float) -> bool:
    """Wait until there are as many workers as there should be, and none of those; ``False`` if never."""

    def look() -> bool:
        present = serving(trial)
        return len(present) == WORKERS and not set(present) & set(gone)

    return await trial.until(look, seconds)


def carried(pid: int, port: int) -> set[int]:
    """Return the clients' ports of the connections to ``port`` that a process has accepted."""
    held = set(_sockets(pid))
    return {other for own, other, inode in _connections() if own == port and inode in held}


def _sockets(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            name = str(link.readlink())
            if name.startswith("socket:["):
                yield name.removeprefix("socket:[").rstrip("]")


def _connections() -> Iterator[tuple[int, int, str]]:
    """Give both ports and the inode of every connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        own, other = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        yield own, other, fields[9]


def counters(trial: Site) -> dict[str, float]:
    """Return what all workers have counted, by name."""
    status = trial.status()
    found = {"requests": float(status["requests"])}
    found |= {name: float(upstream["requests"]) for name, upstream in status["upstreams"].items()}
    return found | {name: float(value) for name, value in _SAMPLE.findall(trial.metrics())}


def gone_back(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """Return the names of counters that are less than they were."""
    return [name for name, count in before.items() if after.get(name, 0.0) < count]
