"""Compares the gateway with its peers, in turns, before one upstream: ``scripts/bench``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import ROUTES, Case, cases
from benchmarks.gateway import Kind, gateway
from benchmarks.memory import measure_memory
from benchmarks.origin import Origin, start_origin
from benchmarks.peers import PEERS
from benchmarks.processes import Launch, Program, cores, free_port, running, wait_for_port
from benchmarks.rounds import Bench, Contender, play, weigh
from benchmarks.table import case_table, memory_table

FIRST = "gateway"
BEFORE = "before"
"""The gateway of another checkout: what a change has cost, seen in one run."""

KINDS = {
    "many-routes": Kind(routes=ROUTES),
    "one-route": Kind(),
    "two-workers": Kind(workers=2),
    "one-worker": Kind(),
}
OWN = {"routes": ("many-routes", "one-route"), "workers": ("two-workers", "one-worker")}
"""Cases in which the gateway is compared with itself: the first costs so much relative to the other."""


def tell(text: str) -> None:
    """Say how far it has come, apart from the table."""
    print(text, file=sys.stderr, flush=True)


class Ring:
    """The contenders: started when first asked for, stopped together."""

    def __init__(self, folder: Path, origin: Origin, core: int | None, before: Path | None = None) -> None:
        self._before = before
        self._folder = folder
        self._origin = origin
        self._core = core
        self._contenders: dict[str, Contender] = {}
        self.programs: list[Program] = []

    def enter(self, name: str) -> Contender:
        """Return a contender that runs."""
        if name not in self._contenders:
            self._contenders[name] = self.start(name)
        return self._contenders[name]

    def start(self, name: str) -> Contender:
        """Start a contender, whether one of its kind runs or not."""
        port = free_port()
        program = Program(name, self._launch(name, port), self._folder, self._core)
        self.programs.append(program)
        wait_for_port(port, program)
        return Contender(name, program, port)

    def _launch(self, name: str, port: int) -> Launch:
        if name in PEERS:
            peer = PEERS[name]
            return peer.prepare(peer.find() or peer.program, self._folder, port, self._origin)
        launch = gateway(name, self._folder, port, self._origin, KINDS.get(name, Kind()))
        return Launch(launch.command, {"PYTHONPATH": str(self._before)}) if name == BEFORE else launch


def present(names: Sequence[str]) -> list[str]:
    """Return those of the peers that are installed; say which version, and name the absent."""
    found = []
    for name in names:
        if PEERS[name].find() is None:
            tell(f"{name}: absent, not installed")
        else:
            tell(f"{name}: {PEERS[name].version()}")
            found.append(name)
    return found


def measure(case: Case, ring: Ring, names: Sequence[str], bench: Bench) -> list[str]:
    """Run one case and return its table."""
    if case.kind == "memory":
        rows = []
        for name in names:
            fresh = ring.start(name)
            rows.append(measure_memory(fresh))
            fresh.program.stop()
        return memory_table(case.title, rows, FIRST)
    others = OWN.get(case.kind, names)
    contenders = [ring.enter(name) for name in others]
    first = others[0] if case.kind in OWN else FIRST
    rows_of_case = weigh(play(contenders, case, bench, tell), first, case.kind == "rate")
    return case_table(case.title, rows_of_case, case.goals)


def arguments(known: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--cases", default=",".join(known), help="of: %(default)s")
    parser.add_argument("--peers", default=",".join(PEERS), help="of: %(default)s")
    parser.add_argument("--pairs", type=int, default=5, help="rounds, each contender once in each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    parser.add_argument("--before", type=Path, help="a checkout whose gateway is compared, too")
    parser.add_argument("--without-gateway", action="store_true", help="the peers alone")
    chosen = parser.parse_args()
    chosen.cases, chosen.peers = _names(chosen.cases), _names(chosen.peers)
    for given, accepted in ((chosen.cases, known), (chosen.peers, list(PEERS))):
        unknown = [name for name in given if name not in accepted]
        if unknown:
            parser.error(f"not known: {', '.join(unknown)}; there are: {', '.join(accepted)}")
    return chosen


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def main() -> None:
    """Run the cases that were asked for and print their tables."""
    with tempfile.TemporaryDirectory(prefix="twistedgate-bench-") as name:
        folder = Path(name)
        every = cases(folder)
        chosen = arguments(list(every))
        names = [] if chosen.without_gateway else [FIRST]
        names += [BEFORE] if chosen.before is not None else []
        names += present(chosen.peers)
        own, other = cores()
        bench = Bench(chosen.seconds, chosen.pairs, other, folder)
        origin, upstream = start_origin(folder, other)
        ring = Ring(folder, origin, own, chosen.before and chosen.before.resolve())
        ring.programs.append(upstream)
        with running(ring.programs):
            for case in chosen.cases:
                print("\n".join(measure(every[case], ring, names, bench)), flush=True)


if __name__ == "__main__":
    main()
