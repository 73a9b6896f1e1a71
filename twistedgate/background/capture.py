"""The body of an answer on its way into a store: one piece is held, and what a piece is cut from."""

from __future__ import annotations

from twistedgate.background.patient import Pieces
from twistedgate.errors import UpstreamFailure
from twistedgate.http.headers import Headers
from twistedgate.http.message import BodySource
from twistedgate.jobs.job import INLINE
from twistedgate.jobs.store import RESULT
from twistedgate.net.task import Signal


class ResultTooLarge(Exception):
    """The answer is larger than the route lets a result be."""


class Capture:
    """Takes the body of an answer: up to ``INLINE`` bytes are held, of more the store has the pieces."""

    kind = RESULT

    def __init__(self, store: Pieces, job: str, source: BodySource, most: int) -> None:
        """``most`` bytes are taken, 0 for any number."""
        self.length = 0
        self._store = store
        self._job = job
        self._source = source
        self._most = most
        self._held = bytearray()
        self._count = 0
        self._is_complete = False
        self._error: BaseException | None = None
        self._something: Signal[None] = Signal()

    # the sink

    def receive(self, piece: bytes) -> None:
        """Take a piece."""
        self.length += len(piece)
        self._held += piece
        if self._most and self.length > self._most:
            self._stop(ResultTooLarge())
        elif len(self._held) > INLINE:
            self._source.pause()
            self._something.set(None)

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete; trailers are not kept."""
        self._is_complete = True
        self._something.set(None)

    def fail(self) -> None:
        """The answer broke off."""
        self._stop(UpstreamFailure(502, "truncated", wrote=True))

    def _stop(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            self._something.set(None)

    # who waits for it

    async def take(self) -> bytes | None:
        """Return the body if it is small, ``None`` if the store has it in pieces; raises if it breaks off."""
        self._source.attach(self)
        try:
            while not self._is_complete and self._error is None:
                await self._something
                self._something = Signal()
                await self._put(len(self._held) // INLINE)
                if not self._is_complete and self._error is None:
                    self._source.resume()
            if self._error is not None:
                raise self._error
            if not self._count and len(self._held) <= INLINE:
                return bytes(self._held)
            await self._put(-(-len(self._held) // INLINE))
        except BaseException:
            self._source.abandon()
            raise
        return None

    async def _put(self, pieces: int) -> None:
        """Give so many pieces to the store; more may come meanwhile."""
        for _ in range(pieces):
            piece = bytes(self._held[:INLINE])
            del self._held[:INLINE]
            await self._store.put_piece(self._job, self.kind, self._count, piece)
            self._count += 1
