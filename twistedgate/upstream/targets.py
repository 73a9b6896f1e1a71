"""The targets of one upstream: found by name, checked, judged, and handed to the balancer.

Names are watched by the resolver, each address is a target; the judge decides which may be picked, and every
change of its mind is one log line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from twistedgate.balancing.balancer import make_balancer
from twistedgate.balancing.health import Change, HealthRules, Judge, State, Verdict
from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.exchange import Exchange
from twistedgate.net.tls import ClientTLS
from twistedgate.upstream.counting import Counting, OwnCounts
from twistedgate.upstream.prober import HealthCheck, Probers, Probing
from twistedgate.upstream.resolver import Resolver, Watch
from twistedgate.upstream.target import Target
from twistedgate.upstream.witness import NoWitness, Witness

_log = Logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an upstream gets from the process it lives in."""

    reactor: Any
    now: Callable[[], float]
    random: Callable[[], float]
    resolver: Resolver
    probing: Probing
    tls: Callable[[UpstreamConfig, TargetConfig], ClientTLS | None]
    witness: Witness = field(default_factory=NoWitness)
    counting: Counting = field(default_factory=OwnCounts)


class Targets:
    """Who can be picked, and what is known of them."""

    def __init__(self, config: UpstreamConfig, surroundings: Surroundings, previous: Targets | None) -> None:
        """``previous`` are the upstream's targets before a reload; those that stay keep their counts."""
        self._config = config
        self._surroundings = surroundings
        self._previous = {} if previous is None else dict(previous.by_name)
        self._judge = Judge(HealthRules.of(config), surroundings.now())
        self._balancer = make_balancer(config.balance, surroundings.random)
        self._probers = Probers(surroundings.probing, self._probed)
        self._watches: list[Watch] = []
        self._addresses: dict[TargetConfig, tuple[str, ...]] = {}
        self._revision = -1
        self._is_stopped = False
        self._gone: Callable[[Target], None] = lambda target: None
        self.by_name: dict[str, Target] = {}

    def start(self, gone: Callable[[Target], None]) -> None:
        """Look the names up and begin to check; ``gone`` is told of each target that goes or goes down."""
        self._gone = gone
        for config in self._config.targets:
            self._watches.append(
                self._surroundings.resolver.watch(config.host, functools.partial(self._found, config))
            )

    def stop(self) -> None:
        """Look up, check and judge no more: the targets may be another's by now."""
        self._is_stopped = True
        for watch in self._watches:
            watch.stop()
        self._watches = []
        self._probers.stop()

    def _found(self, config: TargetConfig, addresses: tuple[str, ...]) -> None:
        """Take the addresses of one configured host."""
        self._addresses[config] = addresses
        wanted: dict[str, Target] = {}
        for configured in self._config.targets:
            for address in self._addresses.get(configured, ()):
                target = self._surroundings.counting.target(self._config.name, configured, address)
                if target.name not in wanted:
                    wanted[target.name] = self._known(target)
        now = self._surroundings.now()
        for name, target in list(self.by_name.items()):
            if wanted.get(name) is not target:
                self._log(self._judge.remove(name, now))
                self._gone(self.by_name.pop(name))
        for name, target in wanted.items():
            self.by_name[name] = target
            self._surroundings.witness.found(self._config.name, name)
            self._log(self._judge.add(name, target.config.weight, now))
        self._refresh(now)
        self.renew_checks()

    def renew_checks(self) -> None:
        """Check every target as the configuration of now wants it, TLS included."""
        if self._config.health_path:
            self._probers.update(self._checks())

    def _known(self, target: Target) -> Target:
        """Return the target of that name, with its counts, as it is configured now."""
        present = self.by_name.get(target.name) or self._previous.get(target.name)
        if present is None or present.config.scheme != target.config.scheme:
            return target
        present.config = target.config
        present.authority = target.authority
        present.weight = target.weight
        return present

    def _checks(self) -> Iterable[HealthCheck]:
        config = self._config
        for target in self.by_name.values():
            tls = self._surroundings.tls(config, target.config)
            yield HealthCheck.of(config, target.config, target.address, tls)

    # the judge

    def _probed(self, name: str, is_good: bool, detail: str, now: float) -> None:
        self._surroundings.witness.probed(self._config.name, name, is_good)
        self._heard(self._judge.probed(name, is_good, detail, now), now)

    def failed(self, target: Target, reason: str, now: float) -> None:
        """A request to the target came to nothing."""
        target.failed += 1
        if self._is_stopped:
            return
        target.consecutive_failures += 1
        target.trial = None
        self._heard(self._judge.failed(target.name, reason, now), now)

    def succeeded(self, target: Target, now: float) -> None:
        """A request was answered; only of interest after failures."""
        if self._is_stopped:
            return
        target.consecutive_failures = 0
        target.trial = None
        self._heard(self._judge.succeeded(target.name, now), now)

    def left_undecided(self, target: Target, now: float) -> None:
        """The trial ended without a verdict: another request may be it."""
        if self._is_stopped:
            return
        target.trial = None
        self._heard(self._judge.trial_abandoned(target.name, now), now)

    def tick(self, now: float) -> None:
        """Let time act."""
        self._heard(self._judge.tick(now), now)

    def _heard(self, changes: list[Change], now: float) -> None:
        self._log(changes)
        if self._judge.revision != self._revision:
            self._refresh(now)

    def _log(self, changes: list[Change]) -> None:
        for change in changes:
            write = _log.info if change.state in (State.UP, State.TRIAL) else _log.warn
            write(
                "upstream {upstream}: target {target} is {state}: {reason}",
                upstream=self._config.name,
                target=change.name,
                state=change.state.value,
                reason=change.reason,
            )
            if change.state == State.EJECTED:
                self._surroundings.witness.ejected(self._config.name, change.name)
            if change.state in (State.DOWN, State.EJECTED) and change.name in self.by_name:
                self._gone(self.by_name[change.name])

    def _refresh(self, now: float) -> None:
        """Hand those that may be picked to the balancer."""
        self._revision = self._judge.revision
        candidates = []
        for verdict in self._judge.available(now):
            target = self.by_name.get(verdict.name)
            if target is not None:
                target.weight = verdict.weight
                target.is_on_trial = verdict.state == State.TRIAL
                candidates.append(target)
        self._balancer.update(candidates)
        self.available_count = len(candidates)

    # those who ask

    available_count = 0
    """How many targets may be picked."""

    def pick(self, key: bytes, tried: Collection[object], exchange: Exchange) -> Target | None:
        """Return a target, one that was not tried if there is one, and count the request in flight to it."""
        target: Target | None = self._balancer.pick(key, tried)
        if target is None and tried:
            target = self._balancer.pick(key, ())
        if target is None:
            return None
        target.take()
        if target.is_on_trial and not self._is_stopped:
            target.is_on_trial = False
            target.trial = exchange
            now = self._surroundings.now()
            self._heard(self._judge.trial_started(target.name, now), now)
        return target

    def verdicts(self, now: float) -> list[Verdict]:
        """Return what is known of each target."""
        return self._judge.verdicts(now)
