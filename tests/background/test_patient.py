"""A run waits for a store that is away, and for nothing else."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from tests.background.begun import Begun, result_of
from twistedgate.background.patient import PatientPieces
from twistedgate.jobs.store import RESULT, StoreAway, StoreFull
from twistedgate.stores.memory import MemoryStore


class Store(MemoryStore):
    """Is away for a while."""

    trouble: Exception | None = None

    def _reach(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        self._reach()
        await super().put_piece(job, kind, number, piece)

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        self._reach()
        return await super().get_piece(job, kind, number)


class Scene:
    """Pieces in a store that may be away."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store("here", 1 << 20)
        self.pieces = PatientPieces(self.store, self.clock, 0.5)


def test_a_store_that_is_there_is_asked_once() -> None:
    scene = Scene()
    result_of(scene.pieces.put_piece("job", RESULT, 0, b"one"))
    assert result_of(scene.pieces.get_piece("job", RESULT, 0)) == b"one"
    assert result_of(scene.pieces.get_piece("job", RESULT, 1)) is None


def test_one_that_is_away_is_asked_again_until_it_is_back() -> None:
    scene = Scene()
    scene.store.trouble = StoreAway()
    putting = Begun(scene.pieces.put_piece("job", RESULT, 0, b"one"))
    scene.clock.advance(0.5)
    assert not putting.is_done
    scene.store.trouble = None
    scene.clock.advance(0.5)
    assert (putting.is_done, putting.error) == (True, None)
    scene.store.trouble = StoreAway()
    getting = Begun(scene.pieces.get_piece("job", RESULT, 0))
    scene.store.trouble = None
    scene.clock.advance(0.5)
    assert getting.result == b"one"


def test_whoever_is_cut_waits_no_more() -> None:
    scene = Scene()
    scene.store.trouble = StoreAway()
    getting = Begun(scene.pieces.get_piece("job", RESULT, 0))
    getting.leave()
    assert (getting.is_done, scene.clock.getDelayedCalls()) == (True, [])


def test_one_that_is_full_is_not_asked_again() -> None:
    scene = Scene()
    scene.store.trouble = StoreFull()
    with pytest.raises(StoreFull):
        result_of(scene.pieces.put_piece("job", RESULT, 0, b"one"))
