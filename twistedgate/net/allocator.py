"""What the C library does with memory that large bodies need again and again.

glibc gives the top of its heap back to the system as soon as a few hundred kilobytes of it are free, and
takes it again for the next piece: two system calls and sixty page faults for a quarter of a megabyte that was
there a moment ago.  Told to keep some megabytes, it does neither (mallopt(3)).  Others are left alone.
"""

from __future__ import annotations

import ctypes

KEPT = 8 * 1024 * 1024
"""Bytes that stay with the process when they are free: the pieces of some dozens of large bodies."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_memory() -> bool:
    """Keep ``KEPT`` bytes of free memory; return whether the C library could be told."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    told = [mallopt(option, KEPT) for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD)]
    return all(told)
