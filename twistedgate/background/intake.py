"""The body of a request on its way into a store: what it is made of is seen, and half a body is none."""

from __future__ import annotations

from collections.abc import Callable

from twistedgate.background.capture import Capture
from twistedgate.background.patient import Pieces
from twistedgate.errors import ClientGone
from twistedgate.http.message import BodySource
from twistedgate.jobs.store import REQUEST


class Intake(Capture):
    """Takes the body of a request, which the line has bounded."""

    kind = REQUEST

    def __init__(self, store: Pieces, job: str, source: BodySource, seen: Callable[[bytes], object]) -> None:
        super().__init__(store, job, source, 0)
        self._seen = seen

    def receive(self, piece: bytes) -> None:
        """Take a piece."""
        self._seen(piece)
        super().receive(piece)

    @property
    def has_pieces(self) -> bool:
        """Whether the store has some of it."""
        return self._count > 0

    def fail(self) -> None:
        """The client left."""
        self._stop(ClientGone())
