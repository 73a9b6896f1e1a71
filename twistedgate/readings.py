"""What ``/metrics`` shows, taken from the running gateway; ``observers.families`` gives it its names."""

from __future__ import annotations

import os
import platform
from collections import Counter
from typing import TYPE_CHECKING

import twisted
from twistedgate import __version__
from twistedgate.balancing.health import State
from twistedgate.observers.families import Reading, TargetReading, UpstreamReading
from twistedgate.observers.figures import read_figures
from twistedgate.observers.job_families import JobsReading

if TYPE_CHECKING:
    from twistedgate.service import GatewayService

WORKER_STATES = ("starting", "serving", "draining", "ending")
"""Those of ``facts.ProcessFacts``."""

VERSIONS = {
    "version": __version__,
    "python": platform.python_version(),
    "twisted": twisted.__version__,
}


def reading(service: GatewayService, jobs: JobsReading | None = None) -> Reading:
    """Read a gateway; ``jobs`` is what its store says, if it has jobs."""
    crew = service.crew
    crew.tally()
    processes = crew.processes
    states = Counter(process.state for process in processes)
    judgings = crew.judges.judgings
    return Reading(
        starts=crew.measures.starts,
        total=crew.board.total,
        upstreams=[
            UpstreamReading(
                name, crew.upstream(name).in_flight, sum(one.may_pick for one in judging.standings)
            )
            for name, judging in judgings.items()
        ],
        targets=[
            TargetReading(name, one.name, crew.target(name, one.name).in_flight, one.state is State.UP)
            for name, judging in judgings.items()
            for one in judging.standings
        ],
        connections=crew.connections,
        is_draining=service.is_draining,
        is_reload_good=service.is_reload_good,
        reload_time=service.last_reload,
        workers={state: states[state] for state in WORKER_STATES},
        wanted_workers=crew.wanted,
        process=read_figures([os.getpid(), *(one.pid for one in processes if one.pid != os.getpid())]),
        versions=VERSIONS,
        jobs=jobs,
    )
