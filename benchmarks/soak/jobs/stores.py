"""The stores that survive a gateway, the routes of the scenarios, and what must be true of every job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import cores
from benchmarks.redis import KEEPING, Redis
from benchmarks.soak.findings import Findings
from benchmarks.soak.jobs.counting import Counting
from benchmarks.soak.jobs.customers import Ended, Seen
from benchmarks.soak.site import Setting
from benchmarks.soak.workers.seen import WORKERS

STORES = ("sqlite", "redis")

ROUTE = """
[route:{name}]
path = /{name}/*
upstream = counting
max_body = 20m
async = always
async_delivery = {delivery}
async_concurrency = {concurrency}
async_max_queued = 100000
async_max_queued_per_caller = 100000
async_max_result = 20m
"""


@contextmanager
def store(name: str, folder: Path) -> Iterator[tuple[Setting, Redis | None]]:
    """Yield how a gateway of two workers runs on a store, and the Redis if it is one."""
    redis = Redis(folder, cores()[1], *KEEPING) if name == "redis" else None
    state = redis.address if redis is not None else f"sqlite:{folder}/jobs.sqlite"
    try:
        yield Setting(workers=WORKERS, options=f"state = {state}\nasync_drain_timeout = 8s"), redis
    finally:
        if redis is not None:
            redis.program.kill()


def routes(upstream: Counting, concurrency: int) -> str:
    """Return a route for each kind of delivery, to the upstream that counts."""
    kinds = (("once", "at-most-once"), ("again", "at-least-once"))
    head = f"[upstream:counting]\ntargets = http://127.0.0.1:{upstream.port}\n"
    return head + "".join(
        ROUTE.format(name=name, delivery=delivery, concurrency=concurrency) for name, delivery in kinds
    )


def paths(count: int) -> Iterator[str]:
    """Yield a path for each number, of both routes in turn."""
    for number in range(count):
        yield f"/{'again' if number % 2 else 'once'}/{number}"


def judge(findings: Findings, seen: Seen, upstream: Counting, may_interrupt: bool) -> None:
    """Write down what is not as it must be: a job without an end, a call too many, or one that is missing."""
    findings.expect(not seen.unended, f"{len(seen.unended)} did not end: {seen.unended[:3]}")
    wrong: Counter[str] = Counter()
    for ended in seen.ended:
        calls = upstream.jobs[ended.job]
        for fault in _faults(ended, calls, may_interrupt):
            wrong[fault] += 1
    for fault, count in wrong.items():
        findings.expect(False, f"{count} {fault}")
    doubled = [path for path, calls in upstream.paths.items() if calls > 1 and path.startswith("/once/")]
    findings.expect(not doubled, f"{len(doubled)} calls at most once came twice: {doubled[:3]}")
    if not may_interrupt:
        twice = [path for path, calls in upstream.paths.items() if calls > 1]
        findings.expect(not twice, f"{len(twice)} calls came twice: {twice[:3]}")
    strange = set(upstream.jobs) - {ended.job for ended in seen.ended}
    findings.expect(not strange, f"{len(strange)} jobs that no client knows: {list(strange)[:3]}")


def _faults(ended: Ended, calls: int, may_interrupt: bool) -> Iterator[str]:
    is_once = ended.path.startswith("/once/")
    if ended.state == "succeeded":
        if ended.result != 200 or ended.body != ended.path.encode():
            yield f"succeeded without their result ({ended.result})"
        if calls < 1:
            yield "succeeded without a call"
        if is_once and calls != 1:
            yield f"at most once, and called {calls} times"
    elif not (is_once and may_interrupt and ended.reason == "interrupted"):
        kind = "at most once" if is_once else "at least once"
        yield f"{kind} ended as {ended.state} {ended.reason}"
    elif calls > 1:
        yield f"interrupted, and called {calls} times"


def outcomes(seen: Seen) -> str:
    """Return how the jobs ended, in numbers."""
    ends = Counter(ended.reason or ended.state for ended in seen.ended)
    return " ".join(f"{count} {how}" for how, count in sorted(ends.items()))
