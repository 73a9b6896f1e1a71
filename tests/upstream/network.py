"""A network in memory: connections are asked for, and the test makes them or does not."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, UserError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.upstream.conversation import Wire
from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.upstream.connection import UpstreamConnection
from twistedgate.upstream.judging import JudgePort, Watching
from twistedgate.upstream.prober import HealthCheck, Probing
from twistedgate.upstream.resolver import Answer, Resolver
from twistedgate.upstream.targets import Surroundings


class Attempt:
    """One attempt to connect: Twisted's connector, and what becomes of it."""

    def __init__(self, place: str, factory: Any, timeout: float) -> None:
        self.place = place
        self.timeout = timeout
        self.wire = Wire()
        self.is_given_up = False
        self.connection: UpstreamConnection
        self._factory = factory

    def succeed(self, room: float = math.inf) -> UpstreamConnection:
        """Let the connection be made."""
        self.wire.room = room
        self.connection = self._factory.buildProtocol(None)
        self.connection.makeConnection(self.wire)
        return self.connection

    def fail(self, error: Exception | None = None) -> None:
        """Let it come to nothing: refused, if nothing else is said."""
        self._factory.clientConnectionFailed(self, Failure(error or Refused()))

    def lose(self, error: Exception) -> None:
        """Let the connection be lost."""
        reason = Failure(error)
        self.connection.connectionLost(reason)
        self._factory.clientConnectionLost(self, reason)

    def stopConnecting(self) -> None:
        """Give up, as Twisted does: at once."""
        assert not self.is_given_up
        self.is_given_up = True
        self.fail(UserError())


class Network(Clock):
    """A reactor: time, and connections."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []
        self.advance(1000.0)

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float) -> Attempt:
        """Begin to connect."""
        self.attempts.append(Attempt(f"{host}:{port}", factory, timeout))
        return self.attempts[-1]

    @property
    def last(self) -> Attempt:
        """The attempt that was made last."""
        return self.attempts[-1]


class Names:
    """A lookup whose answers the test gives; a name that it knows is answered at once."""

    def __init__(self, **known: tuple[str, ...]) -> None:
        self.known = {f"{name}.test": addresses for name, addresses in known.items()}
        self.asked: list[str] = []
        self._waiting: dict[str, Deferred[Answer]] = {}

    def __call__(self, host: str) -> Deferred[Answer]:
        """Look a name up."""
        self.asked.append(host)
        answer: Deferred[Answer] = Deferred()
        self._waiting[host] = answer
        if host in self.known:
            self.answer(host, *self.known[host])
        return answer

    def answer(self, host: str, *addresses: str) -> None:
        """Let the answer come; none is a name that is not known."""
        self._waiting.pop(host).callback(Answer(addresses))


class Probe:
    """Checks whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[HealthCheck] = []
        self._waiting: dict[str, Deferred[int]] = {}

    def __call__(self, check: HealthCheck) -> Deferred[int]:
        """Ask a target."""
        self.asked.append(check)
        self._waiting[check.name] = Deferred()
        return self._waiting[check.name]

    def answer(self, name: str, status: int) -> None:
        """Let a target answer."""
        self._waiting.pop(name).callback(status)

    @property
    def under_way(self) -> set[str]:
        """Who is being asked."""
        return {name for name, asking in self._waiting.items() if not asking.called}


class Told:
    """A judge that decides nothing: what it is told of requests, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def failed(self, target: str, reason: str, now: float) -> None:
        """A request came to nothing."""
        self.lines.append(f"{target} failed: {reason}")

    def succeeded(self, target: str, now: float) -> None:
        """A request was answered."""
        self.lines.append(f"{target} succeeded")

    def trial_started(self, target: str, now: float) -> None:
        """A trial is under way."""
        self.lines.append(f"{target} is tried")

    def trial_abandoned(self, target: str, now: float) -> None:
        """A trial ended without a verdict."""
        self.lines.append(f"{target} was tried in vain")


class World:
    """What an upstream gets from its process: a network, names, checks, and chance that never changes."""

    def __init__(self, **known: tuple[str, ...]) -> None:
        self.network = Network()
        self.names = Names(**known)
        self.probe = Probe()
        self.resolver = Resolver(self.network, self.names)
        now = self.network.seconds
        probing = Probing(self.network, now, self._chance, self.probe)
        self.watching = Watching(now, self.resolver, probing, lambda upstream, target: None)
        self.told = Told()
        self.surroundings = Surroundings(
            self.network, now, self._chance, lambda upstream, target: None, lambda upstream: self.told
        )

    def heard_by(self, judge: JudgePort) -> Surroundings:
        """Return the surroundings of an upstream that has this judge."""
        return dataclasses.replace(self.surroundings, judge_of=lambda upstream: judge)

    @staticmethod
    def _chance() -> float:
        return 0.5


def targets(*places: str, **options: Any) -> tuple[TargetConfig, ...]:
    """Return the configured targets at these places, each ``HOST:PORT``."""
    pairs = [place.rsplit(":", 1) for place in places]
    return tuple(TargetConfig("http", host, int(port), **options) for host, port in pairs)


def upstream_config(*places: str, **options: Any) -> UpstreamConfig:
    """Return an upstream of these targets, whose lookups, checks and options are as the test says."""
    chosen = options.pop("targets", None) or targets(*(places or ("192.0.2.1:80", "192.0.2.2:80")))
    return UpstreamConfig("orders", targets=chosen, **options)


def connect_error(number: int) -> ConnectError:
    """Return the error of the operating system."""
    return ConnectError(number, "no")
