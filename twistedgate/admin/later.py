"""Answers that take their time: a coroutine answers a request, and who left by then is not answered.

What was begun goes on although nobody waits for it any more, unless it looks.  What went wrong is for the log
only.  This module does not know what is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET, Request

from twistedgate.admin.answers import refuse
from twistedgate.errors import Refusal

_log = Logger()


class Asked:
    """A request under way, and whether whoever sent it still waits."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.is_gone = False
        self.on_gone: Callable[[], object] = lambda: None
        """Called when whoever asked has left."""
        request.notifyFinish().addErrback(self._left)

    def _left(self, reason: object) -> None:
        self.is_gone = True
        self.on_gone()

    def parameters(self) -> list[tuple[str, str]]:
        """Return the parameters of the query, those without a value among them."""
        query = self.request.uri.partition(b"?")[2].decode("ascii", "replace")
        return parse_qsl(query, keep_blank_values=True, errors="replace")

    def send(self, body: bytes) -> None:
        """Send all of the answer's body, if anybody waits for it."""
        if not self.is_gone:
            self.request.write(body)
            self.request.finish()

    def cut(self) -> None:
        """End the connection at once: the answer that was begun is not to be taken for whole."""
        channel: Any = self.request.channel
        if channel is not None:
            channel.cut()


Work = Callable[[Asked], Awaitable[bytes | None]]
"""Sets the head of an answer and returns its body, or ``None`` where it has sent that itself."""


def answer_later(request: Request, work: Work) -> int:
    """Answer once ``work`` is done; a ``Refusal`` that it raises is the answer."""
    asked = Asked(request)
    Deferred.fromCoroutine(_answer(asked, work)).addErrback(
        lambda failure: _log.failure("{path} was not answered", failure, path=request.path)
    )
    return NOT_DONE_YET


async def _answer(asked: Asked, work: Work) -> None:
    request = asked.request
    try:
        body = await work(asked)
    except Refusal as refusal:
        body = refuse(request, refusal)
    except Exception:  # noqa: BLE001 -- nobody may wait for ever
        _log.failure("{path} failed", path=request.path)
        if request.startedWriting:
            asked.cut()
            return
        body = refuse(request, Refusal(500, "internal"))
    if body is not None:
        asked.send(body)
