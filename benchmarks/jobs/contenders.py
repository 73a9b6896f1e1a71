"""Those who make jobs of calls: the gateway on each of its stores, and what people build today.

Each is started anew for each turn, with an empty store: what one turn left in a queue is no burden of the
next.  Its own processes share a core; Redis, the upstream and the clients have the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway import daemon
from benchmarks.processes import Launch, Program, free_port, wait_for_port
from benchmarks.redis import KEEPING, Redis

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-jobs"
"""An environment for each peer: not all of them can do with the same client of Redis."""

CONCURRENCY = 10
"""Calls under way at once, of whoever."""

SETTINGS = """
[gateway]
access_log = {folder}/access.log
max_connections = 15000
workers = 1
state = {state}

[listener:public]
endpoint = tcp:{port}:interface=127.0.0.1

[upstream:origin]
targets = http://127.0.0.1:{upstream}

[route:calls]
path = *
upstream = origin
async = always
async_concurrency = {concurrency}
async_max_queued = 10000000
async_max_queued_per_caller = 10000000
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender runs for a turn, and what it stands before."""

    folder: Path
    upstream: int
    own: int | None
    """The core of what is measured."""
    other: int | None


class Stack:
    """A contender that runs: its own processes, its Redis if it has one, and where it answers."""

    def __init__(self, programs: Sequence[Program], redis: Redis | None, port: int, result: str) -> None:
        self.programs = programs
        self.port = port
        self.result = result
        """What comes behind the address of a job to have its result."""
        self._redis = redis

    def cpu_seconds(self) -> float:
        """Processor time of all its processes."""
        return sum(program.cpu_seconds() for program in self.programs)

    def redis_seconds(self) -> float:
        """Processor time of its Redis."""
        return self._redis.program.cpu_seconds() if self._redis is not None else 0.0

    def stop(self) -> None:
        """End all at once: nothing of it is wanted any more."""
        for program in self.programs:
            program.kill()
        if self._redis is not None:
            self._redis.program.kill()


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who makes jobs of calls."""

    name: str
    start: Callable[[Place], Stack]
    needs: Path | None = None
    """What is not there where it is not installed."""

    @property
    def is_installed(self) -> bool:
        """Whether it can be started."""
        return self.needs is None or self.needs.exists()


def _gateway(state: str) -> Callable[[Place], Stack]:
    def start(place: Place) -> Stack:
        redis = Redis(place.folder, place.other, *KEEPING) if state == "redis" else None
        states = {"memory": "memory:", "sqlite": f"sqlite:{place.folder}/jobs.sqlite"}
        port = free_port()
        settings = place.folder / "gateway.ini"
        settings.write_text(
            SETTINGS.format(
                folder=place.folder,
                state=states.get(state) or (redis.address if redis is not None else ""),
                port=port,
                upstream=place.upstream,
                concurrency=CONCURRENCY,
            )
        )
        return _stack(place, [("gateway", daemon(settings))], redis, port, "/result")

    return start


def _peer(peer: str, worker: Sequence[str]) -> Callable[[Place], Stack]:
    """Return how uvicorn and a worker are started with a peer's module."""

    def start(place: Place) -> Stack:
        redis = Redis(place.folder, place.other, *KEEPING)
        environment = {
            "PYTHONPATH": str(ROOT),
            "UPSTREAM": f"http://127.0.0.1:{place.upstream}",
            "REDIS": redis.address,
            "CONCURRENCY": str(CONCURRENCY),
        }
        port = free_port()
        name = f"benchmarks.jobs.peers.with_{peer}"
        serving = ["uvicorn", f"{name}:app", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        working = [word.format(module=name, redis=redis.address) for word in worker]
        launches = [
            (what, Launch([str(PEERS / peer / "bin" / words[0]), *words[1:]], environment))
            for what, words in (("worker", working), ("web", serving))
        ]
        return _stack(place, launches, redis, port, "")

    return start


def _stack(
    place: Place, launches: Sequence[tuple[str, Launch]], redis: Redis | None, port: int, result: str
) -> Stack:
    programs = [Program(name, launch, place.folder, place.own) for name, launch in launches]
    stack = Stack(programs, redis, port, result)
    try:
        wait_for_port(port, programs[-1])
    except RuntimeError:
        stack.stop()
        raise
    return stack


_CELERY = ("celery", "-A", "{module}:celery", "worker", "-c", str(CONCURRENCY), "-P", "prefork")
_RQ = ("rq", "worker-pool", "calls", "-n", str(CONCURRENCY), "-u", "{redis}", "-w", "rq.SimpleWorker", "-q")
_ARQ = ("arq", "{module}.WorkerSettings")

CONTENDERS = {
    one.name: one
    for one in (
        Contender("memory", _gateway("memory")),
        Contender("sqlite", _gateway("sqlite")),
        Contender("redis", _gateway("redis")),
        Contender("celery", _peer("celery", _CELERY), PEERS / "celery"),
        Contender("rq", _peer("rq", _RQ), PEERS / "rq"),
        Contender("arq", _peer("arq", _ARQ), PEERS / "arq"),
    )
}
"""By name; the first three are the gateway, each with another ``state``."""

STORES = ("memory", "sqlite", "redis")
