"""The routes of a configuration as rules, and those among them that can never answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from twistedgate.config.check import Fault
from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.routing.match import PathPattern, Rule, segments_of
from twistedgate.routing.table import RouteTable


def rule_of(route: RouteConfig) -> Rule:
    """Return what a request must be for the route to answer it."""
    return Rule(route.host, route.path, route.methods, route.headers, route.priority)


JOBS: Final = "_jobs"
"""The name by which the log and ``explain`` know what answers about jobs; no route can have it."""

_BEFORE_ALL: Final = 10**15
"""A priority that no route can have."""


def jobs_rule(path: str) -> Rule:
    """Return what a request for jobs is: at ``path`` or below, of any host and method, before all routes."""
    return Rule((), f"{path}/*", (), (), _BEFORE_ALL)


def is_of_jobs(configuration: Configuration, path: str) -> bool:
    """Whether a request for this path asks about jobs, as the table would say."""
    below = configuration.gateway.jobs_path
    return configuration.has_jobs and PathPattern.parse(f"{below}/*").matches(segments_of(path))


def table_of(configuration: Configuration) -> RouteTable[RouteConfig]:
    """Return the table of the routes, for those who ask without serving."""
    return RouteTable([(rule_of(route), route) for route in configuration.routes.values()])


def unreachable(configuration: Configuration) -> Iterator[Fault]:
    """Return a fault for each route that those before it leave nothing to."""
    for shadowed in table_of(configuration).shadowed():
        by = " and ".join(f"[route:{route.name}]" for route in shadowed.by)
        yield Fault(
            f"route:{shadowed.answer.name}",
            "path",
            f"can never answer, as {by} takes all that it would; accepted: a narrower rule there, "
            "a higher priority here, or one route less",
        )


def upstream_path(route: RouteConfig, path: str) -> str:
    """Return the path that the upstream sees: ``strip_prefix`` off, in whole segments, ``add_prefix`` on."""
    rest = path
    if route.strip_prefix and f"{path}/".startswith(f"{route.strip_prefix}/"):
        rest = path[len(route.strip_prefix) :]
    return f"{route.add_prefix}{rest}" or "/"
