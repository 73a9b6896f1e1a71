"""Turns: A B A B, so that what the machine does meanwhile falls on all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.load import Load, at_rate, wrk
from benchmarks.processes import Program

WARM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy that runs, and the port it answers on."""

    name: str
    program: Program
    port: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in one round."""

    microseconds: float
    """Of processor time for each request."""
    load: Load


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of a contender's turns, and what the gateway cost relative to it."""

    name: str
    microseconds: float
    ratio: float | None
    rate: float
    p50: float
    p99: float
    errors: int


@dataclass(frozen=True, slots=True)
class Bench:
    """How long, how often and on which core the load runs."""

    seconds: float
    pairs: int
    core: int | None
    folder: Path


def take_turn(contender: Contender, case: Case, bench: Bench, seconds: float) -> Turn:
    """Load one contender and weigh what it spent."""
    before = contender.program.cpu_seconds()
    if case.has_fixed_rate:
        load = at_rate(contender.port, case.rate, seconds, bench.core, bench.folder)
    else:
        load = wrk(contender.port, case.shape, seconds, bench.core)
    spent = contender.program.cpu_seconds() - before
    return Turn(1e6 * spent / max(load.requests, 1), load)


def play(
    contenders: Sequence[Contender], case: Case, bench: Bench, tell: Callable[[str], None]
) -> dict[str, list[Turn]]:
    """Let each contender take its turn in every round, after a short one that counts for nothing."""
    turns: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        take_turn(contender, case, bench, WARM_SECONDS)
    for number in range(bench.pairs):
        tell(f"{case.title}: round {number + 1} of {bench.pairs}")
        for contender in contenders:
            turns[contender.name].append(take_turn(contender, case, bench, bench.seconds))
    return turns


def weigh(turns: Mapping[str, Sequence[Turn]], first: str, by_latency: bool = False) -> list[Row]:
    """Return a row for each contender; the ratio is the median of the rounds' own ratios.

    It says what ``first`` cost relative to the contender: processor time, or p99 at a fixed rate.  There
    is none where ``first`` did not take part.
    """

    def cost(turn: Turn) -> float:
        return turn.load.p99 if by_latency else turn.microseconds

    rows = []
    for name, own in turns.items():
        pairs = zip(turns.get(first, ()), own, strict=False)
        ratios = [cost(one) / cost(other) for one, other in pairs if cost(other)]
        rows.append(
            Row(
                name,
                statistics.median(turn.microseconds for turn in own),
                statistics.median(ratios) if ratios else None,
                statistics.median(turn.load.requests / turn.load.seconds for turn in own),
                statistics.median(turn.load.p50 for turn in own),
                statistics.median(turn.load.p99 for turn in own),
                sum(turn.load.errors for turn in own),
            )
        )
    return rows
