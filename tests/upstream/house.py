"""An upstream whose network is in memory, and exchanges driven as the proxy drives them."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost

from tests.upstream.conversation import HEAD, OK, Sink, Waiting
from tests.upstream.network import Attempt, World, upstream_config
from twistedgate.balancing.health import State
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.testing import exchange
from twistedgate.upstream.judging import Judging, Standing
from twistedgate.upstream.target import Target
from twistedgate.upstream.upstream import Upstream

FIRST, SECOND = "192.0.2.1:80", "192.0.2.2:80"


class Sent:
    """One exchange on its way, driven as the proxy drives it."""

    def __init__(self, house: House, asked: Exchange) -> None:
        self.house = house
        self.exchange = asked
        self.target: Target = house.pick(asked)
        asked.attempts += 1
        self.waiting = Waiting(house.upstream.send(self.target, asked, HEAD))

    def fails(self) -> tuple[int, str, bool]:
        """Release the target, and return why there was no answer."""
        self.end(self.waiting.failure[1])
        return self.waiting.failure

    def body(self) -> Sink:
        """Take the body of the answer."""
        self.exchange.response = self.waiting.response
        return Sink.of(self.waiting.response)

    def end(self, reason: str = "") -> None:
        """Release the target, as when the exchange is over."""
        self.exchange.response = self.waiting.response
        self.exchange.reason = self.exchange.reason or reason
        self.house.upstream.release(self.target, self.exchange)


class House:
    """An upstream whose network is in memory."""

    def __init__(self, *places: str, **options: Any) -> None:
        self.world = World()
        self.config = upstream_config(*(places or (FIRST,)), **options)
        self.judging: Judging = Judging(self.config, self.world.watching, None, self._publish)
        self.upstream: Upstream = Upstream(self.config, self.world.heard_by(self.judging))
        self.upstream.start()
        self.judging.start()

    def _publish(self, standings: tuple[Standing, ...]) -> None:
        self.upstream.targets.take(standings)

    def sweep(self) -> None:
        """Let time act."""
        self.upstream.sweep(self.now)
        self.judging.tick(self.now)

    @property
    def network(self) -> Any:
        """The network."""
        return self.world.network

    @property
    def now(self) -> float:
        """The test's time."""
        return self.world.network.seconds()

    def pick(self, asked: Exchange) -> Target:
        """Choose a target."""
        target = self.upstream.pick(asked, ())
        assert target is not None
        return target

    def send(self, method: str = "GET", body: bytes | Body = b"") -> Sent:
        """Send a request."""
        return Sent(self, exchange(method, body=body))

    def warm(self) -> Attempt:
        """Make a connection, and leave it idle."""
        sent = self.send()
        self.network.last.succeed()
        self.say(OK)
        sent.end()
        assert self.upstream.pool.idle_count == 1
        attempt: Attempt = self.network.last
        return attempt

    def say(self, *pieces: bytes) -> None:
        """Let the target send on the connection made last."""
        for piece in pieces:
            self.network.last.connection.dataReceived(piece)

    def lose(self) -> None:
        """Let the connection made last be lost."""
        self.network.last.lose(ConnectionLost())

    def state(self, name: str = FIRST) -> State:
        """Return how a target stands."""
        (verdict,) = [one for one in self.judging.verdicts(self.now) if one.name == name]
        return verdict.state

    @property
    def failed(self) -> int:
        """How many requests to the first target failed."""
        return self.upstream.targets.by_name[FIRST].failed

    @property
    def is_even(self) -> bool:
        """Whether nothing is counted as under way."""
        return not any(target.in_flight for target in self.upstream.targets.by_name.values())
