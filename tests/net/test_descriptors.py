"""How many descriptors are open, and how many may be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from twistedgate.net.descriptors import count_descriptors, raise_descriptors

SCRIPT = """
import resource
from twistedgate.net.descriptors import raise_descriptors

resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_descriptors(), raise_descriptors(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(64, 200), (200, 200)])
def test_as_many_may_be_open_as_the_system_lets_us(soft: int, hard: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(soft=soft, hard=hard)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(hard)] * 4


def test_the_number_is_one_that_can_be_counted_with() -> None:
    assert 0 < raise_descriptors() <= 1 << 30


def test_each_that_is_opened_counts() -> None:
    before = count_descriptors()
    pair = os.pipe()
    during = count_descriptors()
    for descriptor in pair:
        os.close(descriptor)
    assert (during, count_descriptors()) == (before + 2, before)
