"""Kills, floods, stalls and reloads, on loopback only, bounded in count and time: ``scripts/soak``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.soak import descriptors, gigabyte, kill, leavers, mixed, reloads, slow
from benchmarks.soak.findings import Findings
from benchmarks.soak.jobs import large as jobs_large
from benchmarks.soak.jobs import lost as jobs_lost
from benchmarks.soak.jobs import redis as jobs_redis
from benchmarks.soak.jobs import turns as jobs_turns
from benchmarks.soak.workers import cap, down, orphans, shares, stuck
from benchmarks.soak.workers import kill as workers_kill
from benchmarks.soak.workers import reloads as workers_reloads

SCENARIOS = {
    "kill": kill,
    "reloads": reloads,
    "leavers": leavers,
    "gigabyte": gigabyte,
    "slow": slow,
    "descriptors": descriptors,
    "mixed": mixed,
    "workers-kill": workers_kill,
    "workers-reloads": workers_reloads,
    "workers-shares": shares,
    "workers-down": down,
    "workers-cap": cap,
    "workers-orphans": orphans,
    "workers-stuck": stuck,
    "jobs-lost": jobs_lost,
    "jobs-redis": jobs_redis,
    "jobs-large": jobs_large,
    "jobs-turns": jobs_turns,
}
LONGEST = 3 * 3600.0


async def run(play: Callable[[Path, float], Awaitable[Findings]], scale: float) -> Findings:
    """Play one scenario in a folder of its own; one that breaks off has failed."""
    with tempfile.TemporaryDirectory(prefix="twistedgate-soak-") as folder:
        try:
            return await asyncio.wait_for(play(Path(folder), scale), LONGEST)
        except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
            findings = Findings()
            findings.expect(False, f"broke off: {type(error).__name__}: {error}")
            return findings


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all of them, if none is named")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of counts, sizes and durations: 0.1 is a tenth"
    )
    parser.add_argument("--minutes", type=float, help="of the mixed load, instead of 30")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    return chosen


def main() -> int:
    """Play the scenarios that were asked for; 1 if one of them failed."""
    chosen = arguments()
    if chosen.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:16} {scenario.__doc__}")
        return 0
    failed = False
    for name in chosen.scenarios or SCENARIOS:
        scale = chosen.scale
        if name == "mixed" and chosen.minutes is not None:
            scale = chosen.minutes * 60 / mixed.SECONDS
        findings = asyncio.run(run(SCENARIOS[name].play, scale))
        print(findings.row(name, (SCENARIOS[name].__doc__ or "").strip()), flush=True)
        failed = failed or bool(findings.faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
