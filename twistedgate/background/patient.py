"""The bodies of a run, in a store that may be away: the run waits for it, within its own time.

A call under way does not end because the store is away for a moment: a piece is asked for, or given, again
until the store has answered.  Whoever cuts the run cuts the wait.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from twistedgate.jobs.store import StoreAway


class Pieces(Protocol):
    """Where bodies are kept in pieces: a store, or what stands before one."""

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece."""

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece, ``None`` behind the last one."""


class PatientPieces:
    """Pieces that are asked for again, each ``pause`` seconds, while the store is away."""

    def __init__(self, store: Pieces, clock: IReactorTime, pause: float) -> None:
        self._store = store
        self._clock = clock
        self._pause = pause

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece."""
        while True:
            try:
                await self._store.put_piece(job, kind, number, piece)
            except StoreAway:
                await deferLater(self._clock, self._pause)
            else:
                return

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece."""
        while True:
            try:
                return await self._store.get_piece(job, kind, number)
            except StoreAway:
                await deferLater(self._clock, self._pause)
