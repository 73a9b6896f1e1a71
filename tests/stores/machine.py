"""Anything that may happen to a store, in any order: it answers as the model does.

All durations end in five and time passes in tens, so that a store with a clock of its own agrees with the
model; what a store does between a deadline and the next sweep is for the other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from tests.stores.model import Known, Model
from tests.stores.world import ROUTE, Keeping, World, new_job, room
from twistedgate.jobs.job import (
    NEXT,
    Callback,
    Claim,
    Counts,
    Delivery,
    End,
    Head,
    Limits,
    State,
    Terms,
    Verdict,
)
from twistedgate.jobs.store import RESULT

T = TypeVar("T")

TERMS = st.builds(
    Terms,
    delivery=st.sampled_from(Delivery),
    ttl=st.sampled_from([25.0, 25.0, 95.0]),
    queue_timeout=st.sampled_from([25.0, 905.0]),
    retries=st.just(3),
    priority=st.sampled_from([0, 0, 1]),
)
LIMITS = st.builds(
    Limits,
    max_queued=st.sampled_from([2, 100, 100]),
    max_queued_per_caller=st.sampled_from([1, 100, 100]),
    concurrency=st.sampled_from([0, 1, 3]),
)
TENS = st.sampled_from([10.0, 20.0, 30.0, 70.0])


@dataclass(frozen=True)
class Run:
    """A claim, as the model remembers it."""

    claim: Claim
    runner: str
    attempt: int


class StoreMachine(RuleBasedStateMachine):
    """Clients, runners, operators and time, on one store and one model of it."""

    def __init__(self, make_world: Callable[[], World]) -> None:
        super().__init__()
        self.world = make_world()
        self.model = Model()
        self.keeping = [Keeping(self.world, self._run(self.world.open("r0")))]
        if self.world.is_shared:
            self.keeping.append(Keeping(self.world, self._run(self.world.open("r1"))))
        self.runners = len(self.keeping)
        self.running: dict[str, Run] = {}
        """The runs that may say something, by job."""
        self.telling: dict[str, Callback] = {}
        """The callbacks that may be reported of, by job."""
        self.states: dict[str, State] = {}

    runs = Bundle("runs")
    jobs = Bundle("jobs")
    told = Bundle("told")

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.world.run(coroutine)

    def _at(self, which: int) -> Keeping:
        """Return one of the runners."""
        return self.keeping[which % len(self.keeping)]

    def _is_valid(self, run: Run) -> bool:
        """Whether a run may still say something."""
        return self.running.get(run.claim.job.id) is run

    def _began(self, which: int, claim: Claim) -> Run:
        attempt = self.model.jobs[claim.job.id].attempts
        assert claim.job.attempts == attempt
        run = Run(claim, self._at(which).store.runner, attempt)
        self.running[claim.job.id] = run
        return run

    @rule(
        target=jobs,
        which=st.integers(0, 1),
        terms=TERMS,
        limits=LIMITS,
        caller=st.sampled_from(["key-auth:a/alice", "key-auth:a/bob"]),
        key=st.sampled_from(["", "", "k"]),
        fingerprint=st.sampled_from(["f", "f", "f", "g"]),
        callback=st.sampled_from(["", "https://client.example/hook"]),
    )
    def submit(self, which: int, terms: Terms, limits: Limits, **named: str) -> Any:
        """Somebody hands a job in."""
        new = new_job(terms=terms, **named)
        submission = self._run(self._at(which).store.submit(new, limits, self.world.now))
        verdicts, given = self.model.submit(new, limits, self.world.now)
        assert submission.verdict in verdicts
        if submission.verdict is not Verdict.ACCEPTED:
            assert submission.claim is None
            assert given is None or (submission.job is not None and submission.job.id == given)
            return multiple()
        known = self.model.jobs[new.id]
        assert (submission.claim is not None) == (known.state is State.RUNNING)
        if submission.claim is not None:
            assert submission.claim.body == new.body
            self._began(which, submission.claim)
        return new.id

    @rule(target=runs, which=st.integers(0, 1), wanted=st.integers(0, 3), concurrency=st.integers(1, 4))
    def claim(self, which: int, wanted: int, concurrency: int) -> Any:
        """A runner takes what there is."""
        claims = self._run(self._at(which).claim(room(wanted, concurrency)))
        assert [claim.job.id for claim in claims] == self.model.claim(wanted, concurrency, self.world.now)
        assert all(claim.body == self.model.jobs[claim.job.id].new.body for claim in claims)
        return multiple(*[self._began(which, claim) for claim in claims])

    @precondition(lambda self: self.running)
    @rule(target=runs, choice=st.integers(0, 100))
    def recall(self, choice: int) -> Run:
        """One of the runs under way is spoken of from now on."""
        under_way = list(self.running.values())
        return under_way[choice % len(under_way)]

    @rule(run=runs, is_answer=st.booleans(), is_large=st.booleans())
    def finish(self, run: Run, is_answer: bool, is_large: bool) -> None:
        """A run ends, if it is still one."""
        job, body = run.claim.job.id, f"answer {run.attempt}".encode()
        is_valid = self._is_valid(run)
        end = End(State.FAILED, reason="reset")
        if is_answer:
            is_large = is_large and is_valid
            if is_large:
                self._run(self._of(run).put_piece(job, RESULT, 0, body))
            end = End(State.SUCCEEDED, Head(200, (), len(body)), None if is_large else body)
        assert self._run(self._of(run).finish(run.claim, end, self.world.now)) is is_valid
        if is_valid:
            del self.running[job]
            result = body if is_answer else None
            self.model.jobs[job].end(end.state, self.world.now, reason=end.reason, result=result)

    @rule(run=runs, wait=st.sampled_from([0.0, 15.0, 65.0]))
    def put_back(self, run: Run, wait: float) -> None:
        """A run did not help, and the job is to be run again."""
        due, is_valid = self.world.now + wait, self._is_valid(run)
        assert self._run(self._of(run).put_back(run.claim, due, self.world.now)) is is_valid
        if is_valid:
            del self.running[run.claim.job.id]
            self.model.put_back(self.model.jobs[run.claim.job.id], due)

    def _of(self, run: Run) -> Any:
        """Return the store of who runs it, or of another when he is dead."""
        for keeping in self.keeping:
            if keeping.store.runner == run.runner:
                return keeping.store
        return self.keeping[0].store

    @rule(job=jobs, which=st.integers(0, 1))
    def cancel(self, job: str, which: int) -> None:
        """Somebody does not want a job any more."""
        found = self._run(self._at(which).store.cancel(job, self.world.now))
        known = self.model.jobs[job]
        if known.finished is None:
            known.end(State.CANCELLED, self.world.now)
            self.running.pop(job, None)
        if not known.is_gone(self.world.now):
            assert found is not None
            assert found.state is known.state

    @rule(job=jobs, which=st.integers(0, 1))
    def forget(self, job: str, which: int) -> None:
        """Somebody does not want a result any more."""
        self._run(self._at(which).store.forget(job, self.world.now))
        known = self.model.jobs[job]
        if known.finished is not None and not known.is_gone(self.world.now):
            known.is_forgotten, known.result = True, None

    @rule(job=jobs, which=st.integers(0, 1))
    def retry(self, job: str, which: int) -> None:
        """An operator sends a job again."""
        self._run(self._at(which).store.retry(job, self.world.now))
        known = self.model.jobs[job]
        can_retry = known.state in {State.FAILED, State.CANCELLED} and not known.is_forgotten
        if can_retry and not known.is_gone(self.world.now):
            known.state, known.due, known.reason = State.QUEUED, self.world.now, ""
            known.finished = known.callback = None
            self.telling.pop(job, None)
            self.states[job] = State.QUEUED

    @rule(seconds=TENS, which=st.integers(0, 1))
    def pass_time(self, seconds: float, which: int) -> None:
        """Time passes, and acts."""
        self._run(self.world.advance(seconds))
        swept = self._run(self._at(which).store.sweep(None, self.world.now))
        assert set(swept.ids) == self.model.sweep(set(), self.world.now)

    @precondition(lambda self: self.world.is_shared)
    @rule(which=st.integers(0, 1))
    def crash(self, which: int) -> None:
        """A runner dies, and another takes its place."""
        dying = self.keeping.pop(which)
        self.keeping.append(Keeping(self.world, self._run(self.world.open(f"r{self.runners}"))))
        self.runners += 1
        self._run(self.world.kill(dying.store))
        dead = {job for job, run in self.running.items() if run.runner == dying.store.runner}
        swept = self._run(self.keeping[0].store.sweep(None, self.world.now))
        assert set(swept.ids) == self.model.sweep(dead, self.world.now)
        assert swept.interrupted + swept.put_back == len(dead)
        for job in dead:
            del self.running[job]

    @rule(target=told, which=st.integers(0, 1))
    def tell(self, which: int) -> Any:
        """Somebody takes the callbacks that are due."""
        due = self._run(self._at(which).store.due_callbacks(100, self.world.now))
        assert {callback.job.id: callback.attempts for callback in due} == self.model.due_callbacks(
            self.world.now
        )
        for callback in due:
            self.telling[callback.job.id] = callback
            assert callback.job.state is self.model.jobs[callback.job.id].state
        return multiple(*due)

    @rule(callback=told, wait=st.sampled_from([None, 5.0, 305.0]))
    def report(self, callback: Callback, wait: float | None) -> None:
        """Whoever told somebody says how it was."""
        next_try = None if wait is None else self.world.now + wait
        known = self.model.jobs[callback.job.id]
        self._run(self.keeping[0].store.callback_ended(callback, next_try, self.world.now))
        if self.telling.get(callback.job.id) is callback:
            del self.telling[callback.job.id]
            known.callback = None if next_try is None else (next_try, callback.attempts + 1)

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """No job is lost, none is told otherwise than it is, and no result is another's."""
        for job, known in self.model.jobs.items():
            self._agrees(job, known)
        counts = self._run(self.keeping[0].counts())
        queued, running = self.model.of(ROUTE, State.QUEUED), self.model.of(ROUTE, State.RUNNING)
        assert (counts.queued, counts.running) == (len(queued), len(running))
        assert (counts.oldest is None) == (not queued)
        assert counts != Counts() or not self.model.unfinished()

    @invariant()
    def lists_are_as_the_model_says(self) -> None:
        """Each sees his own jobs, and an operator all."""
        for owner in ("key-auth:a/alice", None):
            page = self._run(self.keeping[-1].store.list_jobs(owner, None, 1000, "", self.world.now))
            assert [job.id for job in page.jobs] == self.model.listed(owner, self.world.now)

    def _agrees(self, job: str, known: Known) -> None:
        """Compare one job."""
        found = self._run(self.keeping[-1].store.find(job, self.world.now))
        if known.is_unknown(self.world.now):
            assert found is None
            return
        assert found is not None
        assert (found.state, found.attempts, found.reason) == (known.state, known.attempts, known.reason)
        assert found.is_gone == known.is_gone(self.world.now)
        before = self.states.get(job, found.state)
        assert found.state is before or found.state in self._reachable(before)
        self.states[job] = found.state
        if not found.is_gone:
            assert found.is_forgotten == known.is_forgotten
            result = self._run(self.keeping[0].result(job)) if found.is_final else None
            assert result == known.result

    def _reachable(self, state: State) -> set[State]:
        """Return the states that may follow in one step of the machine, which may be several of a job."""
        return {after for between in NEXT[state] for after in (between, *NEXT[between])}

    def teardown(self) -> None:
        """End."""
        self._run(self.world.close())
