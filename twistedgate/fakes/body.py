"""A body without a connection, of a request or of an answer: the test says what comes, and when.

It keeps what ``http.message.RequestBody`` promises, and holds all that it was given.
"""

from __future__ import annotations

from twistedgate.errors import Refusal
from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED, BodySink
from twistedgate.net.task import Signal


class Body:
    """A body of which the ``pieces`` are here; more comes by ``receive``, the end by ``finish`` or ``fail``.

    ``length`` is what a request's head announced.  ``can_replay`` may be set: the daemon keeps no more than
    64 KiB of a request for a retry.
    """

    def __init__(self, *pieces: bytes, length: int = CHUNKED) -> None:
        self.length = length
        self.is_complete = False
        self.is_paused = False
        self.is_abandoned = False
        self.is_cut_short = False
        self.can_replay = True
        self._pieces = list(pieces)
        self._trailers: Headers | None = None
        self._limit = 0
        self._sink: BodySink | None = None
        self._whole: Signal[bytes] = Signal()

    def receive(self, piece: bytes) -> None:
        """Let a piece come; raises ``Refusal`` past the bound."""
        self._pieces.append(piece)
        self._check()
        if self._sink is not None:
            self._sink.receive(piece)

    def finish(self, trailers: Headers | None = None) -> None:
        """The body is complete."""
        self.is_complete = True
        self._trailers = trailers
        if self._sink is not None:
            self._sink.finish(trailers)
        self._whole.set(b"".join(self._pieces))

    def fail(self) -> None:
        """The rest will never come."""
        self.is_cut_short = True
        if self._sink is not None:
            self._sink.fail()

    def attach(self, sink: BodySink) -> None:
        """Deliver from the first byte on."""
        self._sink = sink
        for piece in self._pieces:
            sink.receive(piece)
        if self.is_complete:
            sink.finish(self._trailers)
        elif self.is_cut_short:
            sink.fail()

    def detach(self) -> None:
        """The sink takes no more."""
        self._sink = None

    def pause(self) -> None:
        """The sink is full."""
        self.is_paused = True

    def resume(self) -> None:
        """The sink takes more."""
        self.is_paused = False

    def abandon(self) -> None:
        """Nobody wants the rest."""
        self.is_abandoned = True
        self._sink = None

    def bound(self, size: int) -> None:
        """Refuse more than ``size`` bytes."""
        self._limit = size
        self._check()

    def _check(self) -> None:
        held = sum(map(len, self._pieces))
        if self._limit and max(held, self.length) > self._limit:
            raise Refusal(413, "body-too-large", closes=True)

    async def read(self) -> bytes:
        """Return the whole body."""
        return await self._whole
