"""What follows on a run: it was the answer, or the call is made again after a while, or the job has failed.

Rules
- Whatever the upstream itself answered is the answer, except 502, 503 and 504 while another run is allowed.
- Where the upstream was never connected, or not asked at all, the call is made again whatever its method is.
- Where it may have been reached (a timeout, a reset, a 502, 503 or 504), only an idempotent method (RFC 9110
  section 9.2.2) or a job that asks for at-least-once is run again.
- What would be the same the next time (a bad or too large answer) is not tried again.

So an unsafe at-most-once call reaches the upstream once at most.  Chance is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twistedgate.jobs.job import Delivery, Job
from twistedgate.wire.framing import IDEMPOTENT

LONGEST_BACKOFF: Final = 300.0
"""Seconds between two runs at most."""

NEVER_REACHED: Final = frozenset(("connect-failed", "no-target", "too-many"))
"""Reasons of runs that the upstream has seen nothing of."""

MAY_HAVE_BEEN_REACHED: Final = frozenset(("timeout", "reset"))

FINAL_REASONS: Final = frozenset(
    ("bad-response", "result-too-large", "interrupted", "expired-in-queue", "route-gone")
)

REASONS: Final = NEVER_REACHED | MAY_HAVE_BEEN_REACHED | FINAL_REASONS
"""Every reason of a failed job."""

UNAVAILABLE: Final = frozenset((502, 503, 504))
"""Answers that another run may better."""

_FROM_LINE: Final = {
    "connect-timeout": "connect-failed",
    "response-timeout": "timeout",
    "read-timeout": "timeout",
    "truncated": "reset",
}
"""Reasons that the line tells apart and a job does not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: the status of the upstream's answer, or the reason why there is none."""

    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Succeed:
    """The answer is the job's."""


@dataclass(frozen=True, slots=True)
class RunAgain:
    """The call is made again in so many seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Fail:
    """The job has failed."""

    reason: str


Following = Succeed | RunAgain | Fail


def follow(outcome: Outcome, job: Job, backoff: float, chance: Callable[[], float]) -> Following:
    """Return what follows on a run of ``job``; ``chance`` gives numbers from 0 to 1."""
    if may_run_again(outcome, job):
        return RunAgain(delay_after(job.attempts, backoff, chance))
    return Succeed() if outcome.status is not None else Fail(reason_of(outcome.reason))


def may_run_again(outcome: Outcome, job: Job) -> bool:
    """Whether the call is made once more: the run allows it, and a run is left."""
    if job.attempts > job.terms.retries:
        return False
    is_harmless = job.call.method in IDEMPOTENT or job.terms.delivery == Delivery.AT_LEAST_ONCE
    if outcome.status is not None:
        return outcome.status in UNAVAILABLE and is_harmless
    reason = reason_of(outcome.reason)
    return reason in NEVER_REACHED or (reason in MAY_HAVE_BEEN_REACHED and is_harmless)


def delay_after(attempts: int, backoff: float, chance: Callable[[], float]) -> float:
    """Return the seconds until the next run: full jitter below a bound that doubles with each."""
    # beyond 2**40 every bound is the longest, and floats have an end
    return chance() * min(LONGEST_BACKOFF, backoff * 2.0 ** min(attempts - 1, 40))


def reason_of(reason: str) -> str:
    """Return a reason of the line as a job says it; what a job has no word for is a bad response."""
    reason = _FROM_LINE.get(reason, reason)
    return reason if reason in REASONS else "bad-response"
