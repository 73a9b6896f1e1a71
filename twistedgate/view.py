"""The running gateway as its operator sees it: what an admin listener tells."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from twistedgate import __version__
from twistedgate.balancing.health import Verdict
from twistedgate.facts import ProcessFacts
from twistedgate.observers.exposition import Families
from twistedgate.observers.families import families
from twistedgate.policies.key_auth import KeyAuth
from twistedgate.readings import reading
from twistedgate.upstream.judging import Judging, Standing

if TYPE_CHECKING:
    from twistedgate.service import GatewayService

MOST_TOLD = 3
"""Targets of an upstream that ``/ready`` speaks of; ``/status`` has all."""

LONGEST_TOLD = 100
"""Characters of what was wrong with one of them; ``/status`` has the rest."""


class View:
    """Reads a ``GatewayService``, and changes nothing."""

    def __init__(self, service: GatewayService) -> None:
        self._service = service

    @property
    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""
        return self._service.is_draining

    @property
    def credential_names(self) -> list[str]:
        """The header fields and parameters in which clients show their keys."""
        policies = self._service.configuration.policies.values()
        keys = [config for config in policies if isinstance(config, KeyAuth.Config)]
        fields = [config.header.decode("ascii") for config in keys if config.header]
        return [*fields, *(config.query for config in keys if config.query)]

    def unready_reasons(self) -> list[str]:
        """Return a sentence for each reason to send requests elsewhere."""
        service = self._service
        reasons = []
        if not service.is_accepting:
            reasons.append("the targets are being looked up")
        elif not any(process.state == "serving" for process in service.crew.processes):
            reasons.append("no worker serves")
        used = {route.upstream for route in service.configuration.routes.values() if route.upstream}
        for name, judging in service.crew.judges.judgings.items():
            if name in used and not any(standing.may_pick for standing in judging.standings):
                why = _why_none(judging.verdicts(time.monotonic()))
                reasons.append(f"upstream {name} has no target that may be picked: {why}")
        return reasons

    def status(self) -> Mapping[str, object]:
        """Return everything that is known, in JSON's own types."""
        service, crew = self._service, self._service.crew
        return {
            "version": __version__,
            "started": _when(service.opened),
            "clock": round(time.monotonic(), 3),
            "draining": service.is_draining,
            "unready": self.unready_reasons(),
            "workers": [self._process(process) for process in crew.processes],
            "requests": crew.requests,
            "connections": crew.connections,
            "accepting_paused": crew.is_paused,
            "access_log_dropped": crew.dropped,
            "listeners": self._listeners(),
            "routes": {
                name: {
                    "host": list(route.host),
                    "path": route.path,
                    "upstream": route.upstream or None,
                    "in_flight": crew.in_flight(name),
                }
                for name, route in service.configuration.routes.items()
            },
            "upstreams": {name: self._upstream(name) for name in crew.judges.judgings},
        }

    def _process(self, process: ProcessFacts) -> Mapping[str, object]:
        told = asdict(process)
        return {**told, "state": "draining"} if self.is_draining else told

    def families(self) -> Deferred[Families]:
        """Return what is counted, and how everything stands; of jobs what their store says."""
        service = self._service
        configuration = service.configuration
        if not configuration.has_jobs:
            return succeed(families(reading(service)))
        routes = [name for name, route in configuration.routes.items() if route.has_jobs]
        looking = service.queues.look(service.crew.store, routes)
        return looking.addCallback(lambda jobs: families(reading(service, jobs)))

    def _listeners(self) -> Mapping[str, object]:
        """Return where each listener is: those of clients, then the operators'."""
        service, crew = self._service, self._service.crew
        addresses = {**crew.addresses, **service.operators.addresses}
        return {
            name: {
                "serve": service.configuration.listeners[name].serve,
                "address": address,
                "connections": crew.connections_of(name),
            }
            for name, address in addresses.items()
        }

    def _upstream(self, name: str) -> Mapping[str, object]:
        judging = self._service.crew.judges.judgings[name]
        return {
            "balance": judging.config.balance,
            **asdict(self._service.crew.upstream(name)),
            "available": sum(standing.may_pick for standing in judging.standings),
            "targets": [self._target(judging, standing) for standing in judging.standings],
        }

    def _target(self, judging: Judging, standing: Standing) -> Mapping[str, object]:
        now = time.monotonic()
        verdict = judging.verdict(standing.name, now)
        facts = self._service.crew.target(judging.config.name, standing.name)
        return {
            "name": verdict.name,
            "url": judging.config.targets[standing.place].url,
            "state": verdict.state.value,
            "since": _when(time.time() - (now - verdict.since)),
            "weight": round(verdict.weight, 3),
            **asdict(facts),
            "last_error": verdict.last_error or None,
        }


def _why_none(verdicts: list[Verdict]) -> str:
    """Return how the first few targets stand, and what was wrong with them."""
    told = [_standing(verdict) for verdict in verdicts[:MOST_TOLD]]
    if len(verdicts) > MOST_TOLD:
        told.append(f"and {len(verdicts) - MOST_TOLD} more")
    return ", ".join(told) or "no address is known"


def _standing(verdict: Verdict) -> str:
    error = verdict.last_error
    if len(error) > LONGEST_TOLD:
        error = f"{error[:LONGEST_TOLD]}..."
    return f"{verdict.name} is {verdict.state.value}" + (f" ({error})" if error else "")


def _when(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
