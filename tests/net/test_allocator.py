"""Memory that is kept for the next large piece."""

from __future__ import annotations

import subprocess
import sys

from twistedgate.net.allocator import keep_memory

_CHURN = """
import resource
from twistedgate.net.allocator import keep_memory
told = keep_memory()
def churn():
    for _ in range(200):
        pieces = [bytes(256 * 1024) for _ in range(4)]
        del pieces
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_large_pieces_come_without_page_faults() -> None:
    """800 pieces of 64 pages each: without it most of them fault, with it hardly any."""
    done = subprocess.run([sys.executable, "-c", _CHURN], capture_output=True, text=True, check=True)
    told, faults = done.stdout.split()
    assert told == "False" or int(faults) < 2000


def test_can_be_told_twice() -> None:
    assert keep_memory() == keep_memory()
