"""A store as simple as can be: every job in one list, searched from end to end for each question.

It says what a store has to answer; it knows nothing of how one is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.stores.world import ROUTE
from twistedgate.jobs.job import FINAL, MOST_RUNS, Delivery, Limits, NewJob, State, Verdict

HOUR = 3600.0


@dataclass
class Known:
    """What the model knows of a job."""

    new: NewJob
    number: int
    submitted: float
    state: State = State.QUEUED
    attempts: int = 0
    due: float = 0.0
    finished: float | None = None
    reason: str = ""
    result: bytes | None = None
    is_forgotten: bool = False
    callback: tuple[float, int] | None = None
    """When it is told next, and the tries so far."""

    def is_gone(self, now: float) -> bool:
        """Whether it is past its ttl."""
        return self.finished is not None and now >= self.finished + self.new.terms.ttl

    def is_unknown(self, now: float) -> bool:
        """Whether it is past twice its ttl."""
        return self.finished is not None and now >= self.finished + 2 * self.new.terms.ttl

    def end(self, state: State, now: float, *, reason: str = "", result: bytes | None = None) -> None:
        """Let it be over."""
        self.state, self.finished, self.reason, self.result = state, now, reason, result
        self.callback = (now, 0) if self.new.callback else None


class Model:
    """What every store must answer."""

    def __init__(self) -> None:
        self.jobs: dict[str, Known] = {}

    def of(self, route: str, state: State) -> list[Known]:
        """Return the jobs of a route that are in a state."""
        return [job for job in self.jobs.values() if job.new.route == route and job.state is state]

    def claimable(self, route: str, now: float) -> list[Known]:
        """Return what may be claimed of a route, in order."""
        due = [job for job in self.of(route, State.QUEUED) if job.due <= now]
        return sorted(due, key=lambda job: (-job.new.terms.priority, job.number))

    def submit(self, new: NewJob, limits: Limits, now: float) -> tuple[set[Verdict], str | None]:
        """Hand a job in; return which answers are right, and the id of the job that is given back."""
        for known in self.jobs.values():
            was = known.new
            is_same = new.key and (was.route, was.caller, was.key) == (new.route, new.caller, new.key)
            if is_same and not known.is_gone(now):
                is_replay = was.fingerprint == new.fingerprint
                return {Verdict.REPLAYED if is_replay else Verdict.MISMATCH}, was.id if is_replay else None
        queued = self.of(new.route, State.QUEUED)
        before = [
            job for job in self.claimable(new.route, now) if job.new.terms.priority >= new.terms.priority
        ]
        starts = len(self.of(new.route, State.RUNNING)) < limits.concurrency and not before
        full = set()
        if not starts and len(queued) >= limits.max_queued:
            full.add(Verdict.QUEUE_FULL)
        own = [job for job in queued if job.new.caller == new.caller]
        if not starts and len(own) >= limits.max_queued_per_caller:
            full.add(Verdict.CALLER_FULL)
        if full:
            return full, None
        known = Known(new, len(self.jobs), now, due=now)
        self.jobs[new.id] = known
        if starts:
            self.begin(known)
        return {Verdict.ACCEPTED}, new.id

    def begin(self, job: Known) -> None:
        """Let a job run."""
        job.state = State.RUNNING
        job.attempts += 1

    def claim(self, wanted: int, concurrency: int, now: float) -> list[str]:
        """Let jobs of the one route run, and return their ids."""
        free = min(wanted, concurrency - len(self.of(ROUTE, State.RUNNING)))
        taken = self.claimable(ROUTE, now)[: max(0, free)]
        for job in taken:
            self.begin(job)
        return [job.new.id for job in taken]

    def put_back(self, job: Known, due: float) -> None:
        """Queue a job again."""
        job.state, job.due = State.QUEUED, due

    def sweep(self, dead: set[str], now: float) -> set[str]:
        """Let time act, and the death of those who ran the ``dead`` jobs; return what ended."""
        ended = set()
        for job in self.jobs.values():
            if job.state is State.QUEUED and now >= job.due + job.new.terms.queue_timeout:
                job.end(State.FAILED, now, reason="expired-in-queue")
                ended.add(job.new.id)
            elif (
                job.new.id in dead
                and job.new.terms.delivery is Delivery.AT_LEAST_ONCE
                and job.attempts < MOST_RUNS
            ):
                self.put_back(job, now)
            elif job.new.id in dead:
                job.end(State.FAILED, now, reason="interrupted")
                ended.add(job.new.id)
        return ended

    def due_callbacks(self, now: float) -> dict[str, int]:
        """Take what is due: the tries so far by id."""
        due = {}
        for job in self.jobs.values():
            if job.callback is not None and job.callback[0] <= now:
                due[job.new.id] = job.callback[1]
                job.callback = (now + 60, job.callback[1] + 1)
        return due

    def listed(self, owner: str | None, now: float) -> list[str]:
        """Return the ids of jobs, newest first."""
        jobs = [job for job in self.jobs.values() if owner in {None, job.new.owner} and not job.is_gone(now)]
        return [job.new.id for job in sorted(jobs, key=lambda job: -job.number)]

    def unfinished(self) -> list[Known]:
        """Return what is not over."""
        return [job for job in self.jobs.values() if job.state not in FINAL]
