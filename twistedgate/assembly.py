"""A configuration compiled: policies and actions made, pipelines joined to their routes, the table built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twistedgate.action import Action
from twistedgate.actions.proxy import Proxy
from twistedgate.actions.redirect import Redirect
from twistedgate.actions.respond import Respond
from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.limiting.gate import Gate
from twistedgate.pipeline import Pipeline
from twistedgate.policy import Policy
from twistedgate.routing.routes import rule_of
from twistedgate.routing.table import RouteTable
from twistedgate.runtime import Runtime, UpstreamPort
from twistedgate.units import Units
from twistedgate.upstream.counting import Counting, OwnCounts

Now = Callable[[], float]


class Gates:
    """The gates of the routes, by name: what is under way outlives a reload."""

    def __init__(self, counting: Counting | None = None) -> None:
        """``counting`` makes the gates; each process counts for itself without it."""
        self._counting = OwnCounts() if counting is None else counting
        self._gates: dict[str, Gate] = {}

    def prepare(self, route: RouteConfig) -> Gate:
        """Return the route's gate; its limit is changed by ``commit`` only."""
        gate = self._gates.get(route.name)
        if gate is None:
            gate = self._gates[route.name] = self._counting.gate(f"route:{route.name}", route.max_requests)
        return gate

    def under_way(self, name: str) -> int:
        """Return how many exchanges of a route are under way."""
        gate = self._gates.get(name)
        return 0 if gate is None else gate.total

    def commit(self, configuration: Configuration) -> None:
        """Take the limits of a new configuration, and forget the routes that are gone."""
        for name, gate in list(self._gates.items()):
            route = configuration.routes.get(name)
            if route is not None:
                gate.limit = route.max_requests
            elif not gate.under_way:
                del self._gates[name]


class Assembler:
    """Makes gateways of configurations."""

    def __init__(self, units: Units, gates: Gates, observe: Callable[[Exchange], None], now: Now) -> None:
        self._units = units
        self._gates = gates
        self._observe = observe
        self._now = now

    def assemble(self, configuration: Configuration, upstreams: Mapping[str, UpstreamPort]) -> Gateway:
        """Return the gateway of ``configuration``; whatever a policy raises in its constructor comes out."""
        runtime = Runtime(self._now, dict(upstreams), tuple(configuration.consumers.values()))
        policies = {
            name: self._make_policy(name, config, runtime) for name, config in configuration.policies.items()
        }
        entries = []
        for route in configuration.routes.values():
            chosen = [policies[name] for name in (*configuration.gateway.policies, *route.policies)]
            pipeline = Pipeline(route, chosen, _make_action(route, runtime), self._gates.prepare(route))
            entries.append((rule_of(route), pipeline))
        return Gateway(RouteTable(entries), self._observe, self._now)

    def _make_policy(self, title: str, config: Any, runtime: Runtime) -> Policy:
        kind = title.partition(":")[0]
        policy = self._units.find(kind)
        if policy is None:
            raise ValueError(f"there is no policy '{kind}'")
        return policy(config, runtime)


def _make_action(route: RouteConfig, runtime: Runtime) -> Action:
    if route.upstream:
        return Proxy(route, runtime)
    if route.respond is not None:
        return Respond(route, runtime)
    return Redirect(route, runtime)
