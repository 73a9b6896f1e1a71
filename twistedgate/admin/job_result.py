"""The result of a job for its operator: the body alone, streamed from the store as fast as it is taken.

Rules
- One piece is held at a time; the next one is asked for when the connection has room.
- What an upstream answered was chosen by strangers, and an operator's browser is not to make a page of it on
  this address: it is bytes to be saved, whatever its type, and none of its fields is one of ours.  Its head
  stands in the job's document.
- A body that cannot be had to its end is cut off.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from twistedgate.admin.answers import set_head
from twistedgate.admin.later import Asked
from twistedgate.errors import Refusal
from twistedgate.jobs.job import Head
from twistedgate.jobs.store import RESULT, JobStore, StoreAway

_log = Logger()


@implementer(IPushProducer)
class Flow:
    """Tells when there is room for more of an answer."""

    def __init__(self) -> None:
        self._is_paused = False
        self._is_over = False
        self._waiting: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """There is no room."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """There is room again."""
        self._is_paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """Nobody takes anything any more, and who waits for room need not."""
        self._is_over = True
        self.resumeProducing()

    async def has_room(self) -> bool:
        """Wait for room; ``False`` if nobody takes anything any more."""
        if self._is_paused and not self._is_over:
            self._waiting = Deferred()
            await self._waiting
        return not self._is_over


async def send_result(asked: Asked, store: JobStore, job: str, head: Head) -> bytes | None:
    """Answer with a result; raises ``Refusal`` where it is not kept any more."""
    first = await store.get_piece(job, RESULT, 0) if head.length else b""
    if first is None:
        raise Refusal(410, "job-gone", "its result was forgotten just now")
    _set_head(asked, job, head.length)
    request = asked.request
    if request.method == b"HEAD" or not head.length or asked.is_gone:
        return b""
    flow = Flow()
    asked.on_gone = flow.stopProducing
    request.registerProducer(flow, True)
    if await _send(asked, flow, _Rest(store, job, first, head.length)):
        request.unregisterProducer()
        request.finish()
    return None


class _Rest:
    """What is still to be sent of a result."""

    def __init__(self, store: JobStore, job: str, first: bytes, length: int) -> None:
        self._store = store
        self._job = job
        self._number = 0
        self._piece = first
        self.left = length

    def take(self) -> bytes:
        """Return the piece that is here, which nobody holds then."""
        piece, self._piece = self._piece, b""
        self.left -= len(piece)
        return piece

    async def advance(self) -> bool:
        """Have the next piece; ``False`` if there is none although there should be."""
        self._number += 1
        try:
            piece = await self._store.get_piece(self._job, RESULT, self._number)
        except StoreAway as away:
            _log.warn("a result that an operator asked for broke off: {why}", why=away)
            return False
        self._piece = piece or b""
        return bool(self._piece)


async def _send(asked: Asked, flow: Flow, rest: _Rest) -> bool:
    """Send all pieces; ``False`` if nobody waits for the end of the answer, or it cannot be had."""
    asked.request.write(rest.take())
    while await flow.has_room():
        if rest.left <= 0:
            return True
        if not await rest.advance():
            asked.cut()
            return False
        asked.request.write(rest.take())
    return False


def _set_head(asked: Asked, job: str, length: int) -> None:
    request: Any = asked.request
    set_head(request, 200, b"application/octet-stream", length)
    request.setHeader(b"Content-Disposition", b'attachment; filename="%b"' % job.encode("ascii"))
    request.setHeader(b"Content-Security-Policy", b"default-src 'none'; sandbox")
    request.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
