"""Every upstream's judging, over reloads and upgrades: whatever is known and still holds is kept.

This module does not know who sends requests to the targets: it publishes how they stand, and is told what
became of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from twistedgate.config.model import UpstreamConfig
from twistedgate.upstream.judging import JudgePort, Judging, Standing, Watching
from twistedgate.upstream.known import Known

PublishOf = Callable[[str, tuple[Standing, ...]], object]
"""Called with the name of an upstream and how all its targets stand, when that is not as before."""


class Judges:
    """Those who judge the upstreams in use."""

    def __init__(self, watching: Watching, publish: PublishOf) -> None:
        self._watching = watching
        self._publish = publish
        self.judgings: dict[str, Judging] = {}
        self._known: dict[str, Known] = {}

    def __repr__(self) -> str:
        return f"<Judges {list(self.judgings.values())}>"

    def prepare(self, configs: Mapping[str, UpstreamConfig]) -> dict[str, Judging]:
        """Return who is to judge by a new configuration; nothing is started, the old ones stay in use."""
        prepared: dict[str, Judging] = {}
        for name, config in configs.items():
            present = self.judgings.get(name)
            if present is not None and present.config == config:
                prepared[name] = present
            else:
                publish = functools.partial(self._publish, name)
                previous = present or self._known.get(name)
                prepared[name] = Judging(config, self._watching, previous, publish)
        return prepared

    def commit(self, prepared: Mapping[str, Judging]) -> None:
        """Judge by the prepared configuration from now on; this cannot fail."""
        before, self.judgings, self._known = self.judgings, dict(prepared), {}
        # the new ones first: names that the old ones still watch are known to them at once
        for name, judging in prepared.items():
            if before.get(name) is judging:
                judging.renew()
            else:
                judging.start()
        for name, judging in before.items():
            if prepared.get(name) is not judging:
                judging.stop()

    def written(self) -> dict[str, Any]:
        """Return what is known of names and targets in JSON's own types, for the next program."""
        known = {name: judging.known().written() for name, judging in self.judgings.items()}
        return {"names": self._watching.resolver.known(), "upstreams": known}

    def read(self, told: Mapping[str, Any]) -> None:
        """Begin with what was written, when the first configuration is prepared and committed."""
        self._watching.resolver.recall(told["names"])
        self._known = {name: Known.read(known) for name, known in told["upstreams"].items()}

    def port(self, upstream: str) -> JudgePort:
        """Return whom to tell of requests to an upstream; it may be prepared only, or gone meanwhile."""
        return _Port(self, upstream)

    def standings(self) -> dict[str, tuple[Standing, ...]]:
        """Return how all targets stand, by upstream."""
        return {name: judging.standings for name, judging in self.judgings.items()}

    def drain(self, upstream: str, target: str) -> tuple[str, ...]:
        """Send a target nothing new; see ``Judging.drain``.  Raises ``LookupError``."""
        return self._find(upstream).drain(target)

    def enable(self, upstream: str, target: str) -> tuple[str, ...]:
        """Send a target requests again; see ``Judging.enable``.  Raises ``LookupError``."""
        return self._find(upstream).enable(target)

    def _find(self, upstream: str) -> Judging:
        judging = self.judgings.get(upstream)
        if judging is None:
            known = ", ".join(sorted(self.judgings)) or "none"
            raise LookupError(f"there is no upstream {upstream!r}; there is {known}")
        return judging

    def sweep(self, now: float) -> None:
        """Let time act; once a second is often enough."""
        for judging in self.judgings.values():
            judging.tick(now)

    def stop(self) -> None:
        """End every look-up and check."""
        for judging in self.judgings.values():
            judging.stop()


class _Port:
    """Tells whoever judges an upstream at the time."""

    def __init__(self, judges: Judges, upstream: str) -> None:
        self._judges = judges
        self._upstream = upstream

    @property
    def _judging(self) -> Judging | None:
        return self._judges.judgings.get(self._upstream)

    def failed(self, target: str, reason: str, now: float) -> None:
        """A request came to nothing."""
        if judging := self._judging:
            judging.failed(target, reason, now)

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered."""
        if judging := self._judging:
            judging.succeeded(target, now)

    def trial_started(self, target: str, now: float) -> None:
        """The one request of a trial is under way."""
        if judging := self._judging:
            judging.trial_started(target, now)

    def trial_abandoned(self, target: str, now: float) -> None:
        """The trial ended without a verdict."""
        if judging := self._judging:
            judging.trial_abandoned(target, now)
