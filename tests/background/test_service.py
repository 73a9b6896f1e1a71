"""A process runs jobs once it has a configuration and a store, and gives back what it cannot finish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from tests.downstream.conversation import Line, get
from tests.jobs.listening import Listener
from tests.running import FRONT, WORD, Running, orders
from tests.stores.world import CALL, QUEUES
from twistedgate.background.service import JobService
from twistedgate.jobs.job import Delivery, Job, NewJob, Room, State, Terms
from twistedgate.jobs.store import StoreAway
from twistedgate.observers.cells import ENDED, ENDS, SUBMITTED, jobs_block
from twistedgate.stores.memory import Memory, MemoryStore

ASYNC = "async = optional\n"
PREFER = "Prefer: respond-async"
CALLBACKS = "async_callback_hosts = 127.0.0.1\nasync_callback_secret = whsec_" + "QUJD" * 8 + "\n"


class LateStore(MemoryStore):
    """A store that takes its time to open."""

    def __init__(self, memory: Memory) -> None:
        super().__init__("here", 1 << 20, memory)
        self.opening: Deferred[None] = Deferred()
        self.is_closed = False

    async def start(self) -> None:
        await self.opening
        await super().start()

    async def stop(self) -> None:
        self.is_closed = True
        await super().stop()


class Scene:
    """A gateway in memory, whose routes a service of the test's runs jobs of."""

    def __init__(self, folder: Path) -> None:
        self.running = Running(folder, FRONT, WORD.format("done"), ASYNC, orders(), ASYNC)
        self.running.privilegedStartService()
        self.running.startService()
        self.running.reactor.run(but=lambda: None)
        self.clock = Clock()
        self.memory = Memory(1 << 20)
        self.store = LateStore(self.memory)
        self.service = JobService(self.clock, self.store)
        self.runs: list[str] = []

    def commit(self) -> None:
        """Give the service what the gateway serves by."""
        gateway = self.running.server._serving.gateway
        self.service.commit(
            self.running.configuration, gateway.jobs, lambda exchange: self.runs.append(exchange.route)
        )

    def submit(self, route: str = "word", *, is_safe_to_repeat: bool = False) -> str:
        """Queue a job."""
        delivery = Delivery.AT_LEAST_ONCE if is_safe_to_repeat else Delivery.AT_MOST_ONCE
        terms = Terms(delivery, ttl=60.0, queue_timeout=60.0, retries=0)
        new = NewJob(f"{route}-1", route, "", "caller", CALL, terms, b"12345")
        done(self.store.submit(new, QUEUES, self.service.runner.wall()))
        return new.id

    def job(self, identity: str) -> Job:
        """Return how a job stands."""
        job: Job | None = done(self.store.find(identity, self.service.runner.wall()))
        assert job is not None
        return job


def done(work: Any) -> Any:
    """Return what a coroutine that waits for nothing returns."""
    results: list[Any] = []
    ensureDeferred(work).addCallback(results.append)
    return results[0]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.service.stop()
    scene.running.stopService()


def ask(running: Running, *fields: str) -> bytes:
    """Ask for a word by a job."""
    line: Line = running.connect()
    line.protocol.dataReceived(get("/word", *fields))
    return line.received


def test_a_gateway_runs_the_jobs_of_its_routes(scene: Scene) -> None:
    answer = ask(scene.running, PREFER)
    assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n")
    (job,) = done(scene.running.alone.store.list_jobs(None, None, 10, "", 0.0)).jobs
    assert (job.state, job.status) == (State.SUCCEEDED, 200)


@pytest.mark.parametrize("opens_first", [True, False])
def test_nothing_is_run_before_there_is_a_store_and_a_configuration(scene: Scene, opens_first: bool) -> None:
    identity = scene.submit()
    scene.service.start()
    steps = [scene.commit, lambda: scene.store.opening.callback(None)]
    for step in reversed(steps) if opens_first else steps:
        assert scene.job(identity).state is State.QUEUED
        step()
    assert scene.job(identity).state is State.SUCCEEDED
    assert scene.runs == ["word"]


def test_what_becomes_of_jobs_is_counted_and_each_run_is_written_down(scene: Scene) -> None:
    metrics = scene.running.alone.measures.metrics
    listener = Listener()
    service = JobService(scene.clock, scene.store, listener)
    assert (service.runner.observer, service.port.observer) == (listener, listener)
    before = metrics.answered
    ask(scene.running, PREFER)
    # the run is no request of a client's
    assert metrics.answered == before + 1
    assert counted(scene.running, SUBMITTED) == 1
    assert counted(scene.running, ENDED + ENDS.index("succeeded")) == 1


def counted(running: Running, cell: int) -> int:
    """Return a count of the jobs of the word."""
    alone = running.alone
    return alone.board.total(alone.measures.starts[jobs_block("word")] + cell, 1)[0]


def test_a_store_that_cannot_be_had_is_told(scene: Scene) -> None:
    failed: list[str] = []
    scene.service.start().addErrback(lambda failure: failed.append(str(failure.value)))
    scene.store.opening.errback(StoreAway("the folder is not there"))
    assert failed == ["the folder is not there"]


def started(scene: Scene) -> None:
    """Open the store, and give the configuration."""
    scene.store.opening.callback(None)
    scene.service.start()
    scene.commit()


def test_a_route_that_runs_no_jobs_any_more_ends_those_that_wait(scene: Scene) -> None:
    scene.store.opening.callback(None)
    identity = scene.submit()
    scene.running.reload_with(FRONT, WORD.format("done"), orders(), ASYNC)
    scene.service.start()
    scene.commit()
    scene.clock.advance(1.0)
    assert (scene.job(identity).state, scene.job(identity).reason) == (State.FAILED, "route-gone")


def test_what_waits_for_a_route_is_left_between_a_reload_elsewhere_and_here(scene: Scene) -> None:
    started(scene)
    scene.service.prepare(["next"])
    identity = scene.submit("next")
    scene.clock.advance(1.0)
    assert scene.job(identity).state is State.QUEUED
    scene.commit()
    scene.clock.advance(1.0)
    assert scene.job(identity).reason == "route-gone"


@pytest.mark.parametrize(("is_safe", "ends"), [(True, State.QUEUED), (False, State.FAILED)])
def test_a_drain_gives_back_what_is_not_done_in_time(scene: Scene, is_safe: bool, ends: State) -> None:
    started(scene)
    identity = scene.submit("orders", is_safe_to_repeat=is_safe)
    assert scene.job(identity).state is State.RUNNING
    drained: list[None] = []
    scene.service.drain(5.0).addCallback(drained.append)
    scene.clock.pump([1.0] * 4)
    assert scene.job(identity).state is State.RUNNING
    assert drained == []
    scene.clock.pump([1.0] * 2)
    assert scene.job(identity).state is ends
    assert len(drained) == 1


def test_a_drain_lets_those_go_who_wait_for_what_does_not_run_here(scene: Scene) -> None:
    started(scene)
    watches = [scene.service.port.watch(job) for job in (scene.submit("orders"), "elsewhere")]
    scene.service.drain(5.0)
    assert [watch.is_vain for watch in watches] == [False, True]


def test_what_is_handed_in_after_the_drain_is_given_back(scene: Scene) -> None:
    started(scene)
    scene.service.drain(5.0)
    identity = scene.submit()
    (claim,) = done(scene.store.claim([Room("word", 1, 1)], scene.service.runner.wall()))
    scene.service.port.run(claim)
    assert scene.job(identity).state is State.QUEUED
    assert scene.runs == []


def test_the_store_is_closed_once(scene: Scene) -> None:
    started(scene)
    assert scene.service.stop().called
    assert scene.store.is_closed
    scene.store.is_closed = False
    assert scene.service.stop().called
    assert not scene.store.is_closed
    scene.commit()
    assert scene.clock.getDelayedCalls() == []


def test_nobody_looks_for_callbacks_where_nobody_may_be_told(scene: Scene) -> None:
    started(scene)
    before = len(scene.clock.getDelayedCalls())
    scene.running.reload_with(FRONT, WORD.format("done"), ASYNC, CALLBACKS)
    scene.commit()
    assert len(scene.clock.getDelayedCalls()) == before + 1
    stopped = scene.service.drain(1.0)
    assert stopped.called
