"""Each in its turn, by weight, never in bursts.

Rules: nginx's smooth weighted round-robin.  In each round every candidate gains its weight, the one with
most is picked and pays what all gained: weights 5, 1, 1 give a a b a c a a.  With equal weights that is
plain rotation, until a pick passes somebody over: from then on turns are weighed, so that whoever stands in
for one that fails does not lose a turn by it, and the next request does not meet the failing one again.  An
update keeps everybody's place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from twistedgate.balancing.balancer import Candidate

C = TypeVar("C", bound="Candidate")


class RoundRobin(Generic[C]):
    """Smooth weighted round-robin."""

    def __init__(self) -> None:
        self._candidates: tuple[C, ...] = ()
        self._rotation: cycle[C] = cycle(())
        self._is_even = True
        self._credits: list[float] = []

    def update(self, candidates: Sequence[C]) -> None:
        """Pick among these from now on; whoever would be next stays next."""
        kept = dict(zip((old.name for old in self._candidates), self._credits, strict=False))
        upcoming = [old.name for old in islice(self._rotation, len(self._candidates))]
        self._is_even = len({candidate.weight for candidate in candidates}) <= 1
        self._candidates = tuple(candidates)
        self._credits = [] if self._is_even else [kept.get(one.name, 0.0) for one in candidates]
        names = [candidate.name for candidate in candidates]
        first = next((names.index(name) for name in upcoming if name in names), 0)
        self._rotation = cycle((*candidates[first:], *candidates[:first]))

    def pick(self, key: bytes, excluded: Collection[object]) -> C | None:
        """Return the next in turn that is not ``excluded``."""
        if not self._is_even:
            return self._pick_by_weight(excluded)
        if not excluded:
            return next(self._rotation, None)
        self._weigh()
        return self._pick_by_weight(excluded)

    def _weigh(self) -> None:
        """Go on by credits, in the order of the rotation."""
        places = {id(one): place for place, one in enumerate(islice(self._rotation, len(self._candidates)))}
        count = len(places)
        # who was picked last stands last, and has paid for it as one of several
        self._credits = [
            one.weight * (count - 2 * places[id(one)] - 1) / (2 * count) for one in self._candidates
        ]
        self._is_even = False

    def _pick_by_weight(self, excluded: Collection[object]) -> C | None:
        credit = self._credits
        gained = 0.0
        best = -1
        for place, candidate in enumerate(self._candidates):
            if candidate not in excluded:
                gained += candidate.weight
                credit[place] += candidate.weight
                if best < 0 or credit[place] > credit[best]:
                    best = place
        if best < 0:
            return None
        credit[best] -= gained
        return self._candidates[best]
