"""Jobs, beside what people build today for the same work: ``scripts/bench jobs``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.jobs import tables
from benchmarks.jobs.contenders import CONTENDERS, STORES, Contender
from benchmarks.jobs.disk import syncs_a_second
from benchmarks.jobs.turns import Bench, Row, Turn, accept, whole
from benchmarks.jobs.waiting import hold
from benchmarks.origin import start_origin
from benchmarks.processes import cores, running

CASES = ("accept", "whole", "wait")


def tell(text: str) -> None:
    """Say how far it has come, apart from the table."""
    print(text, file=sys.stderr, flush=True)


def present(names: Sequence[str]) -> list[Contender]:
    """Return those that are installed, and name the absent."""
    found = []
    for name in names:
        if CONTENDERS[name].is_installed:
            found.append(CONTENDERS[name])
        else:
            tell(f"{name}: absent, not installed (docs/speed.md says how)")
    return found


def play(case: str, contenders: Sequence[Contender], bench: Bench, upstream: int) -> list[Row]:
    """Let each contender take its turn in every round."""
    turns: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    for number in range(bench.pairs):
        for contender in contenders:
            tell(f"{case}: round {number + 1} of {bench.pairs}, {contender.name}")
            turn = accept(contender, bench) if case == "accept" else whole(contender, bench, upstream)
            turns[contender.name].append(turn)
    return [Row(name, own) for name, own in turns.items()]


def measure(case: str, contenders: Sequence[Contender], bench: Bench, upstream: int) -> list[str]:
    """Run one case and return its table."""
    if case == "wait":
        held = {one.name: hold(one, bench) for one in contenders if one.name in STORES}
        return tables.wait_table(held)
    rows = play(case, contenders, bench, upstream)
    if case == "whole":
        return tables.whole_table(rows)
    return tables.accept_table(rows, syncs_a_second(bench.folder))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench jobs", description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help="of: %(default)s")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="of: %(default)s")
    parser.add_argument("--pairs", type=int, default=3, help="rounds, each contender once in each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn of accepting")
    parser.add_argument("--jobs", type=int, default=2000, help="of each turn from submission to result")
    chosen = parser.parse_args()
    chosen.cases = [name for name in chosen.cases.split(",") if name]
    chosen.contenders = [name for name in chosen.contenders.split(",") if name]
    for given, accepted in ((chosen.cases, CASES), (chosen.contenders, list(CONTENDERS))):
        unknown = [name for name in given if name not in accepted]
        if unknown:
            parser.error(f"not known: {', '.join(unknown)}; there are: {', '.join(accepted)}")
    return chosen


def main() -> None:
    """Run the cases that were asked for and print their tables."""
    chosen = arguments()
    with tempfile.TemporaryDirectory(prefix="twistedgate-jobs-") as name:
        own, other = cores()
        bench = Bench(chosen.seconds, chosen.pairs, chosen.jobs, Path(name), own, other)
        contenders = present(chosen.contenders)
        origin, upstream = start_origin(bench.folder, other)
        with running([upstream]):
            for case in chosen.cases:
                print("\n".join(measure(case, contenders, bench, origin.first)), flush=True)


if __name__ == "__main__":
    main()
