"""A job: a call that was accepted now and is answered later; its states, and what is known of it.

queued -> running -> succeeded | failed | cancelled, and running -> queued where it is run again; queued ->
failed | cancelled without ever running.  What is finished stays as it is, except that its result may be
forgotten.  Times are seconds since 1970, by the clock of whoever keeps the job.
"""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass, field, replace
from typing import Final

INLINE = 256 * 1024
"""Bytes of a body that are kept with the job itself; a larger one is kept in pieces of this size."""


class State(enum.StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


SECRETS = frozenset((b"authorization", b"cookie"))
"""Fields that are kept only where a route names them, and only until the job ends."""

FINAL = frozenset((State.SUCCEEDED, State.FAILED, State.CANCELLED))

NEXT: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset((State.RUNNING, State.FAILED, State.CANCELLED)),
    State.RUNNING: frozenset((State.QUEUED, *FINAL)),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""What may follow on each state."""


MOST_RUNS: Final = 20
"""Runs after which a job is not queued again because whoever ran it died: it may be what kills them."""


class Delivery(enum.StrEnum):
    """What becomes of a call under way when whoever made it dies."""

    AT_MOST_ONCE = "at-most-once"
    AT_LEAST_ONCE = "at-least-once"


@dataclass(frozen=True, slots=True)
class Call:
    """The request as it is sent to the upstream, its body apart."""

    method: str
    path: str
    """In its canonical form."""
    query: str
    """With its question mark, or empty."""
    authority: str
    scheme: str
    headers: tuple[tuple[bytes, bytes], ...]
    """Fields as they were written, in order; those that are not to be stored are not here."""
    client: str
    """The client's address, as believed."""
    listener: str
    request_id: str
    consumer: str
    groups: tuple[str, ...] = ()
    length: int = 0
    """Bytes of the body."""

    def without_secrets(self) -> Call:
        """Return the call as it is kept once its job has ended."""
        kept = tuple(field for field in self.headers if field[0].lower() not in SECRETS)
        return self if len(kept) == len(self.headers) else replace(self, headers=kept)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the route says of a job when it is submitted; it keeps this, whatever a reload changes."""

    delivery: Delivery
    ttl: float
    queue_timeout: float
    retries: int
    priority: int = 0
    """The highest comes first."""
    hold: float = 0.0
    """How long whoever submitted it is held: finished within that, it was answered then and there."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is handed in."""

    id: str
    route: str
    owner: str
    """Policy and subject, as ``POLICY:NAME/SUBJECT``; empty where the route knows no identity."""
    caller: str
    """Whose share it is: the owner, or the route and the client's address."""
    call: Call
    terms: Terms
    body: bytes | None
    """``None`` where it was put into the store in pieces before."""
    key: str = ""
    """The ``Idempotency-Key``, empty for none."""
    fingerprint: str = ""
    """Of method, path, query and body: the same key with another one is a mistake."""
    callback: str = ""
    """The URL that wants to be told of the end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait; ``concurrency`` is how many calls of the route may be under way everywhere."""

    max_queued: int
    max_queued_per_caller: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Head:
    """The head of the upstream's answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    length: int
    """Bytes of the body."""
    phrase: bytes = b""


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job; never its bodies."""

    id: str
    route: str
    owner: str
    caller: str
    call: Call
    terms: Terms
    state: State
    submitted: float
    started: float | None = None
    """When the last run began."""
    finished: float | None = None
    attempts: int = 0
    """Runs that began."""
    due: float = 0.0
    """Not to be run again before that."""
    status: int | None = None
    """That of the upstream's answer."""
    reason: str = ""
    """Why it failed."""
    head: Head | None = None
    """Of the result, while it is kept."""
    is_forgotten: bool = False
    """Whether the result was thrown away by its owner."""
    runner: str = ""
    """Who runs it."""
    key: str = ""
    fingerprint: str = ""
    callback: str = ""
    version: int = 0
    """Grows with every change."""
    is_gone: bool = False
    """Past its ttl: remembered only so that it can be said."""
    was_ended_now: bool = field(default=False, compare=False)
    """Whether the step that returns it has ended it: of several who cancel a job, one did."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINAL

    @property
    def was_held(self) -> bool:
        """Whether it was finished while whoever submitted it was still held."""
        hold = self.terms.hold
        return self.finished is not None and hold > 0.0 and self.finished <= self.submitted + hold

    @property
    def expires(self) -> float | None:
        """When it is gone, once it is finished."""
        return None if self.finished is None else self.finished + self.terms.ttl

    @property
    def queue_ends(self) -> float:
        """When it has waited too long, if it is queued; the time until it is due is no waiting."""
        return max(self.submitted, self.due) + self.terms.queue_timeout


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job once: whoever has it holds the fence of that run."""

    job: Job
    body: bytes | None
    """Of the request; ``None`` where it is kept in pieces."""
    fence: int
    """The number of the run; a later one shuts out what an earlier one says."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    state: State
    head: Head | None = None
    """Of the upstream's answer, if it succeeded."""
    body: bytes | None = None
    """Of the answer; ``None`` where it was put into the store in pieces, or there is none."""
    reason: str = ""


class Verdict(enum.StrEnum):
    """What became of a submission."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    """The same key, caller and call as of an earlier job, which is given back."""
    MISMATCH = "mismatch"
    """The same key with another call."""
    QUEUE_FULL = "queue-full"
    CALLER_FULL = "caller-full"


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer of the store to a submission."""

    verdict: Verdict
    job: Job | None = None
    claim: Claim | None = None
    """Given where a slot is free and nothing comes before it: whoever submitted it runs it at once."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a caller's jobs, newest first."""

    jobs: tuple[Job, ...]
    cursor: str = ""
    """Where the next page begins; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs of a route that are not finished."""

    queued: int = 0
    running: int = 0
    oldest: float | None = None
    """When the one that waits longest was submitted."""


@dataclass(frozen=True, slots=True)
class Callback:
    """Somebody who wants to be told of an end, and has to be told now."""

    job: Job
    url: str
    attempts: int
    """Tries so far."""
    fence: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many more jobs of a route a runner would take."""

    route: str
    concurrency: int
    """Under way everywhere at most."""
    wanted: int


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that time has ended."""

    id: str
    route: str
    reason: str


@dataclass(frozen=True, slots=True)
class Swept:
    """What time did."""

    expired_in_queue: int = 0
    interrupted: int = 0
    put_back: int = 0
    forgotten: int = 0
    ended: tuple[EndedJob, ...] = ()
    """The jobs that ended by it."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the jobs that ended by it."""
        return tuple(job.id for job in self.ended)


def new_id() -> str:
    """Return an id that nobody guesses: 160 random bits, url-safe, and never an option to a command."""
    while (made := secrets.token_urlsafe(20)).startswith("-"):
        pass
    return made
