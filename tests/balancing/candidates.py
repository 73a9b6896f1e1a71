"""Candidates to pick from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from twistedgate.balancing.balancer import Balancer


@dataclass(slots=True, eq=False)
class Named:
    """A candidate."""

    name: str
    weight: float = 1
    in_flight: int = 0


def named(*weights: float) -> list[Named]:
    """Return candidates a, b, c... of these weights."""
    return [Named(chr(ord("a") + place), weight) for place, weight in enumerate(weights)]


def picked(balancer: Balancer[Named], times: int, excluded: Iterable[Named] = ()) -> str:
    """Return the names of the next picks, a dot for none."""
    picks = [balancer.pick(b"", list(excluded)) for _ in range(times)]
    return "".join("." if one is None else one.name for one in picks)


def counted(balancer: Balancer[Named], times: int) -> Counter[str]:
    """Return how often each is picked."""
    return Counter(picked(balancer, times))
