from __future__ import annotations

from twisted.internet.task import Clock

from tests.background.begun import Begun, result_of
from tests.stores.world import MANY, claimed, new_job
from twistedgate.background.waiting import Watch
from twistedgate.errors import ClientGone
from twistedgate.jobs.job import End, State
from twistedgate.stores.memory import MemoryStore

NOW = 1000.0


class Scene:
    """A job that runs, and a watch on it."""

    def __init__(self) -> None:
        self.store = MemoryStore("r", 1 << 24)
        self.clock = Clock()
        self.claim = claimed(result_of(self.store.submit(new_job(), MANY, NOW)))
        self.watch = Watch(self.store, self.claim.job.id, self.clock)

    def finish(self) -> None:
        """Let the job fail."""
        result_of(self.store.finish(self.claim, End(State.FAILED, reason="reset"), NOW))


def test_who_waits_is_told_of_a_change() -> None:
    scene = Scene()
    waiting = Begun(scene.watch.changed(5.0))
    assert not waiting.is_done
    scene.finish()
    assert (waiting.result, scene.clock.getDelayedCalls()) == (True, [])


def test_nobody_waits_for_longer_than_he_wants() -> None:
    scene = Scene()
    waiting = Begun(scene.watch.changed(5.0))
    scene.clock.advance(4.9)
    assert not waiting.is_done
    scene.clock.advance(0.1)
    assert waiting.result is False


def test_a_change_before_the_wait_is_not_missed_and_told_once() -> None:
    scene = Scene()
    scene.finish()
    assert result_of(scene.watch.changed(5.0)) is True
    assert result_of(scene.watch.changed(0.0)) is False


def test_who_waits_for_no_time_does_not_wait() -> None:
    scene = Scene()
    assert result_of(scene.watch.changed(0.0)) is False
    assert result_of(scene.watch.changed(-1.0)) is False


def test_who_waits_in_vain_does_not_wait() -> None:
    scene, vain = Scene(), [False]
    watch = Watch(scene.store, scene.claim.job.id, scene.clock, lambda: vain[0])
    waiting = Begun(watch.changed(5.0))
    vain[0] = True
    assert (waiting.is_done, watch.is_vain) == (False, True)
    watch.wake()
    assert waiting.result is True
    assert result_of(watch.changed(5.0)) is False


def test_who_leaves_leaves_nothing_behind() -> None:
    scene = Scene()
    waiting = Begun(scene.watch.changed(5.0))
    waiting.leave()
    scene.watch.stop()
    assert isinstance(waiting.error, ClientGone)
    assert (scene.clock.getDelayedCalls(), scene.store.memory.watches) == ([], {})
    scene.finish()
