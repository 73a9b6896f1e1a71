"""A configuration compiled: policies and actions made, pipelines joined to their routes, the table built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twistedgate.action import Action
from twistedgate.actions.job import JobAction
from twistedgate.actions.jobs import Jobs
from twistedgate.actions.proxy import Proxy
from twistedgate.actions.redirect import Redirect
from twistedgate.actions.respond import Respond
from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.exchange import Exchange
from twistedgate.first_present import FirstPresent
from twistedgate.gateway import Gateway
from twistedgate.job_answers import JobAnswers
from twistedgate.limiting.gate import Gate
from twistedgate.pipeline import JobPipeline, Pipeline
from twistedgate.policy import Policy
from twistedgate.routing.routes import JOBS, jobs_rule, rule_of
from twistedgate.routing.table import RouteTable
from twistedgate.runtime import JobsPort, Runtime, UpstreamPort
from twistedgate.units import Units
from twistedgate.upstream.counting import Counting, OwnCounts

Now = Callable[[], float]


class CannotBeMade(ValueError):
    """The constructor of a policy failed; the text says what it said, ``told`` does not."""

    def __init__(self, section: str, error: Exception) -> None:
        kind = type(error).__name__
        super().__init__(f"[{section}] cannot be made: {kind}: {error}")
        self.cause = error
        self.told = f"[{section}] cannot be made ({kind}); the gateway's log has the traceback"
        """For whoever asks from outside."""


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

    def __init__(
        self,
        units: Units,
        gates: Gates,
        observe: Callable[[Exchange], None],
        now: Now,
        jobs: JobsPort | None = None,
    ) -> None:
        """``jobs`` keeps and runs jobs; routes cannot have any without it."""
        self._jobs = jobs
        self._units = units
        self._gates = gates
        self._observe = observe
        self._now = now

    def assemble(self, configuration: Configuration, upstreams: Mapping[str, UpstreamPort]) -> Gateway:
        """Return the gateway of ``configuration``; raises ``CannotBeMade`` where a policy cannot be made."""
        consumers = tuple(configuration.consumers.values())
        runtime = Runtime(self._now, dict(upstreams), consumers, self._jobs)
        policies = {
            name: self._make_policy(name, config, runtime) for name, config in configuration.policies.items()
        }
        answers = self._answers(configuration)
        pipelines: dict[str, Pipeline] = {}
        for route in configuration.routes.values():
            chosen = [policies[name] for name in (*configuration.gateway.policies, *route.policies)]
            action, gate = _make_action(route, runtime), self._gates.prepare(route)
            if answers is not None and route.has_jobs:
                pipelines[route.name] = JobPipeline(route, chosen, JobAction(route, answers, action), gate)
            else:
                pipelines[route.name] = Pipeline(route, chosen, action, gate)
        entries = [(rule_of(pipeline.route), pipeline) for pipeline in pipelines.values()]
        if answers is not None:
            identifying = [policies[name] for name in self._units.identifying(configuration)]
            entries.append((jobs_rule(answers.path), _jobs_pipeline(configuration, answers, identifying)))
        jobs = {name: pipeline for name, pipeline in pipelines.items() if pipeline.route.has_jobs}
        return Gateway(RouteTable(entries), self._observe, self._now, jobs)

    def _answers(self, configuration: Configuration) -> JobAnswers | None:
        if not configuration.has_jobs:
            return None
        if self._jobs is None:
            raise ValueError("there are routes with async, and nobody runs jobs")
        return JobAnswers(self._jobs, configuration.gateway.jobs_path, self._now)

    def _make_policy(self, title: str, config: Any, runtime: Runtime) -> Policy:
        kind = title.partition(":")[0]
        policy = self._units.find(kind)
        if policy is None:
            raise ValueError(f"there is no policy '{kind}'")
        try:
            return policy(config, runtime)
        except Exception as error:
            # which of them it was is not in the traceback
            raise CannotBeMade(title, error) from error


def _jobs_pipeline(
    configuration: Configuration, answers: JobAnswers, identifying: Sequence[Policy]
) -> Pipeline:
    """Return what answers about jobs, in front of all routes."""
    route = RouteConfig(JOBS, path=f"{answers.path}/*")
    policies = [FirstPresent(identifying)] if identifying else []
    return Pipeline(route, policies, Jobs(configuration, answers), Gate(None))


def _make_action(route: RouteConfig, runtime: Runtime) -> Action:
    if route.upstream:
        return Proxy(route, runtime)
    if route.respond is not None:
        return Respond(route, runtime)
    return Redirect(route, runtime)
