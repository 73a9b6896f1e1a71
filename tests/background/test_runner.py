"""Jobs are performed as their routes say, and whatever happens to a run, the store is told once."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from tests.background.test_kept import Sink
from tests.conftest import LoggedFailures
from tests.jobs.listening import Listener
from tests.stores.world import CALL
from twistedgate.background.run import RunExchange, Runnable
from twistedgate.background.runner import AGAIN, RENEW, SWEEP, Runner
from twistedgate.errors import Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.http.headers import Headers, field
from twistedgate.http.message import Response
from twistedgate.jobs.job import (
    INLINE,
    Claim,
    Delivery,
    End,
    Job,
    Limits,
    NewJob,
    Room,
    State,
    Submission,
    Swept,
    Terms,
)
from twistedgate.jobs.store import REQUEST, RESULT, StoreAway
from twistedgate.net.task import Signal
from twistedgate.stores.memory import MemoryStore

T = TypeVar("T")

ROUTE = "reports"
BACKOFF = 8.0
TERMS = Terms(Delivery.AT_MOST_ONCE, ttl=600.0, queue_timeout=300.0, retries=2)


def now(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that waits for nothing returns."""
    results: list[T] = []
    ensureDeferred(work).addCallback(results.append)
    return results[0]


class Action:
    """Answers with what comes next: a response, an error, or something to wait for."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.asked: list[Exchange] = []
        self.finished: list[Exchange] = []

    async def answer(self, exchange: Exchange) -> Response:
        self.asked.append(exchange)
        following = self.script.pop(0)
        if isinstance(following, Signal):
            following = await following
        if isinstance(following, Exception):
            raise following
        response: Response = following
        return response

    def finish(self, exchange: Exchange) -> None:
        self.finished.append(exchange)


class Pipe:
    """A pipeline whose policies may change the answer."""

    dresses = False
    name = ROUTE

    async def dress(self, exchange: Exchange, response: Response) -> Response:
        response.headers.add(b"X-Dressed", b"yes")
        return response


class Store(MemoryStore):
    """Keeps jobs in memory, and may be away."""

    is_away = False
    confirming: Signal[None] | None = None
    """Where it is set, an end is kept at once, and confirmed when this is set."""
    answering: Signal[None] | None = None
    """The same of claims."""

    def __init__(self, runner: str, state_max: int) -> None:
        super().__init__(runner, state_max)
        self.renewed: list[float] = []
        self.asked: list[Sequence[Room]] = []
        self.swept: list[list[str] | None] = []

    async def renew(self, now: float) -> None:
        self.renewed.append(now)
        await super().renew(now)

    async def claim(self, rooms: Sequence[Room], now: float) -> list[Claim]:
        self.asked.append(rooms)
        taken = await super().claim(rooms, now)
        if self.answering is not None:
            await self.answering
        return taken

    async def sweep(self, routes: Collection[str] | None, now: float) -> Swept:
        if self.is_away:
            raise StoreAway
        self.swept.append(None if routes is None else sorted(routes))
        return await super().sweep(routes, now)

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        if self.is_away:
            raise StoreAway
        await super().put_piece(job, kind, number, piece)

    async def get_piece(self, job: str, kind: str, number: int) -> bytes | None:
        if self.is_away:
            raise StoreAway
        return await super().get_piece(job, kind, number)

    async def finish(self, claim: Claim, end: End, now: float) -> bool:
        if self.is_away:
            raise StoreAway
        kept = await super().finish(claim, end, now)
        if self.confirming is not None:
            await self.confirming
        return kept


class Scene:
    """A runner with a store, a clock and an action of the test's."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store("here", 1 << 30)
        self.action = Action()
        self.pipeline = Pipe()
        self.observed: list[Exchange] = []
        self.routes = {ROUTE: self.runnable()}
        self.runner = Runner(self.clock, self.store, self.routes.get, self.wall, lambda: 0.5)
        self.runner.observer = self.listener = Listener()
        now(self.store.start())
        self.runner.start()
        self.runner.configure({ROUTE: 2})

    def runnable(self, **changed: Any) -> Runnable:
        """Return how the route's jobs are performed."""
        pipeline: Any = self.pipeline
        runnable = Runnable(pipeline, self.action, 60.0, BACKOFF, 1 << 20, self.observed.append)
        return replace(runnable, **changed)

    def wall(self) -> float:
        return 1e9 + self.clock.seconds()

    def submit(self, method: str = "POST", concurrency: int = 0, **terms: Any) -> str:
        """Submit a job; without concurrency it is queued, and the runner takes it in the next turn."""
        identity = f"job-{len(self.action.asked)}-{terms}-{method}-{self.clock.seconds()}"
        call = replace(CALL, method=method)
        callback = terms.pop("callback", "")
        job = NewJob(
            identity, ROUTE, "", "caller", call, replace(TERMS, **terms), b"hello", callback=callback
        )
        submitted: Submission = now(self.store.submit(job, Limits(9, 9, concurrency), self.wall()))
        if submitted.claim is not None:
            self.runner.run(submitted.claim)
        self.clock.advance(0)
        return identity

    def job(self, identity: str) -> Job:
        """Return how a job stands."""
        found = now(self.store.find(identity, self.wall()))
        assert found is not None
        return found

    def state(self, identity: str) -> tuple[State, str, int]:
        """Return state, reason and attempts."""
        job = self.job(identity)
        return job.state, job.reason, job.attempts


@pytest.fixture
def scene() -> Scene:
    return Scene()


def answer(body: Any = b"fine", status: int = 200) -> Response:
    return Response(status, Headers([field(b"Content-Type", b"text/plain")]), body)


def test_a_job_that_is_claimed_with_its_submission_is_run_at_once(scene: Scene) -> None:
    scene.action.script = [answer()]
    identity = scene.submit(concurrency=2)
    job = scene.job(identity)
    assert (job.state, job.status, job.attempts) == (State.SUCCEEDED, 200, 1)
    assert job.head is not None
    assert (job.head.headers, job.head.length) == (((b"Content-Type", b"text/plain"),), 4)
    assert now(scene.store.get_piece(identity, RESULT, 0)) == b"fine"


def test_one_that_is_queued_is_taken_when_there_is_room(scene: Scene) -> None:
    signals: list[Signal[Response]] = [Signal(), Signal(), Signal()]
    scene.action.script = list(signals)
    ids = [scene.submit("GET", retries=number) for number in range(3)]
    scene.runner.wake()
    assert scene.runner.running == 2
    assert [scene.job(identity).state for identity in ids] == [State.RUNNING, State.RUNNING, State.QUEUED]
    signals[0].set(answer())
    assert [scene.job(identity).state for identity in ids] == [State.SUCCEEDED, State.RUNNING, State.RUNNING]


def test_the_call_is_the_jobs(scene: Scene) -> None:
    scene.action.script = [answer()]
    identity = scene.submit(concurrency=1)
    (exchange,) = scene.action.asked
    assert isinstance(exchange, RunExchange)
    assert (exchange.job, exchange.response_timeout) == (identity, 60.0)
    assert (exchange.request.method, exchange.request.body) == ("POST", b"hello")
    assert scene.action.finished == scene.observed == [exchange]


def test_policies_dress_what_is_kept(scene: Scene) -> None:
    scene.pipeline.dresses = True
    scene.action.script = [answer()]
    head = scene.job(scene.submit(concurrency=1)).head
    assert head is not None
    assert (b"X-Dressed", b"yes") in head.headers


def test_an_answer_of_the_upstream_is_a_success_whatever_it_says(scene: Scene) -> None:
    scene.action.script = [answer(status=404)]
    job = scene.job(scene.submit(concurrency=1))
    assert (job.state, job.status) == (State.SUCCEEDED, 404)


def test_a_large_answer_is_kept_in_pieces(scene: Scene) -> None:
    body = Body()
    scene.action.script = [answer(body)]
    identity = scene.submit(concurrency=1)
    whole = b"x" * (INLINE + 10)
    body.receive(whole)
    body.finish()
    assert scene.job(identity).state == State.SUCCEEDED
    pieces = [now(scene.store.get_piece(identity, RESULT, number)) for number in range(3)]
    assert [piece and len(piece) for piece in pieces] == [INLINE, 10, None]


def test_a_store_that_is_away_says_so_itself_and_not_every_second(scene: Scene) -> None:
    scene.store.is_away = True
    with capturedLogs() as events:
        scene.clock.pump([SWEEP] * 30)
    assert [formatEvent(event) for event in events] == []


def test_a_large_answer_waits_for_a_store_that_is_away(scene: Scene) -> None:
    body = Body()
    scene.action.script = [answer(body)]
    identity = scene.submit(concurrency=1)
    scene.store.is_away = True
    body.receive(b"x" * (INLINE + 10))
    body.finish()
    scene.clock.advance(AGAIN)
    assert scene.job(identity).state == State.RUNNING
    scene.store.is_away = False
    scene.clock.pump([AGAIN] * 3)
    assert scene.state(identity) == (State.SUCCEEDED, "", 1)
    assert now(scene.store.get_piece(identity, RESULT, 1)) == b"x" * 10


def test_a_large_request_waits_for_a_store_that_is_away(scene: Scene) -> None:
    scene.store.is_away = True
    signal: Signal[Response] = Signal()
    scene.action.script = [signal]
    job = NewJob("large", ROUTE, "", "caller", replace(CALL, length=4), TERMS, None)
    now(MemoryStore.put_piece(scene.store, "large", REQUEST, 0, b"four"))
    submitted: Submission = now(scene.store.submit(job, Limits(9, 9, 1), scene.wall()))
    assert submitted.claim is not None
    scene.runner.run(submitted.claim)
    sink = Sink()
    body = scene.action.asked[0].request.body
    assert not isinstance(body, bytes)
    body.attach(sink)
    scene.clock.advance(AGAIN)
    assert (sink.taken, sink.ends) == ([], [])
    scene.store.is_away = False
    scene.clock.advance(AGAIN)
    assert (sink.taken, sink.ends) == ([b"four"], ["whole"])


def test_an_answer_that_broke_off_says_why(scene: Scene) -> None:
    body = Body(b"half")
    scene.action.script = [answer(body)]
    identity = scene.submit("POST", concurrency=1)
    scene.action.asked[0].reason = "read-timeout"
    body.fail()
    assert scene.state(identity) == (State.FAILED, "timeout", 1)


@pytest.mark.parametrize("is_held", [True, False])
def test_one_past_the_bound_fails_the_job(scene: Scene, is_held: bool) -> None:
    scene.routes[ROUTE] = scene.runnable(max_result=3)
    body = Body(b"four")
    scene.action.script = [answer(b"four" if is_held else body)]
    assert scene.state(scene.submit(concurrency=1)) == (State.FAILED, "result-too-large", 1)


def test_what_may_be_made_again_is_with_growing_delays(scene: Scene) -> None:
    gone = [UpstreamFailure(503, "no-target"), UpstreamFailure(502, "connect-failed")]
    scene.action.script = [*gone, Refusal(503, "too-many")]
    identity = scene.submit(concurrency=1)
    states = [scene.state(identity)]
    for delay in (BACKOFF * 0.5, BACKOFF):
        scene.clock.advance(delay + 0.01)
        states.append(scene.state(identity))
    assert states == [
        (State.QUEUED, "", 1),
        (State.QUEUED, "", 2),
        (State.FAILED, "too-many", 3),
    ]


def test_what_may_have_been_done_is_not_made_again(scene: Scene) -> None:
    scene.action.script = [UpstreamFailure(502, "reset", wrote=True)]
    assert scene.state(scene.submit("POST", concurrency=1)) == (State.FAILED, "reset", 1)


def test_a_run_ends_when_its_time_is_over(scene: Scene) -> None:
    scene.action.script = [Signal()]
    identity = scene.submit("POST", concurrency=1)
    scene.clock.advance(60)
    assert scene.state(identity) == (State.FAILED, "timeout", 1)
    assert len(scene.action.finished) == 1


def test_a_fault_of_an_action_fails_the_job_and_is_told(
    scene: Scene, logged_failures: LoggedFailures
) -> None:
    scene.action.script = [RuntimeError("out of luck")]
    assert scene.state(scene.submit(concurrency=1)) == (State.FAILED, "bad-response", 1)
    assert len(logged_failures.flush(RuntimeError)) == 1


def test_a_job_whose_route_went_between_claim_and_run_says_so(scene: Scene) -> None:
    held = scene.routes.pop(ROUTE)
    assert scene.state(scene.submit(concurrency=1)) == (State.FAILED, "route-gone", 1)
    scene.routes[ROUTE] = held


def test_a_refusal_that_is_returned_is_no_answer_of_the_upstream(scene: Scene) -> None:
    scene.action.script = [Response(503, None, b"{}", reason="no-target")]
    assert scene.state(scene.submit("POST", concurrency=1)) == (State.QUEUED, "", 1)


def test_what_waits_for_a_route_that_is_gone_is_ended(scene: Scene) -> None:
    scene.runner.configure({ROUTE: 0})
    identity = scene.submit("GET")
    scene.runner.configure({})
    scene.clock.advance(SWEEP)
    assert scene.state(identity) == (State.FAILED, "route-gone", 0)


def test_what_waits_for_a_route_that_others_have_already_is_left(scene: Scene) -> None:
    scene.runner.configure({ROUTE: 0})
    identity = scene.submit("GET")
    scene.runner.configure({})
    scene.runner.expect([ROUTE])
    scene.clock.advance(SWEEP)
    assert scene.state(identity) == (State.QUEUED, "", 0)
    scene.runner.expect(())
    scene.clock.advance(SWEEP)
    assert scene.state(identity) == (State.FAILED, "route-gone", 0)


def test_a_cancelled_job_has_its_call_cut(scene: Scene) -> None:
    scene.action.script = [Signal()]
    identity = scene.submit(concurrency=1)
    now(scene.store.cancel(identity, scene.wall()))
    scene.clock.advance(0)
    assert scene.runner.running == 0
    assert scene.state(identity)[0] == State.CANCELLED
    assert len(scene.action.finished) == 1


def test_a_change_that_is_none_of_its_own_cuts_no_call(scene: Scene) -> None:
    scene.action.script = [answer(), Signal()]
    scene.submit("GET", concurrency=1)
    identity = scene.submit("GET", concurrency=1, retries=1)
    (run,) = scene.runner._runs.values()
    assert run.claim.fence != run.claim.job.attempts
    scene.runner._look_after(run)
    scene.clock.advance(0)
    assert scene.state(identity) == (State.RUNNING, "", 1)


def test_a_store_that_is_away_is_told_later(scene: Scene) -> None:
    scene.action.script = [answer()]
    scene.store.is_away = True
    identity = scene.submit(concurrency=1)
    states = [scene.job(identity).state]
    scene.store.is_away = False
    scene.clock.advance(AGAIN)
    states.append(scene.job(identity).state)
    assert states == [State.RUNNING, State.SUCCEEDED]


def drained(scene: Scene, timeout: float) -> list[None]:
    """Begin to drain, and return where the end shows."""
    over: list[None] = []
    draining: Deferred[None] = ensureDeferred(scene.runner.drain(timeout))
    draining.addCallback(over.append)
    return over


def pass_time(scene: Scene, seconds: float) -> None:
    scene.clock.pump([SWEEP / 10] * int(seconds / (SWEEP / 10)))


def test_a_runner_that_ends_finishes_what_it_has_and_takes_nothing_more(scene: Scene) -> None:
    signal: Signal[Response] = Signal()
    scene.action.script = [signal]
    identity = scene.submit(concurrency=1)
    with capturedLogs() as logged:
        over = drained(scene, 30.0)
    assert [formatEvent(event) for event in logged] == ["calls of jobs under way: 1; 30 s to end"]
    waiting = scene.submit("GET")
    pass_time(scene, 5)
    assert (over, scene.job(waiting).state) == ([], State.QUEUED)
    signal.set(answer())
    pass_time(scene, 1)
    assert (over, scene.job(identity).state) == ([None], State.SUCCEEDED)


@pytest.mark.parametrize(
    ("delivery", "after"),
    [
        (Delivery.AT_LEAST_ONCE, (State.QUEUED, "", 1)),
        (Delivery.AT_MOST_ONCE, (State.FAILED, "interrupted", 1)),
    ],
)
def test_what_is_left_goes_as_its_delivery_says(
    scene: Scene, delivery: Delivery, after: tuple[State, str, int]
) -> None:
    scene.action.script = [Signal()]
    identity = scene.submit(concurrency=1, delivery=delivery)
    over = drained(scene, 2.0)
    pass_time(scene, 4)
    assert over == [None]
    assert scene.state(identity) == after


@pytest.mark.parametrize("has_answered", [True, False])
def test_a_store_that_stays_away_keeps_no_runner_from_its_end(scene: Scene, has_answered: bool) -> None:
    signal: Signal[Response] = Signal()
    scene.action.script = [signal]
    identity = scene.submit(concurrency=1)
    scene.store.is_away = True
    if has_answered:
        signal.set(answer())
    over = drained(scene, 2.0)
    with capturedLogs() as logged:
        pass_time(scene, 4)
    assert over == [None]
    assert scene.job(identity).state is State.RUNNING
    said = [formatEvent(event) or "" for event in logged]
    assert [text for text in said if "did not hear in time" in text and identity in text]


def test_an_end_that_is_heard_before_it_is_confirmed_is_no_reason_to_cut(scene: Scene) -> None:
    confirmed: Signal[None] = Signal()
    scene.store.confirming = confirmed
    scene.action.script = [answer()]
    identity = scene.submit(concurrency=1)
    scene.clock.advance(0)
    confirmed.set(None)
    assert scene.job(identity).state is State.SUCCEEDED
    assert scene.listener.ends() == ["succeeded"]


def test_who_ends_ends_no_jobs_of_routes_that_he_does_not_know(scene: Scene) -> None:
    """A retiring process may go on for minutes, while its successors have other routes."""
    scene.action.script = [Signal()]
    scene.submit(concurrency=1)
    scene.clock.advance(SWEEP)
    drained(scene, 30.0)
    scene.clock.advance(SWEEP)
    assert scene.store.swept[-2:] == [[ROUTE], None]


def test_what_is_claimed_when_it_ends_is_given_back_before_it_is_over(scene: Scene) -> None:
    scene.runner.configure({ROUTE: 0})
    identity = scene.submit()
    answering: Signal[None] = Signal()
    scene.store.answering = answering
    scene.runner.configure({ROUTE: 1})
    over = drained(scene, 30.0)
    pass_time(scene, 1)
    assert (over, scene.job(identity).state) == ([], State.RUNNING)
    answering.set(None)
    pass_time(scene, 1)
    assert (over, scene.job(identity).state, scene.action.asked) == ([None], State.QUEUED, [])


def test_signs_of_life_are_given_as_long_as_it_runs(scene: Scene) -> None:
    before = len(scene.store.renewed)
    scene.clock.pump([1.0] * int(3 * RENEW))
    scene.runner.stop()
    scene.clock.pump([1.0] * int(3 * RENEW))
    assert len(scene.store.renewed) - before == 3


def test_a_claim_of_no_route_is_not_asked_for(scene: Scene) -> None:
    scene.runner.configure({})
    asked = len(scene.store.asked)
    scene.runner.wake()
    assert len(scene.store.asked) == asked


# what is told, and what is written down


def written(scene: Scene) -> list[tuple[int, int, str]]:
    """Return number, status and reason of each run that was written down."""
    found = []
    for exchange in scene.observed:
        assert isinstance(exchange, RunExchange)
        found.append((exchange.run, exchange.status, exchange.reason))
    return found


def test_a_run_is_written_down_whole(scene: Scene) -> None:
    signal: Signal[Response] = Signal()
    scene.action.script = [signal]
    identity = scene.submit(concurrency=1)
    scene.clock.advance(2)
    signal.set(answer(b"four", 201))
    (exchange,) = scene.observed
    assert isinstance(exchange, RunExchange)
    assert (exchange.job, exchange.run, exchange.request_id) == (identity, 1, CALL.request_id)
    assert (exchange.status, exchange.reason) == (201, "")
    assert (exchange.bytes_in, exchange.bytes_out) == (CALL.length, 4)
    assert (exchange.finished - exchange.started, exchange.opened) == (2.0, 1e9)
    assert exchange.route == ROUTE


def test_a_job_that_is_run_again_is_told_of_run_by_run_and_ends_once(scene: Scene) -> None:
    scene.action.script = [answer(status=503), UpstreamFailure(502, "connect-timeout"), answer()]
    scene.submit("GET", concurrency=1)
    scene.clock.advance(BACKOFF * 0.5)
    scene.clock.advance(BACKOFF)
    assert scene.listener.heard == [
        *(("began", ROUTE, 0.0), ("ran", ROUTE, 0.0)),
        *(("began", ROUTE, None), ("ran", ROUTE, 0.0)),
        *(("began", ROUTE, None), ("ran", ROUTE, 0.0)),
        ("finished", ROUTE, "succeeded"),
    ]
    assert written(scene) == [(1, 503, ""), (2, 0, "connect-timeout"), (3, 200, "")]


def test_how_long_a_job_waited_is_told_when_it_is_run_first(scene: Scene) -> None:
    scene.runner.configure({ROUTE: 0})
    scene.submit()
    scene.clock.advance(7)
    scene.action.script = [Signal()]
    scene.runner.configure({ROUTE: 1})
    scene.clock.advance(0)
    assert scene.listener.heard == [("began", ROUTE, 7.0)]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (UpstreamFailure(502, "reset", wrote=True), (0, "reset")),
        (Refusal(400, "no-upgrade"), (0, "no-upgrade")),
        (Response(503, None, b"{}", reason="bad-response"), (0, "bad-response")),
        (answer(b"x" * ((1 << 20) + 1)), (200, "result-too-large")),
    ],
)
def test_a_run_without_a_result_says_why(scene: Scene, script: Any, told: tuple[int, str]) -> None:
    scene.action.script = [script]
    scene.submit(concurrency=1)
    assert written(scene) == [(1, *told)]
    assert len(scene.listener.ends()) == 1


def test_a_run_that_took_too_long_says_so(scene: Scene) -> None:
    scene.action.script = [Signal()]
    scene.submit(concurrency=1)
    scene.clock.advance(60)
    assert written(scene) == [(1, 0, "timeout")]
    assert scene.listener.heard[1:] == [("ran", ROUTE, 60.0), ("finished", ROUTE, "timeout")]


def test_what_broke_off_counts_its_bytes(scene: Scene) -> None:
    body = Body()
    scene.action.script = [answer(body)]
    scene.submit(concurrency=1)
    body.receive(b"12345")
    body.fail()
    assert (written(scene), scene.observed[0].bytes_out) == ([(1, 200, "truncated")], 5)
    assert scene.listener.ends() == ["reset"]


def test_the_end_of_a_cancelled_job_is_told_by_who_cancelled_it(scene: Scene) -> None:
    scene.action.script = [Signal()]
    identity = scene.submit(concurrency=1)
    now(scene.store.cancel(identity, scene.wall()))
    scene.clock.advance(0)
    assert written(scene) == [(1, 0, "job-cancelled")]
    assert scene.listener.ends() == []


def test_what_is_found_out_too_late_is_not_told(scene: Scene) -> None:
    signal: Signal[Response] = Signal()
    scene.action.script = [signal]
    scene.submit(concurrency=1)
    (run,) = scene.runner._runs.values()
    assert now(scene.store.finish(run.claim, End(State.FAILED, reason="interrupted"), scene.wall()))
    scene.clock.advance(0)
    assert written(scene) == [(1, 0, "interrupted")]
    assert scene.listener.ends() == []


def test_a_change_that_is_seen_after_the_call_keeps_nobody_from_telling_its_end(scene: Scene) -> None:
    scene.action.script = [answer()]
    scene.store.is_away = True
    identity = scene.submit(concurrency=1)
    (run,) = scene.runner._runs.values()
    now(scene.store.cancel(identity, scene.wall()))
    scene.store.is_away = False
    scene.runner._look_after(run)
    scene.clock.advance(AGAIN)
    assert scene.runner.running == 0
    assert scene.listener.ends() == []


def test_what_time_has_ended_is_told(scene: Scene) -> None:
    scene.runner.configure({ROUTE: 0})
    scene.submit(queue_timeout=1.0)
    scene.clock.advance(1)
    scene.clock.advance(SWEEP)
    scene.submit("GET")
    scene.runner.configure({})
    scene.clock.advance(SWEEP)
    assert scene.listener.ends() == ["expired-in-queue", "route-gone"]


@pytest.mark.parametrize(
    ("delivery", "ends"), [(Delivery.AT_LEAST_ONCE, []), (Delivery.AT_MOST_ONCE, ["interrupted"])]
)
def test_what_a_runner_that_ends_gives_up_is_told(scene: Scene, delivery: Delivery, ends: list[str]) -> None:
    scene.action.script = [Signal()]
    scene.submit(concurrency=1, delivery=delivery)
    drained(scene, 1.0)
    pass_time(scene, 3)
    assert written(scene) == [(1, 0, "interrupted")]
    assert scene.listener.ends() == ends


@pytest.mark.parametrize(("callback", "calls"), [("https://client.example/hook", 1), ("", 0)])
def test_an_end_that_somebody_wants_to_hear_of_is_said_at_once(
    scene: Scene, callback: str, calls: int
) -> None:
    called: list[None] = []
    scene.runner.on_callback = lambda: called.append(None)
    scene.action.script = [answer()]
    scene.submit(concurrency=1, callback=callback)
    assert len(called) == calls
