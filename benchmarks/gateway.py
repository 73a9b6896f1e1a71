"""The gateway as it is measured: everything on that a stranger would have on."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.origin import Origin
from benchmarks.processes import Launch

SETTINGS = """
[gateway]
access_log = {folder}/{name}.log
max_connections = 15000

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


def gateway(name: str, folder: Path, port: int, origin: Origin, routes: int = 1) -> Launch:
    """Write a configuration of so many routes, and return how the daemon is started with it.

    One route takes everything; more of them share the paths ``/service-N/*``.
    """
    head = SETTINGS.format(folder=folder, name=name, port=port, first=origin.first, second=origin.second)
    if routes == 1:
        rules = [ROUTE.format(name="all", path="*")]
    else:
        rules = [ROUTE.format(name=f"s{n}", path=f"/service-{n}/*") for n in range(routes)]
    settings = folder / f"{name}.ini"
    settings.write_text(head + "".join(rules))
    return daemon(settings)
