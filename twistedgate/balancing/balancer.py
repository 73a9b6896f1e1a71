"""What a balancer is, and which there are.

A balancer is told who may be picked and picks one of them.  It never looks at health: whoever judges that
(``health``) hands it a new list.  The counts in flight belong to the candidates, not to the balancer, so
that they outlive it.  No balancer knows time; chance is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

from twistedgate.balancing.consistent_hash import ConsistentHash
from twistedgate.balancing.least_connections import LeastConnections
from twistedgate.balancing.random_two import RandomTwo
from twistedgate.balancing.round_robin import RoundRobin


class Candidate(Protocol):
    """Who can be picked."""

    @property
    def name(self) -> str:
        """Unique among the candidates, and the same in every process."""

    @property
    def weight(self) -> float:
        """Above zero; a change counts from the next ``update`` at the latest."""

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""


C = TypeVar("C", bound=Candidate)


class Balancer(Protocol[C]):
    """Picks one of several candidates."""

    def update(self, candidates: Sequence[C]) -> None:
        """Pick among these from now on; to be called when one comes or goes or changes its weight."""

    def pick(self, key: bytes, excluded: Collection[object]) -> C | None:
        """Return one that is not ``excluded``, ``None`` if there is none; ``key`` is what a hash goes by."""


def make_balancer(name: str, random: Callable[[], float]) -> Balancer[Any]:
    """Return the balancer of that name; ``random`` gives numbers from 0 to below 1."""
    match name:
        case "round-robin":
            return RoundRobin()
        case "least-connections":
            return LeastConnections()
        case "random-two":
            return RandomTwo(random)
        case "consistent-hash":
            return ConsistentHash()
    raise ValueError(f"there is no balancer '{name}'")
