"""The less busy of two that chance names.

Rules: two different candidates are drawn, each pair as likely as any other; the lower ``(in_flight + 1) /
weight`` is picked, the first drawn if both are equal.  Many processes that know only their own counts do not
all run to the same target, as they would with the least busy of all (Mitzenmacher, 2001).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from twistedgate.balancing.balancer import Candidate

C = TypeVar("C", bound="Candidate")


class RandomTwo(Generic[C]):
    """The power of two random choices."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._candidates: list[C] = []

    def update(self, candidates: Sequence[C]) -> None:
        """Pick among these from now on."""
        self._candidates = list(candidates)

    def pick(self, key: bytes, excluded: Collection[object]) -> C | None:
        """Return the less busy of two that are not ``excluded``."""
        candidates = self._candidates
        if excluded:
            candidates = [candidate for candidate in candidates if candidate not in excluded]
        count = len(candidates)
        if count < 2:
            return candidates[0] if candidates else None
        # One number in place of two: the ordered pairs are counted through.
        first, second = divmod(int(self._random() * (count * (count - 1))), count - 1)
        one = candidates[first]
        other = candidates[second + (second >= first)]
        if (other.in_flight + 1) / other.weight < (one.in_flight + 1) / one.weight:
            return other
        return one
