"""What an operator wants to see or to throw away, as the query of ``/jobs`` and ``/jobs/purge`` says it.

A parameter that is not known, stands twice or is empty is refused: a name that was mistyped, or a shell's
variable that was never set, is not to mean every job there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from twistedgate.config import values
from twistedgate.config.values import Surroundings
from twistedgate.errors import Refusal
from twistedgate.jobs.job import FINAL, Job, State
from twistedgate.jobs.paging import FEW, read_limit

LISTING: Final = ("state", "route", "owner", "limit", "cursor")
PURGING: Final = ("state", "route", "older-than", "all", "cursor")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs: ``None`` and empty text stand for whatever there is."""

    state: State | None = None
    route: str = ""
    owner: str | None = None
    ended_before: float | None = None
    """Only what was finished at that time."""
    limit: int = FEW
    cursor: str = ""

    def may_forget(self, job: Job) -> bool:
        """Whether a job is among those that are to be forgotten, and still has something to forget."""
        if not job.is_final or job.is_forgotten or job.is_gone:
            return False
        is_old = self.ended_before is None or (job.finished or 0.0) <= self.ended_before
        return is_old and (not self.route or job.route == self.route) and self.state in (None, job.state)


def wanted_in_list(parameters: Iterable[tuple[str, str]]) -> Wanted:
    """Return what is to be listed; raises ``Refusal``."""
    given = _given(parameters, LISTING)
    return Wanted(
        state=_state(given.get("state"), frozenset(State)),
        route=given.get("route", ""),
        owner=given.get("owner"),
        limit=_limit(given.get("limit")),
        cursor=given.get("cursor", ""),
    )


def wanted_in_purge(parameters: Iterable[tuple[str, str]], now: float) -> Wanted:
    """Return what is to be forgotten; raises ``Refusal``, where nothing says which jobs above all."""
    given = _given(parameters, PURGING)
    if not given.keys() & {"state", "route", "older-than", "all"}:
        raise _bad("say which jobs: state, route, older-than, or all=yes for every one that is finished")
    if given.get("all", "yes") != "yes":
        raise _bad("all is 'yes', or left out")
    if "all" in given and given.keys() & {"state", "route", "older-than"}:
        raise _bad("all is every job that is finished; leave it out, or the rest")
    age = given.get("older-than")
    return Wanted(
        state=_state(given.get("state"), FINAL),
        route=given.get("route", ""),
        ended_before=None if age is None else now - _duration(age),
        cursor=given.get("cursor", ""),
    )


def _given(parameters: Iterable[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise _bad(f"there is no parameter '{name}'; accepted: {', '.join(known)}")
        if name in given:
            raise _bad(f"{name} stands twice")
        if not value:
            raise _bad(f"{name} is empty; leave it out, or say what it is")
        given[name] = value
    return given


def _state(word: str | None, known: frozenset[State]) -> State | None:
    if word is None:
        return None
    if word not in known:
        names = ", ".join(state for state in State if state in known)
        raise _bad(f"'{word}' is not a state of those; there are {names}")
    return State(word)


def _limit(digits: str | None) -> int:
    if digits is None:
        return FEW
    try:
        return read_limit(digits)
    except ValueError as error:
        raise _bad(str(error)) from None


def _duration(text: str) -> float:
    try:
        return values.duration.read(text, Surroundings())
    except ValueError as error:
        raise _bad(f"older-than: {error}") from None


def _bad(detail: str) -> Refusal:
    return Refusal(400, "bad-query", detail)
