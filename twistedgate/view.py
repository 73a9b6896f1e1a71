"""The running gateway as its operator sees it: what ``/ready`` and ``/status`` of an admin listener tell."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from twistedgate import __version__
from twistedgate.balancing.health import Verdict
from twistedgate.upstream.upstream import Upstream

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

    def unready_reasons(self) -> list[str]:
        """Return a sentence for each reason to send requests elsewhere."""
        service = self._service
        reasons = [] if service.is_accepting else ["the targets are being looked up"]
        used = {route.upstream for route in service.configuration.routes.values() if route.upstream}
        for name, upstream in service.server.upstreams.upstreams.items():
            if name in used and not upstream.targets.available_count:
                why = _why_none(service.judges.judgings[name].verdicts(time.monotonic()))
                reasons.append(f"upstream {name} has no target that may be picked: {why}")
        return reasons

    def status(self) -> Mapping[str, object]:
        """Return everything that is known, in JSON's own types."""
        service = self._service
        now = time.monotonic()
        routes = service.configuration.routes
        upstreams = service.server.upstreams.upstreams
        return {
            "version": __version__,
            "started": _when(service.opened),
            "clock": round(now, 3),
            "draining": service.is_draining,
            "unready": self.unready_reasons(),
            "workers": [self._worker()],
            "requests": service.server.answered,
            "connections": service.server.capacity.open_count,
            "accepting_paused": service.server.capacity.is_full,
            "access_log_dropped": service.server.access_log.dropped,
            "listeners": {
                bound.config.name: {
                    "serve": bound.config.serve,
                    "address": listeners.addresses.get(bound.config.name, ""),
                    "connections": bound.open_count,
                }
                for listeners in (service.server.listeners, service.operators)
                for bound in listeners.bound
            },
            "routes": {
                name: {
                    "host": list(route.host),
                    "path": route.path,
                    "upstream": route.upstream or None,
                    "in_flight": service.server.gates.under_way(name),
                }
                for name, route in routes.items()
            },
            "upstreams": {
                name: _upstream(upstream, service.judges.judgings[name].verdicts(now), now)
                for name, upstream in upstreams.items()
            },
        }

    def _worker(self) -> Mapping[str, object]:
        """Return what is known of the one process that serves."""
        service = self._service
        state = "serving" if service.is_accepting else "starting"
        return {
            "pid": os.getpid(),
            "state": "draining" if service.is_draining else state,
            "connections": service.server.capacity.open_count,
            "requests": service.server.answered,
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


def _upstream(upstream: Upstream, verdicts: list[Verdict], now: float) -> Mapping[str, object]:
    return {
        "balance": upstream.config.balance,
        "requests": upstream.requests,
        "in_flight": upstream.gate.total,
        "connections": upstream.pool.open_count,
        "idle_connections": upstream.pool.idle_count,
        "available": upstream.targets.available_count,
        "targets": [_target(upstream, verdict, now) for verdict in verdicts],
    }


def _target(upstream: Upstream, verdict: Verdict, now: float) -> Mapping[str, object]:
    target = upstream.targets.by_name[verdict.name]
    return {
        "name": verdict.name,
        "url": target.config.url,
        "state": verdict.state.value,
        "since": _when(time.time() - (now - verdict.since)),
        "weight": round(verdict.weight, 3),
        "in_flight": target.in_flight,
        "requests": target.requests,
        "failed": target.failed,
        "last_error": verdict.last_error or None,
    }


def _when(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
