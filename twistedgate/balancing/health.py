"""The one judge of an upstream: which of its targets may be picked, and with what weight.

Rules:

- Checks: a target starts up, and its first check decides at once.  Later ``fall`` bad ones in a row take it
  down, ``rise`` good ones bring it back.
- Requests: see ``ejection``.  Never more than ``max_ejected`` of the targets that have a weight are out, and
  never the last one that is not down: where that would come about, because a target goes down or is taken
  away, the one whose time is over first is taken back.
- A target that returns begins with a tenth of its weight and grows to all of it over ``slow_start``.
- A weight of 0 drains.  When nobody may be picked, ``when_all_down`` says whether health is ignored.

What it is told (checks, failures, successes) may come from one process or from many.  Every change of a
target's state is returned once, as one ``Change`` with its reason.  It keeps no clock: only ``tick`` lets
time act, and a ``now`` that goes back is taken for one that stands still.  It knows nothing of connections.

Where rules change, another judge takes its place and recalls what was known of the targets that stay: as much
of it as the new rules allow, and no trial that is under way, as its end is not heard any more.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twistedgate.balancing.ejection import Ejection, most_ejected
from twistedgate.balancing.rules import Checks, HealthRules

_FIRST_PORTION = 0.1


class State(enum.StrEnum):
    """How a target stands."""

    UP = "up"
    DOWN = "down"
    """Its checks fail."""
    EJECTED = "ejected"
    """Requests to it failed."""
    TRIAL = "trial"
    """Ejected until a moment ago: one request finds out."""
    DRAINED = "drained"
    """Its weight is 0."""


@dataclass(frozen=True, slots=True)
class Change:
    """A target is in another state: one line of the log."""

    name: str
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a target, and whether it may be picked."""

    name: str
    state: State
    since: float
    last_error: str
    """Empty while nothing went wrong."""
    weight: float
    """What counts now: less than the configured one in slow start."""
    may_pick: bool
    is_suspected: bool = False
    """Whether the next success makes a difference: requests failed since the last one."""


class _Record:
    """All that the judge remembers of one target."""

    __slots__ = (
        *("checks_up", "ejection", "is_unchecked", "last_error", "name"),
        *("returned", "since", "state", "streak", "weight"),
    )

    def __init__(self, name: str, weight: float, now: float) -> None:
        self.name = name
        self.weight = weight
        self.ejection = Ejection()
        self.checks_up = True
        self.is_unchecked = True
        self.streak = 0
        """Checks in a row that speak against ``checks_up``."""
        self.last_error = ""
        self.returned: float | None = None
        """When slow start began; ``None`` when there is none."""
        self.state = self.judged()
        self.since = now

    def judged(self) -> State:
        """Return the state that follows from all that is known."""
        if self.weight <= 0:
            return State.DRAINED
        if not self.checks_up:
            return State.DOWN
        if self.ejection.is_on_trial:
            return State.TRIAL
        return State.EJECTED if self.ejection.is_out else State.UP

    @property
    def may_pick(self) -> bool:
        """Whether a request may be sent there."""
        return self.state == State.UP or (self.state == State.TRIAL and self.ejection.trial_since is None)

    @property
    def is_suspected(self) -> bool:
        """Whether a success would be news."""
        return self.ejection.is_out or self.ejection.failures > 0

    def count_check(self, is_good: bool, rules: HealthRules) -> str:
        """Count a check; returns why it takes the target down or brings it back, empty if it does neither."""
        wanted = rules.fall if self.checks_up else rules.rise
        reason = f"{wanted} {'good' if is_good else 'bad'} checks in a row"
        if self.is_unchecked:
            wanted, reason = 1, "its first check is bad"
        self.is_unchecked = False
        self.streak = 0 if is_good == self.checks_up else self.streak + 1
        if self.streak < wanted:
            return ""
        self.checks_up = is_good
        self.streak = 0
        self.ejection.failures = 0
        return reason

    def recall(self, known: _Record, checks: Checks, rules: HealthRules, now: float) -> None:
        """Take over what was known by other rules, as far as these allow it."""
        self.ejection.recall(known.ejection, rules.eject_after, rules.eject_for, now)
        self.checks_up = known.checks_up or checks == Checks.NOT_AT_ALL
        if checks == Checks.AS_BEFORE:
            self.is_unchecked = known.is_unchecked
            self.streak = known.streak
        self.last_error = known.last_error
        self.returned = known.returned if rules.slow_start > 0 else None
        self.weight = known.weight
        self.state = known.state
        self.since = known.since

    def written(self) -> dict[str, Any]:
        """Return all of it in JSON's own types."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "ejection": self.ejection.written(), "state": self.state.value}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> _Record:
        """Return what was written."""
        record = cls(told["name"], told["weight"], told["since"])
        for name in cls.__slots__:
            setattr(record, name, told[name])
        record.ejection = Ejection.read(told["ejection"])
        record.state = State(told["state"])
        return record

    def weight_at(self, now: float, slow_start: float) -> float:
        """Return the weight that counts now."""
        if self.returned is None:
            return self.weight
        portion = (now - self.returned) / slow_start
        return self.weight * min(_FIRST_PORTION + (1 - _FIRST_PORTION) * portion, 1.0)


class Judge:
    """Decides which targets of an upstream may be picked.

    ``revision`` grows whenever ``available`` may answer otherwise than before: whoever sees it unchanged need
    not ask again.  Names that are not known are ignored: a target may be gone before its last request.
    """

    def __init__(self, rules: HealthRules, now: float) -> None:
        self.rules = rules
        self.revision = 0
        self._now = now
        self._records: dict[str, _Record] = {}

    def written(self) -> list[dict[str, Any]]:
        """Return what is known of each target, in JSON's own types."""
        return [record.written() for record in self._records.values()]

    @classmethod
    def read(cls, told: Iterable[Mapping[str, Any]]) -> Judge:
        """Return one that knows what was written: another judge may recall it."""
        judge = cls(HealthRules(), 0.0)
        judge._records = {one["name"]: _Record.read(one) for one in told}
        return judge

    def recall(self, name: str, before: Judge, checks: Checks, now: float) -> list[Change]:
        """Judge a target by what another judge knows of it; a target that it does not know is none.

        How many may be out is seen to by the ``update`` that has to follow.
        """
        self._advance(now)
        known = before._records.get(name)
        if known is None:
            return []
        self.revision += 1
        record = self._records[name] = _Record(name, known.weight, self._now)
        record.recall(known, checks, self.rules, self._now)
        return self._settle(record, "the configuration changed")

    def update(self, weights: Mapping[str, float], now: float) -> list[Change]:
        """Judge these targets, by name, and no others; of those that are known, only the weight changes."""
        self._advance(now)
        self.revision += 1
        for name in self._records.keys() - weights.keys():
            del self._records[name]
        changes: list[Change] = []
        for name, weight in weights.items():
            record = self._records.get(name)
            if record is None:
                self._records[name] = _Record(name, weight, self._now)
            else:
                record.weight = weight
                changes += self._settle(record, f"its weight is {weight:g}")
        return [*changes, *self._take_back()]

    def add(self, name: str, weight: float, now: float, reason: str = "") -> list[Change]:
        """Judge a target from now on; of one that is known already, only the weight changes.

        ``reason`` says why it does.
        """
        self._advance(now)
        self.revision += 1
        record = self._records.get(name)
        if record is None:
            self._records[name] = _Record(name, weight, self._now)
            return []
        record.weight = weight
        return [*self._settle(record, reason or f"its weight is {weight:g}"), *self._take_back()]

    def remove(self, name: str, now: float) -> list[Change]:
        """Forget a target."""
        self._advance(now)
        self.revision += 1
        self._records.pop(name, None)
        return list(self._take_back())

    def probed(self, name: str, ok: bool, detail: str, now: float) -> list[Change]:
        """Count an active check; ``detail`` says what was wrong."""
        self._advance(now)
        record = self._records.get(name)
        if record is None:
            return []
        reason = record.count_check(ok, self.rules)
        if not ok:
            record.last_error = detail
            reason = reason and f"{reason}: {detail}"
        return [*self._settle(record, reason), *self._take_back()] if reason else []

    def failed(self, name: str, reason: str, now: float, count: int = 1) -> list[Change]:
        """Count requests in a row that the target did not answer well; ``reason`` says how the last one."""
        self._advance(now)
        record = self._records.get(name)
        if record is None:
            return []
        record.last_error = reason
        ejection = record.ejection
        if ejection.is_out:
            if ejection.trial_since is None:
                return []  # a request from before the ejection
            seconds = ejection.eject(self.rules.eject_for, self._now)
            return self._settle(record, f"its trial failed, out for {seconds:g} s: {reason}")
        if not ejection.failures:
            self.revision += 1
        ejection.failures += count
        if not self._is_to_eject(record):
            return []
        seconds = ejection.eject(self.rules.eject_for, self._now)
        return self._settle(record, f"{ejection.failures} failures in a row, out for {seconds:g} s: {reason}")

    def succeeded(self, name: str, now: float) -> list[Change]:
        """Count a request that was answered well; not needed while nothing failed before it."""
        record = self._records.get(name)
        if record is None or not (record.ejection.failures or record.ejection.is_out):
            return []
        self._advance(now)
        if record.ejection.succeed():
            return self._settle(record, "its trial succeeded")
        if not record.ejection.is_out:
            self.revision += 1
        return []

    def trial_started(self, name: str, now: float) -> list[Change]:
        """The one request of a trial is under way: no other is let through until it is reported."""
        self._advance(now)
        record = self._records.get(name)
        if record is not None and record.ejection.start_trial(self._now):
            self.revision += 1
        return []

    def trial_abandoned(self, name: str, now: float) -> list[Change]:
        """The trial request ended without a verdict, as when its client left: another may try."""
        self._advance(now)
        record = self._records.get(name)
        if record is not None and record.ejection.abandon_trial():
            self.revision += 1
        return []

    def tick(self, now: float) -> list[Change]:
        """Let time act; once a second is often enough."""
        self._advance(now)
        changes: list[Change] = []
        for record in self._records.values():
            if record.ejection.expire(self._now):
                self.revision += 1
                changes += self._settle(record, "its time is over, one request may try")
            if record.returned is not None:
                self.revision += 1
                if self._now - record.returned >= self.rules.slow_start:
                    record.returned = None
        return changes

    def available(self, now: float) -> list[Verdict]:
        """Return those that may be picked, for the balancer; all that have a weight if health is ignored."""
        found = [verdict for verdict in self.verdicts(now) if verdict.may_pick]
        if found or self.rules.when_all_down != "try":
            return found
        return [verdict for verdict in self.verdicts(now) if verdict.state != State.DRAINED]

    def verdicts(self, now: float) -> list[Verdict]:
        """Return what is known of each target, in the order they were added."""
        return [self._verdict(record, now) for record in self._records.values()]

    def verdict(self, name: str, now: float) -> Verdict:
        """Return what is known of one target; ``KeyError`` if it is not known."""
        return self._verdict(self._records[name], now)

    def _verdict(self, record: _Record, now: float) -> Verdict:
        weight = record.weight_at(max(now, self._now), self.rules.slow_start)
        return Verdict(
            record.name,
            record.state,
            record.since,
            record.last_error,
            weight,
            record.may_pick,
            record.is_suspected,
        )

    def _advance(self, now: float) -> None:
        self._now = max(now, self._now)

    def _settle(self, record: _Record, reason: str) -> list[Change]:
        """Put a target into the state that follows; the change, if it is one."""
        state = record.judged()
        if state == record.state:
            return []
        record.returned = self._now if state == State.UP and self.rules.slow_start > 0 else None
        record.state = state
        record.since = self._now
        self.revision += 1
        return [Change(record.name, state, reason)]

    def _weighty(self) -> list[_Record]:
        return [record for record in self._records.values() if record.state != State.DRAINED]

    def _is_to_eject(self, record: _Record) -> bool:
        """Whether the target failed often enough, the cap is not reached, and another one is left."""
        if record.state != State.UP or not 0 < self.rules.eject_after <= record.ejection.failures:
            return False
        weighty = self._weighty()
        out = sum(other.ejection.is_out for other in weighty)
        if out >= most_ejected(self.rules.max_ejected, len(weighty)):
            return False
        return any(other.state == State.UP for other in weighty if other is not record)

    def _take_back(self) -> Iterator[Change]:
        """End ejections until the cap holds and somebody is left, those first that would end first."""
        weighty = self._weighty()
        out = [record for record in weighty if record.ejection.is_out]
        out.sort(key=lambda record: record.ejection.until or 0.0)
        spare = len(out) - most_ejected(self.rules.max_ejected, len(weighty))
        for record in out[: max(spare, 0)]:
            record.ejection.release()
            yield from self._settle(record, "no more than max_ejected may be out")
        standing = [record for record in weighty if record.state != State.DOWN]
        if standing and all(record.ejection.is_out for record in standing):
            last = min(standing, key=lambda record: record.ejection.until or 0.0)
            last.ejection.release()
            yield from self._settle(last, "nobody else is left")
