"""Reloads, upgrades and stops of two workers with jobs under way, under load: none is lost or doubled."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.soak.findings import Findings
from benchmarks.soak.jobs.counting import Counting, counting
from benchmarks.soak.jobs.customers import follow, handing_in
from benchmarks.soak.jobs.stores import STORES, judge, outcomes, routes, store
from benchmarks.soak.reloads import numbered, takes_effect
from benchmarks.soak.site import Site, site
from benchmarks.soak.workers.seen import replaced, serving

CLIENTS = 16
PAUSE = 0.2
CONCURRENCY = 60
DELAY = 1.0
"""Seconds of a call: shorter than what is left to those under way when their worker retires."""

LONG = 12.0
"""Seconds of a call that is cut: longer than ``async_drain_timeout``."""

TIMES = 3
"""Of each: reloads by three, an upgrade, a stop."""

UPGRADES = 3
"""Times that an upgrade is asked for."""

ENDED = 60.0


async def play(folder: Path, scale: float) -> Findings:
    """Play it on each store that survives a gateway."""
    findings = Findings()
    for name in STORES:
        place = folder / name
        place.mkdir()
        await _play(name, place, max(int(TIMES * scale), 1), findings)
        place = folder / f"{name} that cuts"
        place.mkdir()
        await _cut(name, place, findings)
    return findings


async def _play(name: str, folder: Path, times: int, findings: Findings) -> None:
    async with counting(DELAY) as upstream:
        sections = routes(upstream, CONCURRENCY)
        with store(name, folder) as (setting, _), site(folder, numbered(sections, 0), setting) as trial:
            began = time.monotonic()
            async with handing_in(trial.public, _paths(), CLIENTS, PAUSE) as seen:
                for turn in range(times):
                    await _under_way(trial, upstream, findings)
                    await _reload(trial, sections, turn, findings)
                    await _under_way(trial, upstream, findings)
                    await _upgrade(trial, findings)
                    await _under_way(trial, upstream, findings)
                    await _stop(trial, findings)
                await asyncio.sleep(DELAY)
            taken = time.monotonic() - began
            await follow(trial.public, seen, CLIENTS, ENDED)
    findings.expect(len(set(seen.jobs.values())) == len(seen.jobs), f"{name}: two calls have the same job")
    judge(findings, seen, upstream, may_interrupt=False)
    findings.note(name, f"{times} of each in {taken:.0f} s, {outcomes(seen)}")
    findings.note(f"{name} statuses", dict(sorted(seen.statuses.items())))


async def _cut(name: str, folder: Path, findings: Findings) -> None:
    """Stop while calls are under way that take longer than they are given: each ends as its delivery says."""
    async with counting(LONG) as upstream:
        with (
            store(name, folder) as (setting, _),
            site(folder, routes(upstream, CONCURRENCY), setting) as trial,
        ):
            async with handing_in(trial.public, _paths(), CLIENTS, PAUSE) as seen:
                await _under_way(trial, upstream, findings)
            under_way = set(upstream.jobs)
            await _stop(trial, findings)
            await follow(trial.public, seen, CLIENTS, ENDED)
    judge(findings, seen, upstream, may_interrupt=True)
    for ended in seen.ended:
        is_cut = ended.job in under_way and ended.path.startswith("/once/")
        findings.expect(is_cut == (ended.reason == "interrupted"), f"{name}: cut, {ended.path} {ended.state}")
    findings.note(f"{name}, {len(under_way)} calls cut", outcomes(seen))


def _paths() -> Iterator[str]:
    return (f"/{'again' if number % 2 else 'once'}/{number}" for number in count())


async def _under_way(trial: Site, upstream: Counting, findings: Findings) -> None:
    is_busy = await trial.until(lambda: upstream.inside > CLIENTS, 20)
    findings.expect(is_busy, f"only {upstream.inside} calls are under way")


async def _reload(trial: Site, sections: str, turn: int, findings: Findings) -> None:
    for number in range(3 * turn + 1, 3 * turn + 4):
        trial.reload(numbered(sections, number))
        seen = await takes_effect(trial, 400 + number % 100)
        findings.expect(seen, f"reload {number} did not take effect")


async def _upgrade(trial: Site, findings: Findings) -> None:
    """Upgrade; asked for while a worker still reloads it is refused, and asked for again."""
    old = serving(trial)
    for _ in range(UPGRADES):
        trial.gateway.send(signal.SIGUSR2)
        if await replaced(trial, old, 15):
            return
    told = [line for line in trial.gateway.last_output(60).splitlines() if "upgrade" in line]
    findings.expect(False, f"an upgrade left {serving(trial)} of {old}: {' / '.join(told[-3:])}")


async def _stop(trial: Site, findings: Findings) -> None:
    """Stop and start it as systemd does; who drains is not to be cut off."""
    trial.gateway.send(signal.SIGTERM)
    has_ended = await trial.until(lambda: not trial.gateway.is_running, 30)
    findings.expect(has_ended, "it did not end within 30 s of a SIGTERM")
    await asyncio.to_thread(trial.gateway.kill)
    await asyncio.to_thread(trial.start)
