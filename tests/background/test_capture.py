"""What an answer says is held while it is small, and goes to the store in pieces when it is not."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from twistedgate.background.capture import Capture, ResultTooLarge
from twistedgate.errors import UpstreamFailure
from twistedgate.fakes.body import Body
from twistedgate.jobs.job import INLINE
from twistedgate.jobs.store import RESULT
from twistedgate.net.task import Task


class Pieces:
    """A store that keeps pieces, each when the test says so if it is slow."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.put: list[bytes] = []
        self.places: list[tuple[str, str, int]] = []
        self.waiting: list[Deferred[None]] = []
        self._is_slow = is_slow

    def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> Deferred[None]:
        """Keep a piece."""
        self.put.append(piece)
        self.places.append((job, kind, number))
        if not self._is_slow:
            return succeed(None)
        self.waiting.append(Deferred())
        return self.waiting[-1]


class Scene:
    """A body that is captured."""

    def __init__(self, *pieces: bytes, most: int = 0, is_slow: bool = False) -> None:
        self.store = Pieces(is_slow=is_slow)
        self.body = Body(*pieces)
        store: Any = self.store
        self.capture = Capture(store, "job", self.body, most)
        self.results: list[bytes | Exception | None] = []
        Task(self._take(), lambda: None).step()

    async def _take(self) -> None:
        try:
            self.results.append(await self.capture.take())
        except (ResultTooLarge, UpstreamFailure) as error:
            self.results.append(error)


def test_a_small_body_is_held() -> None:
    scene = Scene(b"one")
    scene.body.receive(b"two")
    scene.body.finish()
    assert (scene.results, scene.capture.length, scene.store.put) == ([b"onetwo"], 6, [])


def test_one_that_is_here_already_is_held_too() -> None:
    scene = Scene()
    scene.body.finish()
    assert scene.results == [b""]


def test_a_large_body_goes_to_the_store_in_pieces_of_one_size() -> None:
    scene = Scene()
    whole = bytes(range(256)) * 4096 + b"end"
    for start in range(0, len(whole), 100_000):
        scene.body.receive(whole[start : start + 100_000])
    scene.body.finish()
    assert scene.results == [None]
    assert b"".join(scene.store.put) == whole
    assert scene.capture.length == len(whole)
    assert [len(piece) for piece in scene.store.put] == [INLINE] * 4 + [3]
    assert scene.store.places == [("job", RESULT, number) for number in range(5)]


def test_whoever_delivers_waits_for_the_store() -> None:
    scene = Scene(is_slow=True)
    scene.body.receive(b"x" * (INLINE + 1))
    paused = [scene.body.is_paused]
    scene.store.waiting.pop().callback(None)
    paused.append(scene.body.is_paused)
    scene.body.finish()
    scene.store.waiting.pop().callback(None)
    assert (paused, scene.results) == ([True, False], [None])
    assert [len(piece) for piece in scene.store.put] == [INLINE, 1]


def test_one_that_is_too_large_is_abandoned() -> None:
    scene = Scene(most=10)
    scene.body.receive(b"x" * 11)
    (failure,) = scene.results
    assert isinstance(failure, ResultTooLarge)
    assert scene.body.is_abandoned


@pytest.mark.parametrize("size", [5, INLINE + 5])
def test_one_that_breaks_off_is_no_result(size: int) -> None:
    scene = Scene(b"x" * size)
    scene.body.fail()
    (failure,) = scene.results
    assert isinstance(failure, UpstreamFailure)
