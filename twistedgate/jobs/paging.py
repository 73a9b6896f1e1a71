"""How many jobs one answer lists, whoever asks for them."""

from __future__ import annotations

from typing import Final

MOST: Final = 100
"""Jobs of one page."""

FEW: Final = 20
"""Jobs of a page of which no ``limit`` is said."""


def read_limit(digits: str) -> int:
    """Return how many jobs a page may have; raises ``ValueError``."""
    if not (digits.isascii() and digits.isdigit() and len(digits) < 4 and 0 < int(digits) <= MOST):
        raise ValueError(f"limit is a number from 1 to {MOST}; the cursor of an answer goes on from there")
    return int(digits)
