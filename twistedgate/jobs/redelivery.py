"""What follows when somebody was told of the end of a job: it is done, or tried again, or given up.

2xx is done.  410 says that nobody wants to know (Standard Webhooks).  After anything else, an answer or none,
it is tried again after 5 s, 5 m, 30 m, 2 h and 5 h, which makes six tries over seven and a half hours.  A
``Retry-After`` only puts the next try off, by a day at most, and never brings it forward,
or a receiver that always answers ``Retry-After: 30`` would have used them all up in minutes.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

DELAYS = (5.0, 300.0, 1800.0, 7200.0, 18000.0)
"""Seconds from one try to the next: the first of Standard Webhooks' own example."""

LONGEST_DELAY = 86400.0
"""Seconds that a ``Retry-After`` may ask for."""

ELSEWHERE_DELAY = 60.0
"""Seconds after which a callback of a route that is not known here is looked at again."""

ELSEWHERE_LONGEST = 86400.0
"""Seconds after the end of a job until that goes on."""

_SECONDS = re.compile(r"[0-9]{1,15}").fullmatch


class Outcome(enum.StrEnum):
    """What became of a try."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    UNWANTED = "unwanted"
    """410: whoever is there does not want to be told."""
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class Next:
    """What follows: ``at`` is when it is tried again, ``None`` if it is not."""

    outcome: Outcome
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is kept of a receiver's answer."""

    status: int
    retry_after: str = ""
    """The value of ``Retry-After``, empty if there is none."""


def after_try(reply: Reply | None, attempts: int, now: float) -> Next:
    """Return what follows on a try with this answer (``None``: without one) and ``attempts`` before it."""
    if reply is not None and 200 <= reply.status < 300:
        return Next(Outcome.DELIVERED)
    if reply is not None and reply.status == 410:
        return Next(Outcome.UNWANTED)
    if attempts >= len(DELAYS):
        return Next(Outcome.GIVEN_UP)
    wanted = 0.0 if reply is None else read_retry_after(reply.retry_after, now)
    return Next(Outcome.RETRIED, now + max(DELAYS[attempts], min(wanted, LONGEST_DELAY)))


def read_retry_after(text: str, now: float) -> float:
    """Return the seconds of a ``Retry-After`` (RFC 9110 section 10.2.3), 0 if it says nothing."""
    if _SECONDS(text) is not None:
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def elsewhere(finished: float, now: float) -> Next:
    """Return what follows where the route is not known: another gateway, or a later reload, may know it."""
    if now - finished > ELSEWHERE_LONGEST:
        return Next(Outcome.GIVEN_UP)
    return Next(Outcome.RETRIED, now + ELSEWHERE_DELAY)
