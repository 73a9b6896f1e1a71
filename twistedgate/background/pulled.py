"""The body of an answer that is made piece by piece: nothing is made before it can be taken."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from twisted.logger import Logger

from twistedgate.errors import ClientGone, UpstreamFailure
from twistedgate.http.message import BodySink
from twistedgate.jobs.store import StoreAway
from twistedgate.net.task import Signal, Task

_log = Logger()


class PulledBody:
    """Delivers what a generator yields; where the generator fails, the body is cut short.

    ``StoreAway`` and ``UpstreamFailure`` are ways to end it; anything else is a fault, and written down.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces
        self._task: Task | None = None
        self._flows: Signal[None] | None = None
        self._is_paused = False

    def attach(self, sink: BodySink) -> None:
        """Deliver everything to ``sink``."""
        task = self._task = Task(self._deliver(sink), self._ended)
        task.step()

    def _ended(self) -> None:
        self._task = None

    async def _deliver(self, sink: BodySink) -> None:
        try:
            async for piece in self._pieces:
                if piece:
                    sink.receive(piece)
                if self._is_paused:
                    self._flows = Signal()
                    await self._flows
        except (StoreAway, UpstreamFailure):
            sink.fail()
        except Exception:  # noqa: BLE001 -- the head is out: all that is left is to cut the answer short
            _log.failure("a body could not be delivered")
            sink.fail()
        else:
            sink.finish(None)
        finally:
            await self._pieces.aclose()

    def pause(self) -> None:
        """Deliver nothing more for now."""
        self._is_paused = True

    def resume(self) -> None:
        """Deliver again."""
        self._is_paused = False
        flows, self._flows = self._flows, None
        if flows is not None:
            flows.set(None)

    def abandon(self) -> None:
        """Nobody wants the rest."""
        task, self._task = self._task, None
        if task is not None:
            task.throw(ClientGone())
