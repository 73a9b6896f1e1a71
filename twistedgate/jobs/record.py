"""A job as whoever keeps it in memory changes it; what others see of it is a ``Job``, made when they ask.

Of a job that has ended, its call and the head of its answer are kept as plain tuples: a tuple of strings is
nothing to Python's collector, which otherwise stops for a quarter of a second to look through fifty thousand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twistedgate.jobs.job import MOST_RUNS, Call, Delivery, Head, Job, NewJob, State


def _plain(whole: Call | Head) -> tuple[Any, ...]:
    """Return the fields of a call or a head as a tuple."""
    return tuple([getattr(whole, name) for name in whole.__slots__])


class Record:
    """A job's state, and its small bodies."""

    __slots__ = (
        "_call",
        "_plain_call",
        "_plain_head",
        "attempts",
        "body",
        "callback",
        "caller",
        "cost",
        "due",
        "fence",
        "fingerprint",
        "finished",
        "id",
        "is_emptied",
        "is_forgotten",
        "key",
        "number",
        "owner",
        "reason",
        "result",
        "route",
        "runner",
        "started",
        "state",
        "status",
        "submitted",
        "terms",
        "version",
    )

    def __init__(self, new: NewJob, number: int, now: float) -> None:
        # not the new job itself, which would hold its body and its credentials for ever
        self.id = new.id
        self.route = new.route
        self.owner = new.owner
        self.caller = new.caller
        self.terms = new.terms
        self.key = new.key
        self.fingerprint = new.fingerprint
        self.callback = new.callback
        self.number = number
        """Grows with each job that comes."""
        self.submitted = now
        self.due = now
        self._call: Call | None = new.call
        self._plain_call: tuple[Any, ...] = ()
        self.body = new.body
        self.state = State.QUEUED
        self.started: float | None = None
        self.finished: float | None = None
        self.attempts = 0
        self.status: int | None = None
        self.reason = ""
        self._plain_head: tuple[Any, ...] = ()
        self.result: bytes | None = None
        self.is_forgotten = False
        self.runner = ""
        self.version = 1
        self.fence = 0
        """That of the run under way, 0 for none."""
        self.cost = 0
        """Bytes of memory that it is held to take."""
        self.is_emptied = False
        """Whether only its name is left."""

    @property
    def call(self) -> Call:
        """The call, without its credentials once it is over."""
        return Call(*self._plain_call) if self._call is None else self._call

    @property
    def head(self) -> Head | None:
        """The head of the answer, while it is kept."""
        return Head(*self._plain_head) if self._plain_head else None

    @head.setter
    def head(self, head: Head | None) -> None:
        self._plain_head = () if head is None else _plain(head)

    def job(self, now: float) -> Job:
        """Return what is known of it."""
        return Job(
            id=self.id,
            route=self.route,
            owner=self.owner,
            caller=self.caller,
            call=self.call,
            terms=self.terms,
            state=self.state,
            submitted=self.submitted,
            started=self.started,
            finished=self.finished,
            attempts=self.attempts,
            due=self.due,
            status=self.status,
            reason=self.reason,
            head=self.head,
            is_forgotten=self.is_forgotten,
            runner=self.runner,
            key=self.key,
            fingerprint=self.fingerprint,
            callback=self.callback,
            version=self.version,
            is_gone=self.is_gone(now),
        )

    @property
    def outlives_runner(self) -> bool:
        """Whether it is queued again if whoever runs it dies."""
        return self.terms.delivery is Delivery.AT_LEAST_ONCE and self.attempts < MOST_RUNS

    @property
    def queue_ends(self) -> float:
        """When it has waited too long, as ``Job.queue_ends`` says."""
        return max(self.submitted, self.due) + self.terms.queue_timeout

    def is_gone(self, now: float) -> bool:
        """Whether it is past its ttl."""
        return self.finished is not None and now >= self.finished + self.terms.ttl

    def is_unknown(self, now: float) -> bool:
        """Whether it was gone for as long as it was kept."""
        return self.finished is not None and now >= self.finished + 2 * self.terms.ttl

    def begin(self, runner: str, fence: int, now: float) -> None:
        """Let a run begin."""
        self.state = State.RUNNING
        self.runner = runner
        self.fence = fence
        self.started = now
        self.attempts += 1
        self.version += 1

    def wait(self, due: float, now: float) -> None:
        """Queue it again, to be run from ``due`` on."""
        self.state = State.QUEUED
        self.runner = ""
        self.fence = 0
        self.due = max(due, now)
        self._call = self.call
        self.finished = None
        self.reason = ""
        self.version += 1

    def end(self, state: State, reason: str, now: float) -> None:
        """Let it be over; its credentials go."""
        self.state = state
        self.reason = reason
        self.runner = ""
        self.fence = 0
        self.finished = now
        self._plain_call = _plain(self.call.without_secrets())
        self._call = None
        self.version += 1

    def forget(self) -> None:
        """Throw away what its owner does not want any more."""
        self.is_forgotten = True
        self.head = self.result = self.body = None
        self.version += 1

    def empty(self) -> None:
        """Leave only its name."""
        self.is_emptied = True
        self.head = self.result = self.body = None
        self._plain_call = _plain(replace(self.call, query="", headers=()))
        self._call = None
