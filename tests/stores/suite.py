"""What every store must do, whatever it is made of: each test module of a store derives its class from here.

It writes a ``World`` of the store (see there) and returns one from ``make_world``; nothing else is needed.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import greenlet  # type: ignore[import-untyped]
import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.stores.ending import Cancelling, Dying, Forgetting, Listing, Sweeping
from tests.stores.machine import StoreMachine
from tests.stores.running import Claiming, Finishing, RunningAgain
from tests.stores.submitting import Submitting
from tests.stores.telling import CallingBack, Lasting, Sharing, Watching
from tests.stores.world import Keeping, World


class StoreSuite(
    Submitting,
    Claiming,
    Finishing,
    RunningAgain,
    Cancelling,
    Forgetting,
    Sweeping,
    Listing,
    Dying,
    CallingBack,
    Watching,
    Sharing,
    Lasting,
    abc.ABC,
):
    """All that is asked of a store."""

    examples = 30
    """How many lives of a store are tried against the model, and how long they are."""
    steps = 40

    @abc.abstractmethod
    def make_world(self, place: Path) -> World:
        """Return a world with nothing in it; ``place`` is an empty directory, another one each time."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        """The world of one test."""
        world = self.make_world(tmp_path)
        yield world
        world.run(world.close())

    @pytest.fixture
    def keeping(self, world: World) -> Keeping:
        """A store that is at work in it."""
        return Keeping(world, world.run(world.open()))

    def test_whatever_happens_no_job_is_lost_and_no_result_doubled(self, tmp_path: Path) -> Deferred[None]:
        """Run it in a greenlet of its own: a test's is the reactor's, in which nobody may wait."""
        from twisted.internet import reactor

        done: Deferred[None] = Deferred()

        def run() -> None:
            outcome: Any = None
            try:
                self._run_machine(tmp_path)
            except BaseException:  # noqa: BLE001 -- a greenlet's failures are its test's
                outcome = Failure()
            # not from here: who waits for it goes on in the greenlet that calls
            reactor.callLater(0, done.callback, outcome)

        greenlet.greenlet(run).switch()
        return done

    def _run_machine(self, tmp_path: Path) -> None:
        lives = 0

        def make_world() -> World:
            nonlocal lives
            lives += 1
            place = tmp_path / str(lives)
            place.mkdir()
            return self.make_world(place)

        class Life(StoreMachine):
            """One life of a store."""

            def __init__(self) -> None:
                super().__init__(make_world)

        settings = hypothesis.settings(max_examples=self.examples, stateful_step_count=self.steps)
        run_state_machine_as_test(Life, settings=settings)
