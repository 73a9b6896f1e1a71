"""A client without a connection: it takes an answer from the line, and leaves when the test says so.

What is thrown into the line, and when, is what ``downstream`` throws there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

from twisted.internet.defer import Deferred

from twistedgate.errors import ClientGone, Refusal
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.http.headers import Headers
from twistedgate.http.message import BodySource, Response
from twistedgate.net.task import Signal, Task


class Answer:
    """What a client got: the head, and the body as far as it came."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.closes = response.closes
        self.body = b""
        self.trailers: Headers | None = None
        self.is_whole = False
        self.ended: Signal[bool] = Signal()

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.reason or self.body!r}>"

    def receive(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self.body += piece

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete."""
        self.trailers = trailers
        self.is_whole = True
        self.ended.set(True)

    def fail(self) -> None:
        """The body was cut short."""
        self.ended.set(False)


class Client:
    """The client of one exchange: what it got, and what it does; awaiting it gives the answer in the end."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.answer: Answer | None = None
        self.interims: list[Response] = []
        self.is_cut = False
        """Whether the gateway cut the connection."""
        self.is_done = False
        self._body = exchange.request.body
        self._source: BodySource | None = None
        self._task: Task | None = None
        self._over: Deferred[None] = Deferred()

    @property
    def status(self) -> int:
        """The status of the answer, 0 before there is one."""
        return 0 if self.answer is None else self.answer.status

    def start(self, line: Coroutine[Any, Any, None]) -> None:
        """Begin what the gateway does with the exchange."""
        self._task = Task(line, self._end)
        self._task.step()

    def _end(self) -> None:
        self.is_done = True
        self._source = None
        self._over.callback(None)

    def __await__(self) -> Generator[Any, Any, Answer | None]:
        yield from self._over.__await__()
        return self.answer

    def reply(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
        """Take the answer: the line's side of the client."""
        exchange.interim = None
        answer = self.answer = Answer(response)
        body, is_bodiless = response.body, response.status in (204, 304) or exchange.request.method == "HEAD"
        if not isinstance(body, bytes) and not is_bodiless:
            return self._relay(answer, body)
        if not isinstance(body, bytes):
            body.abandon()
        elif not is_bodiless:
            answer.receive(body)
        exchange.bytes_out = len(answer.body)
        answer.finish(None)
        return None

    async def _relay(self, answer: Answer, source: BodySource) -> None:
        self._source = source
        source.attach(answer)
        is_whole = await answer.ended
        self._source = None
        self.exchange.bytes_out = len(answer.body)
        if not is_whole:
            # in the daemon the upstream's connection says so
            self.exchange.reason = self.exchange.reason or "truncated"
            self.abort()

    def abort(self) -> None:
        """Cut the connection: the line's side of the client."""
        self.is_cut = True
        self.leave()

    def leave(self) -> None:
        """Go away, whatever is under way."""
        if self._source is not None:
            self._source.abandon()
        if isinstance(self._body, Body) and not self._body.is_complete:
            self._body.fail()
        if self._task is not None:
            self._task.throw(ClientGone())

    def send(self, piece: bytes) -> None:
        """Send a piece of the request's body, which is a ``Body``."""
        assert isinstance(self._body, Body)
        try:
            self._body.receive(piece)
        except Refusal as refusal:
            self.interrupt(refusal)

    def finish(self) -> None:
        """Send the end of the request's body."""
        assert isinstance(self._body, Body)
        self._body.finish()

    def interrupt(self, refusal: Refusal) -> None:
        """Refuse what is under way, as a timeout does."""
        assert self._task is not None
        self._task.throw(refusal)
