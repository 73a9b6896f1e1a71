"""How often a second this disk can say that something is kept: the bound of whoever asks it each time."""

from __future__ import annotations

import os
import time
from pathlib import Path

PAGE = b"x" * 4096


def syncs_a_second(folder: Path, seconds: float = 1.0) -> float:
    """Append a page and have it kept, again and again; return how often a second that went."""
    path = folder / "syncs"
    count = 0
    with path.open("wb", buffering=0) as file:
        started = time.monotonic()
        while (taken := time.monotonic() - started) < seconds:
            file.write(PAGE)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / taken
