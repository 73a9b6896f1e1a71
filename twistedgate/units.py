"""Policies by their kind: section kind = module name = class name.

``[rate-limit:x]`` is ``RateLimit`` in ``twistedgate.policies.rate_limit``; nothing registers.  A third
party's policy is published under its kind with the name of a module (see ``twistedgate.published``), which is
imported only when a section of that kind is there.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from twistedgate.config.check import Check, Fault
from twistedgate.config.load import load
from twistedgate.config.model import KINDS, Configuration, RouteConfig
from twistedgate.policy import Policy, Stage
from twistedgate.routing.routes import unreachable

_OURS = "twistedgate.policies"
"""Where our own policies are: named, not imported, as they stand on a floor above."""

_KIND = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

CHECKS: tuple[Check, ...] = (unreachable,)
"""What ``config.load`` is to check besides its own, where more than the configuration's floor is known."""


class Published(Protocol):
    """Where a third party's policy is to be found."""

    @property
    def name(self) -> str:
        """The kind of its sections."""

    @property
    def module(self) -> str:
        """The module that holds the class."""


def class_name(kind: str) -> str:
    """Return the class of a kind: ``rate-limit`` is ``RateLimit``."""
    return "".join(word.capitalize() for word in kind.split("-"))


class Units:
    """Every kind of policy there is: our own, and those that were published."""

    def __init__(self, published: Iterable[Published] = ()) -> None:
        self._modules: dict[str, list[str]] = {
            module.name.replace("_", "-"): [f"{_OURS}.{module.name}"]
            for module in pkgutil.iter_modules(importlib.import_module(_OURS).__path__)
        }
        for policy in published:
            self._modules.setdefault(policy.name, []).append(policy.module)

    def names(self) -> list[str]:
        """Return every kind, sorted."""
        return sorted(self._modules)

    def load(self, path: str, variables: Mapping[str, str] = os.environ) -> Configuration:
        """Return the configuration in the file; raises ``ConfigurationErrors`` with every error."""
        return load(path, self, (*CHECKS, self._unbounded, self._unidentified), variables)

    def _unbounded(self, configuration: Configuration) -> Iterator[Fault]:
        """Return a fault for each route where a policy holds whole bodies and nothing bounds them."""
        for route in configuration.routes.values():
            for title in (*configuration.gateway.policies, *route.policies):
                policy = self.find(title.partition(":")[0]) if title in configuration.policies else None
                if not route.max_body and policy is not None and policy.needs_request_body:
                    what = f"is no limit, and {title} holds the whole body; accepted: a size, such as 10m"
                    yield Fault(f"route:{route.name}", "max_body", what)

    def identifying(self, configuration: Configuration) -> tuple[str, ...]:
        """Return the policies that stand before jobs: those that are named, or all that know callers."""
        named = configuration.gateway.jobs_policies
        if named:
            return named
        jobs = [route for route in configuration.routes.values() if route.has_jobs]
        return tuple(dict.fromkeys(title for route in jobs for title in self._identify(configuration, route)))

    def _identify(self, configuration: Configuration, route: RouteConfig) -> list[str]:
        """Return the policies of a route that tell who calls."""
        titles = (*configuration.gateway.policies, *route.policies)
        return [title for title in titles if title in configuration.policies and self._identifies(title)]

    def _identifies(self, title: str) -> bool:
        policy = self.find(title.partition(":")[0])
        return policy is not None and policy.stage is Stage.IDENTIFY

    def _unidentified(self, configuration: Configuration) -> Iterator[Fault]:
        """Return a fault where nobody could tell whose jobs are asked for."""
        named = configuration.gateway.jobs_policies
        for title in named:
            if title in configuration.policies and not self._identifies(title):
                what = f"'{title}' does not tell who calls; accepted: policies of the stage IDENTIFY"
                yield Fault("gateway", "jobs_policies", what)
        for route in configuration.routes.values():
            titles = self._identify(configuration, route) if route.has_jobs else []
            for title in titles:
                policy = self.find(title.partition(":")[0])
                if policy is not None and policy.has_credentials is Policy.has_credentials:
                    what = f"{title} cannot tell whether credentials are there, so nobody could ask for a job"
                    yield Fault(f"route:{route.name}", "async", f"{what}; accepted: off, or another policy")
            if named and titles and not set(titles) & set(named):
                what = f"no policy of [route:{route.name}] is there, so nobody could ask for its jobs"
                yield Fault("gateway", "jobs_policies", f"{what}; add {' or '.join(titles)}")

    def find(self, kind: str) -> type[Policy] | None:
        """Return the class of a kind, ``None`` if there is no such kind; ``ValueError`` if it is unusable."""
        modules = self._modules.get(kind)
        if modules is None:
            return None
        module = modules[0]
        if len(set(modules)) > 1 or kind in KINDS or _KIND.fullmatch(kind) is None:
            raise ValueError(
                f"the kind '{kind}' that {modules[-1]} publishes is taken, or no name for a kind"
            )
        name = class_name(kind)
        try:
            found: Any = getattr(importlib.import_module(module), name)
        except (ImportError, SyntaxError, AttributeError) as error:
            raise ValueError(f"the policy '{kind}' cannot be had from {module}: {error}") from error
        if not _is_policy(found):
            raise ValueError(f"{name} in {module} is not a Policy with a dataclass Config")
        policy: type[Policy] = found
        return policy

    def options(self, kind: str) -> type[Any] | None:
        """Return the ``Config`` of a kind, as ``find`` returns its class."""
        policy = self.find(kind)
        return None if policy is None else policy.Config


def _is_policy(found: Any) -> bool:
    if not isinstance(found, type) or not issubclass(found, Policy):
        return False
    return dataclasses.is_dataclass(getattr(found, "Config", None))
