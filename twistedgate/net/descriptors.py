"""How many descriptors the process may open."""

from __future__ import annotations

import os
import resource

_ENOUGH = 1 << 20
"""Asked for where nothing bounds them (Linux' own ``nr_open``)."""


def count_descriptors() -> int:
    """Return how many descriptors the process has open, or a guess on the high side where nothing tells."""
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names only, and nothing of them
    except OSError:
        return 64


def raise_descriptors() -> int:
    """Raise the soft limit of descriptors to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _ENOUGH if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted
