from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from twisted.internet.task import Clock

from tests.background.begun import Begun, result_of
from tests.stores.world import MANY, new_job
from twistedgate.background.port import Jobs
from twistedgate.errors import ClientGone
from twistedgate.fakes.body import Body
from twistedgate.fakes.client import Answer
from twistedgate.http.message import Response
from twistedgate.jobs.job import INLINE, Claim
from twistedgate.jobs.store import REQUEST, StoreFull
from twistedgate.net.task import Signal
from twistedgate.stores.memory import MemoryStore


class Scene:
    """Jobs in memory that nobody runs."""

    def __init__(self, state_max: int = 1 << 24) -> None:
        self.store = MemoryStore("r", state_max)
        self.claims: list[Claim] = []
        self.clock = Clock()
        self.jobs = Jobs(self.store, self.claims.append, lambda: 1000.0, self.clock)
        self.seen = b""

    def see(self, piece: bytes) -> None:
        """Remember what came."""
        self.seen += piece

    def piece(self, number: int) -> bytes | None:
        """Return what the store has."""
        return self.store.memory.ledger.pieces.get("job", REQUEST, number)


def test_what_was_begun_goes_on_without_who_waits() -> None:
    scene, gate, ended = Scene(), Signal[None](), []

    async def work() -> int:
        await gate
        ended.append(True)
        return 7

    async def wait() -> int:
        return await scene.jobs.apart(work())

    leaving, staying = Begun(wait()), Scene()
    leaving.leave()
    assert isinstance(leaving.error, ClientGone)
    gate.set(None)
    assert ended == [True]
    assert result_of(wait()) == 7
    assert staying.claims == []


def test_at_the_end_nobody_waits_but_for_what_runs_here() -> None:
    scene = Scene()
    here, elsewhere, left = (scene.jobs.watch(job) for job in ("here", "elsewhere", "left"))
    waiting = [Begun(watch.changed(5.0)) for watch in (here, elsewhere)]
    left.stop()
    scene.jobs.end_waits(lambda job: job == "here")
    assert [one.is_done for one in waiting] == [True, True]
    assert [watch.is_vain for watch in (here, elsewhere)] == [False, True]
    assert scene.jobs.watch("new").is_vain


def test_what_goes_wrong_apart_goes_wrong_for_who_waits() -> None:
    async def fail() -> None:
        raise StoreFull

    async def wait() -> None:
        await Scene().jobs.apart(fail())

    with pytest.raises(StoreFull):
        result_of(wait())


@pytest.mark.parametrize("size", [0, 1, INLINE])
def test_a_small_body_is_given_back(size: int) -> None:
    scene, body = Scene(), b"x" * size
    assert result_of(scene.jobs.keep("job", body, scene.see)) == (body, size)
    assert (scene.seen, scene.piece(0)) == (body, None)


def test_a_large_body_is_kept_in_pieces_wherever_it_comes_from() -> None:
    whole = b"x" * INLINE + b"y"
    held, coming = Scene(), Scene()
    assert result_of(held.jobs.keep("job", whole, held.see)) == (None, len(whole))
    body = Body(whole)
    body.finish()
    assert result_of(coming.jobs.keep("job", body, coming.see)) == (None, len(whole))
    for scene in (held, coming):
        assert (scene.piece(0), scene.piece(1), scene.seen) == (b"x" * INLINE, b"y", whole)


def test_of_a_body_that_does_not_come_whole_nothing_is_kept() -> None:
    scene, body = Scene(), Body(b"x" * INLINE, b"y")
    keeping = Begun(scene.jobs.keep("job", body, scene.see))
    assert scene.piece(0) is not None
    body.fail()
    assert isinstance(keeping.error, ClientGone)
    assert (scene.piece(0), scene.store.memory.ledger.used) == (None, 0)


def test_of_a_body_without_a_place_nothing_is_kept() -> None:
    scene = Scene(INLINE + 5000)
    with pytest.raises(StoreFull):
        result_of(scene.jobs.keep("job", b"x" * (3 * INLINE), scene.see))
    assert scene.store.memory.ledger.used == 0


def test_a_body_is_made_of_pieces() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"

    answer = Answer(Response(200))
    Scene().jobs.body(pieces()).attach(answer)
    assert (answer.body, answer.is_whole) == (b"ab", True)


def test_a_job_is_watched() -> None:
    scene = Scene()
    job = new_job()
    result_of(scene.store.submit(job, MANY, 1000.0))
    waiting = Begun(scene.jobs.watch(job.id).changed(1.0))
    result_of(scene.store.cancel(job.id, 1000.0))
    assert waiting.result is True
