"""The one with the least under way, by weight.

Rules: the lowest ``(in_flight + 1) / weight`` is picked.  Of several with the same value each gets its turn:
the search begins after whoever was picked last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from twistedgate.balancing.balancer import Candidate

C = TypeVar("C", bound="Candidate")

_HIGHEST = float("inf")


class LeastConnections(Generic[C]):
    """Least connections, weighted, with fair ties."""

    def __init__(self) -> None:
        self._count = 0
        self._twice: list[C] = []
        self._start = 0

    def update(self, candidates: Sequence[C]) -> None:
        """Pick among these from now on."""
        self._count = len(candidates)
        self._twice = [*candidates, *candidates]
        self._start = min(self._start, max(self._count - 1, 0))

    def pick(self, key: bytes, excluded: Collection[object]) -> C | None:
        """Return the least busy that is not ``excluded``."""
        best = None
        lowest = _HIGHEST
        place = following = self._start
        for candidate in self._twice[place : place + self._count]:
            place += 1
            load = (candidate.in_flight + 1) / candidate.weight
            if load < lowest and (not excluded or candidate not in excluded):
                lowest = load
                best = candidate
                following = place
        if best is not None:
            self._start = following % self._count
        return best
