"""The body of a request that a store keeps in pieces, as the line wants it: delivered with back-pressure."""

from __future__ import annotations

from twistedgate.background.patient import Pieces
from twistedgate.http.message import BodySink
from twistedgate.jobs.store import REQUEST
from twistedgate.net.task import Signal, Task


class KeptRequest:
    """The body of a request that is kept in pieces; it can be delivered anew from its first byte."""

    is_complete = True
    can_replay = True

    def __init__(self, store: Pieces, job: str) -> None:
        self._store = store
        self._job = job
        self._sink: BodySink | None = None
        self._task: Task | None = None
        self._flows: Signal[None] | None = None
        self._is_paused = False

    def attach(self, sink: BodySink) -> None:
        """Deliver everything to ``sink``."""
        self._sink = sink
        self._is_paused = False
        self._task = Task(self._deliver(sink), lambda: None)
        self._task.step()

    async def _deliver(self, sink: BodySink) -> None:
        number = 0
        try:
            while (piece := await self._store.get_piece(self._job, REQUEST, number)) is not None:
                if self._sink is not sink:
                    return
                sink.receive(piece)
                number += 1
                await self._until_it_flows()
        except Exception:  # noqa: BLE001 -- whatever the store raises, the target gets no more of it
            if self._sink is sink:
                sink.fail()
            return
        if self._sink is sink:
            sink.finish(None)

    async def _until_it_flows(self) -> None:
        if self._is_paused:
            self._flows = Signal()
            await self._flows

    def pause(self) -> None:
        """Deliver nothing more for now."""
        self._is_paused = True

    def resume(self) -> None:
        """Deliver again."""
        self._is_paused = False
        flows, self._flows = self._flows, None
        if flows is not None:
            flows.set(None)

    def detach(self) -> None:
        """The sink takes no more."""
        self._sink = None
        self.resume()

    def abandon(self) -> None:
        """Nobody wants the rest."""
        self.detach()

    def bound(self, size: int) -> None:
        """It was bounded when it came."""

    async def read(self) -> bytes:
        """Return the whole body, for an action that wants it so."""
        pieces: list[bytes] = []
        while (piece := await self._store.get_piece(self._job, REQUEST, len(pieces))) is not None:
            pieces.append(piece)
        return b"".join(pieces)
