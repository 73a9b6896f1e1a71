"""An upstream without a network: its targets do what a script says, and it remembers what it was sent.

Whether a request may enter or be sent again is decided by the same gate and budget as in the daemon; which
target is picked is the fake's own, and simple.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from typing import Any

from twistedgate.config.model import TargetConfig, UpstreamConfig
from twistedgate.errors import UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.fakes.clock import Clock
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.limiting.gate import Gate
from twistedgate.limiting.window import RetryBudget
from twistedgate.net.task import Signal
from twistedgate.runtime import TargetPort
from twistedgate.upstream.target import Target

TARGETS = (TargetConfig("http", "192.0.2.11", 8080), TargetConfig("http", "192.0.2.12", 8080))
"""The targets of an upstream of which nothing is said."""


class Later:
    """An answer that comes when the test says so."""

    def __init__(self) -> None:
        self._signal: Signal[Response] = Signal()

    def answer(self, response: Response) -> None:
        """Let the answer come."""
        self._signal.set(response)

    def fail(self, failure: UpstreamFailure) -> None:
        """Let the target fail instead."""
        self._signal.fail(failure)

    def __await__(self) -> Generator[Any, Any, Response]:
        return self._signal.__await__()


class Sent:
    """One request as a target got it: the ``head`` whole, the ``body`` as far as it came."""

    def __init__(self, target: str, head: bytes) -> None:
        self.target = target
        self.head = head
        self.body = b""
        self.is_whole = False

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.partition(b"\r\n")[0].decode("ascii")

    @property
    def headers(self) -> Headers:
        """The fields of the head."""
        lines = self.head.split(b"\r\n")[1:-2]
        return Headers.of(*[(name, value) for name, _, value in (line.partition(b": ") for line in lines)])

    def receive(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self.body += piece

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete."""
        self.is_whole = True

    def fail(self) -> None:
        """The body was cut short."""


Scripted = Response | UpstreamFailure | Later | Callable[[Sent], Response]
"""What a target does with a request: answer, fail, answer later, or answer what it was sent."""


class FakeUpstream:
    """An upstream that does with each request what the script says, the last of it again and again.

    It answers 200 without a script.  Targets are picked in turn; those named in ``down`` are not up.
    """

    def __init__(self, *script: Scripted, config: UpstreamConfig | None = None) -> None:
        self.sent: list[Sent] = []
        """What came as far as a target; a request whose connection failed did not."""
        self.picked: list[str] = []
        """The names of the targets, one for each attempt."""
        self.down: set[str] = set()
        self.now: Callable[[], float] = Clock()
        self._script = list(script) or [Response(200)]
        self.configure(config or UpstreamConfig("memory", targets=TARGETS))

    def configure(self, config: UpstreamConfig) -> None:
        """Take the targets and the limits of a configuration; what was under way is forgotten."""
        self.name = config.name
        self.config = config
        self.gate = Gate(config.max_requests)
        self.targets = {target.name: target for target in (Target(one, one.host) for one in config.targets)}
        self._budget = RetryBudget(config.retry_budget)

    @property
    def in_flight(self) -> dict[str, int]:
        """How many requests are under way to each target."""
        return {name: target.in_flight for name, target in self.targets.items()}

    def enter(self, now: float) -> bool:
        """Count one more request under way."""
        self._budget.count(now)
        return self.gate.enter()

    def leave(self) -> None:
        """Count one request less."""
        self.gate.leave()

    def may_retry(self, now: float) -> bool:
        """Take one retry from the budget."""
        return self._budget.take(now)

    def pick(self, exchange: Exchange, tried: list[TargetPort]) -> Target | None:
        """Choose the target that was chosen least, one not tried while such a one is up."""
        up = [target for name, target in self.targets.items() if name not in self.down]
        chosen = min(
            [target for target in up if target not in tried] or up,
            key=lambda target: target.requests,
            default=None,
        )
        if chosen is not None:
            chosen.in_flight += 1
            chosen.requests += 1
            self.picked.append(chosen.name)
        return chosen

    def release(self, target: TargetPort, exchange: Exchange) -> None:
        """Count one request less in flight to ``target``."""
        counted = self.targets[target.name]
        if not counted.in_flight:
            raise RuntimeError(f"{target.name} was released more often than it was picked")
        counted.in_flight -= 1

    async def send(self, target: TargetPort, exchange: Exchange, head: bytes) -> Response:
        """Take the request, and do what the script says."""
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(step, UpstreamFailure) and not step.wrote:
            raise copy.copy(step)
        sent = Sent(target.name, head)
        self.sent.append(sent)
        body = exchange.request.body
        if isinstance(body, bytes):
            sent.body, sent.is_whole = body, True
        else:
            body.attach(sent)
        try:
            response = await self._answer(step, sent)
        except UpstreamFailure:
            if not isinstance(body, bytes):
                body.detach()
            raise
        exchange.first_byte = self.now()
        return response

    async def _answer(self, step: Scripted, sent: Sent) -> Response:
        if isinstance(step, UpstreamFailure):
            # a copy, as one that was raised remembers where, and with it everything that was there
            raise copy.copy(step)
        if isinstance(step, Later):
            return await step
        if not isinstance(step, Response):
            return step(sent)
        answer = copy.copy(step)
        answer.headers = step.headers.copy()
        return answer
