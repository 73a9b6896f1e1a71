"""The half of an upstream that the line uses: how its targets stand, one that is picked, what became of it.

How the targets stand is said by whoever judges them, in this process or in another; what becomes of requests
is told there.  This module does not know how targets are found, checked and judged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from twistedgate.balancing.balancer import make_balancer
from twistedgate.balancing.health import State
from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.exchange import Exchange
from twistedgate.net.tls import ClientTLS
from twistedgate.upstream.counting import Counting, OwnCounts
from twistedgate.upstream.judging import JudgePort, Standing
from twistedgate.upstream.target import Target

_OUT = (State.DOWN, State.EJECTED)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an upstream gets from the process it lives in."""

    reactor: Any
    now: Callable[[], float]
    random: Callable[[], float]
    tls: Callable[[UpstreamConfig, TargetConfig], ClientTLS | None]
    judge_of: Callable[[str], JudgePort]
    """Returns who judges the upstream of that name."""
    counting: Counting = field(default_factory=OwnCounts)


class Targets:
    """Who can be picked."""

    def __init__(self, config: UpstreamConfig, surroundings: Surroundings, previous: Targets | None) -> None:
        """``previous`` are the upstream's targets before a reload; those that stay keep their counts."""
        self._config = config
        self._now = surroundings.now
        self._make_target = surroundings.counting.target
        self._judge = surroundings.judge_of(config.name)
        self._previous = {} if previous is None else dict(previous.by_name)
        self._balancer = make_balancer(config.balance, surroundings.random)
        self._candidates: list[tuple[Target, float]] = []
        self._states: dict[str, State] = {}
        self._is_stopped = False
        self._gone: Callable[[Target], None] = lambda target: None
        self.by_name: dict[str, Target] = {}

    def start(self, gone: Callable[[Target], None]) -> None:
        """Be picked from; ``gone`` is told of each target that goes, goes down or is ejected."""
        self._gone = gone

    def stop(self) -> None:
        """Tell the judge nothing any more: the targets may be another's by now."""
        self._is_stopped = True

    # how they stand

    def take(self, standings: Iterable[Standing]) -> None:
        """Take how all targets stand now."""
        if self._is_stopped:
            return
        before, self.by_name = self.by_name, {}
        states, self._states = self._states, {}
        candidates = []
        for standing in standings:
            target = self.by_name[standing.name] = self._find(standing, before)
            self._states[target.name] = standing.state
            if self._can_be_picked(target, standing):
                # others keep the weight they had: who asks an upstream of before may pick them yet
                target.weight = standing.weight
                candidates.append(target)
            if standing.state in _OUT and states.get(target.name) != standing.state:
                self._gone(target)
        for name, target in before.items():
            if self.by_name.get(name) is not target:
                self._gone(target)
        self._offer(candidates)

    def _find(self, standing: Standing, before: dict[str, Target]) -> Target:
        """Return the target of that name, with its counts, as it is configured now."""
        config = self._config.targets[standing.place]
        present = before.get(standing.name) or self._previous.get(standing.name)
        if present is None or present.config.scheme != config.scheme:
            return self._make_target(self._config.name, config, standing.address)
        present.configure(config)
        return present

    @staticmethod
    def _can_be_picked(target: Target, standing: Standing) -> bool:
        """Note what is to be noted of a target; tell whether it can be picked."""
        target.is_suspected = standing.is_suspected
        # what was said before it was known that the trial is made here, and arrived after that
        is_spent = standing.trial_until != inf and standing.trial_until <= target.last_trial
        target.is_on_trial = standing.is_trial and not is_spent
        target.trial_until = standing.trial_until
        return standing.may_pick and not (standing.is_trial and is_spent)

    def _offer(self, candidates: list[Target]) -> None:
        """Hand those that may be picked to the balancer, if they are not those of before."""
        weighed = [(target, target.weight) for target in candidates]
        if weighed != self._candidates:
            self._candidates = weighed
            self._balancer.update(candidates)
        self.available_count = len(candidates)

    def _withdraw(self, target: Target) -> None:
        """Let nobody pick a target before it is said anew how it stands."""
        target.is_on_trial = False
        self._offer([other for other, _ in self._candidates if other is not target])

    # what became of requests

    def failed(self, target: Target, reason: str, now: float) -> None:
        """A request to the target came to nothing."""
        target.failed += 1
        if self._is_stopped:
            return
        target.is_suspected = True
        target.trial = None
        self._judge.failed(target.name, reason, now)

    def succeeded(self, target: Target, now: float) -> None:
        """A request was answered; only of interest while the target is suspected."""
        if self._is_stopped:
            return
        target.is_suspected = False
        target.trial = None
        self._judge.succeeded(target.name, now)

    def left_undecided(self, target: Target, now: float) -> None:
        """The trial ended without a verdict: another request may be it."""
        if self._is_stopped:
            return
        target.trial = None
        self._judge.trial_abandoned(target.name, now)

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
        if target.is_on_trial and not self._is_stopped:
            now = self._now()
            self._withdraw(target)
            if now >= target.trial_until:
                return self.pick(key, tried, exchange)
            target.last_trial = target.trial_until
            target.trial = exchange
            target.take()
            self._judge.trial_started(target.name, now)
            return target
        target.take()
        return target
