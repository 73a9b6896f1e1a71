"""The same key goes to the same candidate, in every process, for as long as that candidate is there.

Rules: keys fall into a fixed number of slots; each slot belongs to the candidate that wins it by weighted
rendezvous (the lowest ``-ln(u) / weight``, ``u`` a hash of slot and name).  A candidate that goes loses its
own slots and no other moves; one that comes back gets exactly those again; a weight that grows only gains.  A
pick is one checksum and one lookup, however many candidates there are; only a pick that excludes the owner
asks them all.  An update costs by what changed, not by how many there are.

Names and weights decide, nothing else does: not the order of the candidates, not their history, not the
process or its hash seed.
"""

from __future__ import annotations

import array
import hashlib
import math
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar
from zlib import crc32

if TYPE_CHECKING:
    from twistedgate.balancing.balancer import Candidate

C = TypeVar("C", bound="Candidate")

SLOTS = 8192
"""Shares of three candidates are even to 3%, of ten to 10%, of a hundred to a third; 64 KiB for each."""

_LOG_OF_ALL = 64 * math.log(2)
_NAMES_KEPT = 64  # drawing takes milliseconds, and a target that fails comes back


def slot_of(key: bytes) -> int:
    """Return the slot that a key falls into; the product spreads keys that differ in one digit only."""
    return (crc32(key) * 0x9E3779B1 >> 19) % SLOTS


class _Bidder(Generic[C]):
    """A candidate with the weight it has now, and what it bids for each slot; the lowest bid wins."""

    __slots__ = ("candidate", "draws", "weight")

    def __init__(self, candidate: C, draws: array.array[float]) -> None:
        self.candidate = candidate
        self.weight = candidate.weight
        self.draws = draws

    def bid(self, slot: int) -> float:
        return self.draws[slot] / self.weight


@lru_cache(maxsize=_NAMES_KEPT)
def _draws(name: str) -> array.array[float]:
    """Return ``-ln(u)`` of a name for each slot."""
    numbers = array.array("Q", hashlib.shake_128(name.encode()).digest(SLOTS * 8))
    if sys.byteorder == "big":
        numbers.byteswap()
    log = math.log
    return array.array("d", [_LOG_OF_ALL - log(number + 1) for number in numbers])


class ConsistentHash(Generic[C]):
    """Weighted rendezvous hashing over a fixed number of slots."""

    def __init__(self) -> None:
        self._bidders: dict[str, _Bidder[C]] = {}
        self._owners: list[_Bidder[C]] = []

    def update(self, candidates: Sequence[C]) -> None:
        """Pick among these from now on."""
        before = self._bidders
        self._bidders = {candidate.name: self._bidder(candidate) for candidate in candidates}
        stayed = [bidder for name, bidder in self._bidders.items() if before.get(name) is bidder]
        came = [bidder for name, bidder in self._bidders.items() if before.get(name) is not bidder]
        if not stayed:
            self._owners = came[:1] * SLOTS
            self._settle(came[1:])
        elif came or len(stayed) < len(before):
            left = {bidder for bidder in before.values() if bidder not in stayed}
            for slot, owner in enumerate(self._owners):
                if owner in left:
                    self._owners[slot] = _winner(stayed, slot)
            self._settle(came)

    def _bidder(self, candidate: C) -> _Bidder[C]:
        known = self._bidders.get(candidate.name)
        if known is None:
            return _Bidder(candidate, _draws(candidate.name))
        if known.candidate is candidate and known.weight == candidate.weight:
            return known
        return _Bidder(candidate, known.draws)

    def _settle(self, came: list[_Bidder[C]]) -> None:
        """Give each slot to a newcomer that bids less than its owner."""
        owners = self._owners
        lowest = [owner.bid(slot) for slot, owner in enumerate(owners)] if came else []
        for bidder in came:
            weight = bidder.weight
            for slot, draw in enumerate(bidder.draws):
                if draw / weight < lowest[slot]:
                    lowest[slot] = draw / weight
                    owners[slot] = bidder

    def pick(self, key: bytes, excluded: Collection[object]) -> C | None:
        """Return the owner of the key's slot, or who would own it if the ``excluded`` were not there."""
        if not self._owners:
            return None
        slot = slot_of(key)
        owner = self._owners[slot].candidate
        if not excluded or owner not in excluded:
            return owner
        left = [bidder for bidder in self._bidders.values() if bidder.candidate not in excluded]
        return _winner(left, slot).candidate if left else None


def _winner(bidders: Iterable[_Bidder[C]], slot: int) -> _Bidder[C]:
    return min(bidders, key=lambda bidder: bidder.bid(slot))
