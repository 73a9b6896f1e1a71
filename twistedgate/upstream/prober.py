"""Active health checks: asks each target again and again whether it is well, and tells what it said.

The first check of a target comes at once, each further one an interval after the last began, give or take
10 %, so that many gateways do not ask in step.  There is never more than one check of a target under way.
What the answers mean for the target is decided elsewhere.  This module does not know how a check is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.net.tls import ClientTLS

JITTER = 0.1
"""The share of the interval by which a check may come early or late."""

LONGEST_DETAIL = 200
"""Characters of what went wrong that are told: some of it may be the target's own words."""

_log = Logger()

Probed = Callable[[str, bool, str, float], object]
"""Called with the target's name, whether it is well, what it said, and when."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How one target is asked; two that are equal ask the same."""

    name: str
    """The target's name."""
    scheme: str
    address: str
    """Where the check connects to: an address, never a name."""
    port: int
    host: str
    """The ``Host`` of the request."""
    path: str
    interval: float
    timeout: float
    statuses: tuple[tuple[int, int], ...]
    """First and last of each range of good statuses."""
    tls: ClientTLS | None = None

    @classmethod
    def of(
        cls, config: UpstreamConfig, target: TargetConfig, address: str, tls: ClientTLS | None = None
    ) -> HealthCheck:
        """Return the check of the ``address`` of a target as its upstream configures it."""
        bracketed = f"[{address}]" if ":" in address else address
        return cls(
            name=f"{bracketed}:{target.port}",
            scheme=target.scheme,
            address=address,
            port=target.port,
            host=config.health_host or _own_host(target),
            path=config.health_path,
            interval=config.health_interval,
            timeout=config.health_timeout,
            statuses=config.health_status,
            tls=tls,
        )

    @property
    def question(self) -> str:
        """What is wanted of the target, however often it is asked."""
        return repr(replace(self, interval=0.0, tls=None))

    def is_good(self, status: int) -> bool:
        """Tell whether an answer of this status means that the target is well."""
        return any(low <= status <= high for low, high in self.statuses)


class Probe(Protocol):
    """Makes one check."""

    def __call__(self, check: HealthCheck, /) -> Deferred[int]:
        """Return the status of the answer; fails if there is no whole answer, and can be cancelled."""


@dataclass(frozen=True, slots=True)
class Probing:
    """What the probers of a process share."""

    reactor: IReactorTime
    now: Callable[[], float]
    """Monotonic seconds."""
    random: Callable[[], float]
    """Something from 0 to 1."""
    probe: Probe


class Prober:
    """Checks one target."""

    def __init__(self, check: HealthCheck, probing: Probing, probed: Probed) -> None:
        self.check = check
        self._probing = probing
        self._probed = probed
        self._began = 0.0
        self._next: IDelayedCall | None = None
        self._running: Deferred[Any] | None = None
        self._is_stopped = False

    def __repr__(self) -> str:
        state = "stopped" if self._is_stopped else "asking" if self._next is None else "waiting"
        return f"<Prober {self.check.name} {state}>"

    def start(self) -> None:
        """Make the first check now."""
        self._ask()

    def stop(self) -> None:
        """Check no more; what is under way is given up and not told."""
        self._is_stopped = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._running is not None:
            self._running.cancel()

    def _ask(self) -> None:
        self._next = None
        self._began = self._probing.now()
        self._running = asking = self._probing.probe(self.check)
        asking.addTimeout(self.check.timeout, self._probing.reactor)
        asking.addCallbacks(self._answered, self._failed)
        asking.addErrback(
            lambda failure: _log.failure("A check of {name} was not taken", failure, name=self.check.name)
        )

    def _answered(self, status: int) -> None:
        self._tell(self.check.is_good(status), f"status {status}")

    def _failed(self, failure: Failure) -> None:
        if failure.check(GivenUp):
            self._tell(False, f"no answer within {self.check.timeout:g} s")
        else:
            self._tell(False, _sentence(failure))

    def _tell(self, is_good: bool, detail: str) -> None:
        self._running = None
        if self._is_stopped:
            return
        now = self._probing.now()
        interval = self.check.interval * (1 - JITTER + 2 * JITTER * self._probing.random())
        delay = max(0.0, self._began + interval - now)
        self._next = self._probing.reactor.callLater(delay, self._ask)
        self._probed(self.check.name, is_good, detail, now)


class Probers:
    """The probers of one upstream, one for each target."""

    def __init__(self, probing: Probing, probed: Probed) -> None:
        self._probing = probing
        self._probed = probed
        self._probers: dict[str, Prober] = {}

    def tell(self, probed: Probed) -> None:
        """Tell another from now on, of what is under way, too."""
        self._probed = probed

    def _tell(self, name: str, is_good: bool, detail: str, now: float) -> None:
        self._probed(name, is_good, detail, now)

    def find(self, name: str) -> HealthCheck | None:
        """Return how a target is checked, ``None`` if it is not."""
        prober = self._probers.get(name)
        return None if prober is None else prober.check

    def __repr__(self) -> str:
        return f"<Probers {list(self._probers.values())}>"

    def update(self, checks: Iterable[HealthCheck]) -> None:
        """Make these checks and no others; one that is made already goes on undisturbed."""
        wanted = {check.name: check for check in checks}
        for name, prober in list(self._probers.items()):
            if wanted.get(name) != prober.check:
                prober.stop()
                del self._probers[name]
        for name, check in wanted.items():
            if name not in self._probers:
                prober = self._probers[name] = Prober(check, self._probing, self._tell)
                prober.start()

    def stop(self) -> None:
        """Check nothing any more."""
        self.update(())


def _own_host(target: TargetConfig) -> str:
    default = {"http": 80, "https": 443}[target.scheme]
    return target.authority.rpartition(":")[0] if target.port == default else target.authority


def _sentence(failure: Failure) -> str:
    """Return what went wrong, on one line and without what a terminal would obey."""
    told: Any = failure.value
    # What twisted.web raises wraps what happened.
    while reasons := getattr(told, "reasons", None):
        told = reasons[0].value
    text = str(told) or type(told).__name__
    return text.encode("unicode_escape").decode("ascii")[:LONGEST_DETAIL]
