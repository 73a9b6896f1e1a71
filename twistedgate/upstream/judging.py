"""The half of an upstream that judges: its targets are found by name, checked, and said to stand thus or so.

Names are watched by the resolver, each address is a target.  Checks and requests are heard by one judge, and
every change of its mind is one log line.  How the targets stand is published whenever it is not as before,
to whoever sends requests to them: in this process or in several.  What an operator drains stays drained until
he enables it, whatever else of the upstream changes.

This module knows neither requests nor connections, and not how many processes listen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from twisted.logger import Logger

from twistedgate.balancing.health import Change, Judge, State, Verdict
from twistedgate.balancing.rules import Checks, HealthRules
from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.net.tls import ClientTLS, authorities
from twistedgate.upstream.known import Known
from twistedgate.upstream.prober import HealthCheck, Probers, Probing
from twistedgate.upstream.resolver import Resolver, Watch
from twistedgate.upstream.target import target_name
from twistedgate.upstream.witness import NoWitness, Witness

_log = Logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """How one target stands: all that whoever sends requests needs to know of it."""

    name: str
    """``HOST:PORT`` of the address itself."""
    address: str
    place: int
    """Which of the upstream's configured ``targets`` it is."""
    state: State
    weight: float
    """What counts now: 0 if it is drained, less than the configured one in slow start."""
    may_pick: bool
    """Whether requests may be sent there, health ignored where the upstream wants that."""
    is_trial: bool
    """Whether the next request is the trial after an ejection."""
    is_suspected: bool
    """Whether the next success is to be reported: requests failed since the last one."""
    since: float
    last_error: str
    trial_until: float = inf
    """From when on the trial is not this process's any more; also tells one permission from another."""


class JudgePort(Protocol):
    """Who is told what became of requests to the targets of one upstream; each target by its name."""

    def failed(self, target: str, reason: str, now: float) -> None:
        """A request came to nothing."""

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered; only of interest while the target is suspected."""

    def trial_started(self, target: str, now: float) -> None:
        """The one request of a trial is under way."""

    def trial_abandoned(self, target: str, now: float) -> None:
        """The trial ended without a verdict: another request may be it."""


@dataclass(frozen=True, slots=True)
class Watching:
    """What those who judge get from the process they live in."""

    now: Callable[[], float]
    """Monotonic seconds."""
    resolver: Resolver
    probing: Probing
    tls: Callable[[UpstreamConfig, TargetConfig], ClientTLS | None]
    witness: Witness = field(default_factory=NoWitness)


Publish = Callable[[tuple[Standing, ...]], object]
"""Called with how all targets of an upstream stand, when that is not as before."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a target was found."""

    address: str
    place: int
    config: TargetConfig


class Judging:
    """Finds, checks and judges the targets of one ``[upstream:NAME]``."""

    def __init__(
        self, config: UpstreamConfig, watching: Watching, previous: Judging | Known | None, publish: Publish
    ) -> None:
        """``previous`` is who judged the upstream before a reload, or what was known before an upgrade.

        What is known of targets that stay is kept.
        """
        self.config = config
        self._watching = watching
        self._previous = previous
        self._publish = publish
        self._judge = Judge(HealthRules.of(config), watching.now())
        self._probers = Probers(watching.probing, self._probed)
        self._authorities: set[bytes] = set()
        self._watches: list[Watch] = []
        self._addresses: dict[int, tuple[str, ...]] = {}
        self._found: dict[str, _Found] = {}
        self._drained: dict[str, str] = {}
        """The names of targets and the URLs of hosts that are drained, each with its host's URL."""
        self._revision = 0
        self._is_started = False
        self.standings: tuple[Standing, ...] = ()
        """What was published last."""

    def __repr__(self) -> str:
        stand = ", ".join(f"{standing.name} {standing.state}" for standing in self.standings)
        return f"<Judging {self.config.name} {stand or 'nobody'}>"

    # the beginning and the end

    def start(self) -> None:
        """Look the names up and begin to check, with what was known before."""
        self._authorities = authorities(self.config, self._watching.tls)
        resolver = self._watching.resolver
        for place, target in enumerate(self.config.targets):
            self._watches.append(resolver.watch(target.host, functools.partial(self._looked_up, place)))
        # only now: a judge who sees one target after the other takes the first one for the last one
        self._is_started = True
        previous, self._previous = self._previous, None
        if isinstance(previous, Judging):
            known = previous.known()
            self._go_on_checking(previous)
            self._take(known)
        else:
            self._take(previous)

    def known(self) -> Known:
        """Return what whoever judges next goes on with."""
        checks = {name: self._probers.find(name) for name in self._found}
        return Known(
            self._judge,
            {name: found.config.scheme for name, found in self._found.items()},
            dict(self._drained),
            {name: check.question for name, check in checks.items() if check is not None},
        )

    def renew(self) -> None:
        """Go on under a new configuration that says the same of it; checks may trust others by now."""
        trusted = authorities(self.config, self._watching.tls)
        if trusted != self._authorities:
            self._authorities = trusted
            self._renew_checks()

    def stop(self) -> None:
        """Look up and check no more."""
        for watch in self._watches:
            watch.stop()
        self._watches = []
        self._probers.stop()

    def tick(self, now: float) -> None:
        """Let time act."""
        self._heard(self._judge.tick(now), now)

    # names

    def _looked_up(self, place: int, addresses: tuple[str, ...]) -> None:
        """Take the addresses of one configured host."""
        self._addresses[place] = addresses
        if self._is_started:
            self._take(None)

    def _take(self, known: Known | None) -> None:
        """Judge whoever is found at all the addresses."""
        now = self._watching.now()
        before, self._found = self._found, self._find()
        changes: list[Change] = []
        for name, found in self._found.items():
            if name in before and before[name].config.scheme != found.config.scheme:
                changes += self._judge.remove(name, now)
        if known is not None:
            changes += self._recall(known, now)
        changes += self._judge.update({name: self._weight(name) for name in self._found}, now)
        for name in self._found:
            self._watching.witness.found(self.config.name, name)
        self._heard(changes, now)
        self._renew_checks()

    def _find(self) -> dict[str, _Found]:
        """Return the targets by name; an address that several hosts have is the first one's."""
        found: dict[str, _Found] = {}
        for place, config in enumerate(self.config.targets):
            for address in self._addresses.get(place, ()):
                found.setdefault(target_name(address, config.port), _Found(address, place, config))
        return found

    def _recall(self, known: Known, now: float) -> list[Change]:
        """Take over what is known of targets that stay."""
        configured = {config.url for config in self.config.targets}
        self._drained = {
            drained: url
            for drained, url in known.drained.items()
            if url in configured or drained in self._found
        }
        changes: list[Change] = []
        for name, scheme in known.schemes.items():
            if name in self._found and self._found[name].config.scheme == scheme:
                checks = self._checks_since(known.questions.get(name), name)
                changes += self._judge.recall(name, known.judge, checks, now)
        return changes

    def _checks_since(self, question: str | None, name: str) -> Checks:
        """Return how a target is checked, compared with before."""
        if not self.config.health_path:
            return Checks.NOT_AT_ALL
        return Checks.AS_BEFORE if self._check(name).question == question else Checks.OTHERWISE

    # checks

    def _go_on_checking(self, previous: Judging) -> None:
        """Hear of the checks that are made already."""
        ours, self._probers, previous._probers = self._probers, previous._probers, self._probers
        self._probers.tell(self._probed)
        ours.tell(previous._probed)

    def _renew_checks(self) -> None:
        """Check every target as the configuration of now wants it, TLS included."""
        self._probers.update(self._check(name) for name in self._found if self.config.health_path)

    def _check(self, name: str) -> HealthCheck:
        found = self._found[name]
        tls = self._watching.tls(self.config, found.config)
        return HealthCheck.of(self.config, found.config, found.address, tls)

    def _probed(self, name: str, is_good: bool, detail: str, now: float) -> None:
        self._watching.witness.probed(self.config.name, name, is_good)
        self._heard(self._judge.probed(name, is_good, detail, now), now)

    # requests: the port

    def failed(self, target: str, reason: str, now: float, count: int = 1) -> None:
        """So many requests in a row came to nothing, the last one for this ``reason``."""
        self._heard(self._judge.failed(target, reason, now, count), now)

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered."""
        self._heard(self._judge.succeeded(target, now), now)

    def trial_started(self, target: str, now: float) -> None:
        """The one request of a trial is under way."""
        self._heard(self._judge.trial_started(target, now), now)

    def trial_abandoned(self, target: str, now: float) -> None:
        """The trial ended without a verdict."""
        self._heard(self._judge.trial_abandoned(target, now), now)

    # the operator

    def drain(self, target: str) -> tuple[str, ...]:
        """Give a target the weight 0; returns who is drained by it.

        ``target`` is the ``HOST:PORT`` of an address, or what stands in ``targets``: then each address of
        that host is meant, those not yet found, too.  Raises ``LookupError`` for one that is not known.
        """
        names, urls = self._resolve(target)
        self._drained.update(
            {one: one for one in urls} or {one: self._found[one].config.url for one in names}
        )
        return self._weigh(names, "drained by the operator")

    def enable(self, target: str) -> tuple[str, ...]:
        """Give a target its configured weight again; returns who is meant.  Raises ``LookupError``."""
        names, urls = self._resolve(target)
        for name in () if urls else names:
            url = self._found[name].config.url
            if self._drained.pop(url, None):
                # the host's other addresses stay drained, each by itself
                others = (other for other in self._found if self._found[other].config.url == url)
                self._drained.update(dict.fromkeys(others, url))
        for drained, url in list(self._drained.items()):
            if url in urls or drained in names:
                del self._drained[drained]
        return self._weigh(names, "enabled by the operator")

    def _resolve(self, target: str) -> tuple[tuple[str, ...], set[str]]:
        """Return the names of the targets that are meant, and the configured URLs if a host is."""
        wanted = target.strip().lower().rstrip("/")
        urls = {config.url for config in self.config.targets if wanted in _spellings(config)}
        names = tuple(name for name, found in self._found.items() if found.config.url in urls)
        if not urls and wanted in self._found:
            names = (wanted,)
        if not urls and not names:
            known = sorted({*self._found, *(config.url for config in self.config.targets)})
            raise LookupError(
                f"upstream {self.config.name} has no target {target!r}; it has {', '.join(known)}"
            )
        return names, urls

    def _weigh(self, names: tuple[str, ...], reason: str) -> tuple[str, ...]:
        now = self._watching.now()
        changes: list[Change] = []
        for name in names:
            changes += self._judge.add(name, self._weight(name), now, reason)
        self._heard(changes, now)
        return names

    def _weight(self, name: str) -> float:
        config = self._found[name].config
        return 0 if name in self._drained or config.url in self._drained else config.weight

    # what is said

    def verdict(self, name: str, now: float) -> Verdict:
        """Return what is known of a target; raises ``KeyError``."""
        return self._judge.verdict(name, now)

    def verdicts(self, now: float) -> list[Verdict]:
        """Return what is known of each target, in the order of their configuration."""
        return [self._judge.verdict(name, now) for name in self._found]

    def _heard(self, changes: list[Change], now: float) -> None:
        for change in changes:
            write = _log.info if change.state in (State.UP, State.TRIAL) else _log.warn
            write(
                "upstream {upstream}: target {target} is {state}: {reason}",
                upstream=self.config.name,
                target=change.name,
                state=change.state.value,
                reason=change.reason,
            )
            if change.state == State.EJECTED:
                self._watching.witness.ejected(self.config.name, change.name)
        if self._judge.revision == self._revision:
            return
        self._revision = self._judge.revision
        standings = tuple(self._stand(now))
        if standings != self.standings:
            self.standings = standings
            self._publish(standings)

    def _stand(self, now: float) -> Iterator[Standing]:
        available = {verdict.name for verdict in self._judge.available(now)}
        for verdict in self.verdicts(now):
            found = self._found[verdict.name]
            yield Standing(
                verdict.name,
                found.address,
                found.place,
                verdict.state,
                verdict.weight,
                verdict.name in available,
                verdict.may_pick and verdict.state == State.TRIAL,
                verdict.is_suspected,
                verdict.since,
                verdict.last_error,
            )


def _spellings(config: TargetConfig) -> set[str]:
    """Return how an operator may write what stands in the configuration."""
    default = {"http": ":80", "https": ":443"}[config.scheme]
    return {config.url, config.url.removesuffix(default), config.authority}
