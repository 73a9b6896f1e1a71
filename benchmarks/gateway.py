"""The gateway as it is measured: everything on that a stranger would have on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.origin import Origin
from benchmarks.processes import Launch

SETTINGS = """
[gateway]
access_log = {folder}/{name}.log
max_connections = 15000
workers = {workers}

[listener:public]
endpoint = tcp:{port}:interface=127.0.0.1

[upstream:origin]
targets = http://127.0.0.1:{first}, http://127.0.0.1:{second}
health_path = /health
"""

ROUTE = """
[route:{name}]
path = {path}
upstream = origin
"""


def daemon(settings: Path) -> Launch:
    """Return how the daemon is started with a configuration."""
    twistd = Path(sys.prefix, "bin", "twistd")
    return Launch([str(twistd), "-n", "--pidfile=", "twistedgate", "--config", str(settings)])


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets one gateway apart from another."""

    routes: int = 1
    """One takes everything; more of them share the paths ``/service-N/*``."""
    workers: int = 1


def gateway(name: str, folder: Path, port: int, origin: Origin, kind: Kind) -> Launch:
    """Write a configuration of that kind, and return how the daemon is started with it."""
    head = SETTINGS.format(
        folder=folder,
        name=name,
        port=port,
        first=origin.first,
        second=origin.second,
        workers=kind.workers,
    )
    if kind.routes == 1:
        rules = [ROUTE.format(name="all", path="*")]
    else:
        rules = [ROUTE.format(name=f"s{n}", path=f"/service-{n}/*") for n in range(kind.routes)]
    settings = folder / f"{name}.ini"
    settings.write_text(head + "".join(rules))
    return daemon(settings)
