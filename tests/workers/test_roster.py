"""Workers are names in a list here, and time is a number: what should be done about them."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from twistedgate.workers.roster import (
    EARLY,
    FIRST_DELAY,
    LONGEST_DELAY,
    MOST_EARLY_DEATHS,
    READY_WITHIN,
    REPLACED_WITHIN,
    STUCK_AFTER,
    Drain,
    End,
    GiveUp,
    Kill,
    Roster,
    Spawn,
    Stage,
    Step,
    Wait,
)


def serving(wanted: int = 2, now: float = 0.0) -> Roster:
    """Return a roster whose workers are ready."""
    roster = Roster(wanted)
    for step in roster.look(now):
        if isinstance(step, Spawn):
            roster.ready(step.row, now)
    return roster


def watched(roster: Roster, since: float, until: float, beats: dict[int, float]) -> list[Step]:
    """Look every second, and return all steps."""
    seconds = int(until - since)
    return [step for second in range(seconds + 1) for step in roster.look(since + second, beats)]


def actions(steps: list[Step]) -> list[Step]:
    return [step for step in steps if not isinstance(step, Wait)]


# a life without trouble


def test_begins_with_a_worker_for_each_slot() -> None:
    assert Roster(3).look(5.0) == [Spawn(0, 2), Spawn(1, 3), Spawn(2, 4), Wait(5.0 + READY_WITHIN)]


def test_nothing_is_to_be_done_while_all_is_well() -> None:
    roster = serving()
    assert watched(roster, 0.0, 100.0, {2: 95.0, 3: 95.0}) == []
    assert [worker.row for worker in roster.serving] == [2, 3]
    assert roster.watchdog_ok(100.0)


def test_a_worker_that_served_is_replaced_at_once() -> None:
    roster = serving()
    assert actions(roster.died(2, EARLY)) == [Spawn(0, 4)]
    assert [worker.row for worker in roster.serving] == [3]


def test_a_row_is_free_when_its_counts_are_folded() -> None:
    roster = Roster(1, range(2, 4))
    roster.look(0.0)
    roster.ready(2, 0.0)
    assert actions(roster.died(2, 5.0)) == [Spawn(0, 3)]
    roster.ready(3, 5.0)
    assert actions(roster.died(3, 10.0)) == []
    assert actions(roster.folded(2, 10.0)) == [Spawn(0, 2)]


def test_what_comes_too_late_changes_nothing() -> None:
    roster = serving()
    roster.died(2, 50.0)
    for steps in (roster.died(2, 50.0), roster.ready(2, 50.0), roster.stuck(2, 50.0), roster.died(99, 50.0)):
        assert actions(steps) == []
    assert actions(roster.draining(99, 60.0, 50.0)) == []
    roster.folded(3, 50.0)
    assert [worker.row for worker in roster.serving] == [3]


# early deaths


def test_delays_grow_until_the_slot_is_given_up() -> None:
    roster, now, row = Roster(2), 0.0, 2
    steps = roster.look(now)
    roster.ready(3, now)
    delays = []
    for _ in range(MOST_EARLY_DEATHS - 1):
        steps = roster.died(row, now)
        (wait,) = steps
        assert isinstance(wait, Wait)
        delays.append(wait.until - now)
        assert actions(roster.look(wait.until - 0.001)) == []
        now = wait.until
        (spawn,) = actions(roster.look(now))
        assert isinstance(spawn, Spawn)
        row = spawn.row
    assert delays == pytest.approx([FIRST_DELAY * 2**number for number in range(MOST_EARLY_DEATHS - 1)])
    assert roster.died(row, now) == [GiveUp(0, MOST_EARLY_DEATHS, False)]
    assert roster.given_up == [0]
    assert max(delays) <= LONGEST_DELAY
    assert actions(roster.look(now + 1000.0)) == []


LONGEST_EARLY_DELAY = FIRST_DELAY * 2 ** (MOST_EARLY_DEATHS - 2)


def die_early(roster: Roster, slot: int, now: float, times: int = MOST_EARLY_DEATHS) -> list[Step]:
    """Have the worker of a slot die early, again and again; return the last steps."""
    steps: list[Step] = []
    for _ in range(times):
        now += LONGEST_EARLY_DELAY
        roster.look(now)
        (row,) = [each.row for each in roster.workers.values() if each.slot == slot and _is_alive(each.stage)]
        steps = roster.died(row, now)
        roster.folded(row, now)
    return actions(steps)


def _is_alive(stage: Stage) -> bool:
    return stage in {Stage.STARTING, Stage.READY}


def test_when_all_are_given_up_the_supervisor_ends() -> None:
    roster = Roster(2)
    roster.look(0.0)
    assert die_early(roster, 0, 0.0) == [GiveUp(0, MOST_EARLY_DEATHS, False)]
    assert die_early(roster, 1, 0.0) == [GiveUp(1, MOST_EARLY_DEATHS, False), End()]
    assert actions(roster.look(1000.0)) == []


def test_another_try_begins_anew() -> None:
    roster = Roster(1)
    roster.look(0.0)
    die_early(roster, 0, 0.0)
    assert actions(roster.retry(100.0)) == [Spawn(0, 2)]
    assert roster.given_up == []
    assert die_early(roster, 0, 100.0) == [GiveUp(0, MOST_EARLY_DEATHS, False), End()]


def test_a_worker_that_served_for_a_while_ends_the_row_of_early_deaths() -> None:
    roster = Roster(1)
    roster.look(0.0)
    die_early(roster, 0, 0.0, MOST_EARLY_DEATHS - 1)
    (spawn,) = actions(roster.look(100.0))
    assert isinstance(spawn, Spawn)
    roster.ready(spawn.row, 100.0)
    assert actions(roster.died(spawn.row, 100.0 + EARLY)) != []
    assert die_early(roster, 0, 103.0, MOST_EARLY_DEATHS - 1) == []


def test_a_worker_that_dies_soon_after_it_was_ready_died_early() -> None:
    roster = serving(1)
    (wait,) = roster.died(2, EARLY - 0.1)
    assert wait == Wait(EARLY - 0.1 + FIRST_DELAY)


def test_a_worker_that_does_not_get_ready_is_killed_and_has_died_early() -> None:
    roster = Roster(1)
    roster.look(0.0)
    assert actions(roster.look(READY_WITHIN - 0.1)) == []
    assert roster.look(READY_WITHIN) == [
        Kill(2, "it was not ready in time"),
        Wait(READY_WITHIN + FIRST_DELAY),
    ]
    assert actions(roster.look(READY_WITHIN + FIRST_DELAY)) == [Spawn(0, 3)]
    assert actions(roster.ready(2, READY_WITHIN + 1)) == []
    assert actions(roster.died(2, READY_WITHIN + 1)) == []


# stuck


def test_a_worker_without_a_heartbeat_is_killed_and_replaced() -> None:
    roster = serving()
    beats = {2: 50.0, 3: 50.0}
    assert watched(roster, 0.0, 60.0, beats) == []
    beats[3] = 60.0
    assert actions(roster.look(61.0, beats)) == [Kill(2, "its event loop does not answer"), Spawn(0, 4)]
    assert actions(roster.look(62.0, beats)) == []
    assert actions(roster.died(2, 62.0)) == []


def test_a_worker_that_has_just_become_ready_needs_no_heartbeat_yet() -> None:
    roster = Roster(1)
    watched(roster, 0.0, 25.0, {})
    roster.ready(2, 25.0)
    assert actions(watched(roster, 26.0, 35.0, {})) == []
    assert len(actions(roster.look(35.5, {}))) == 2


def test_after_the_supervisor_was_held_up_itself_workers_get_a_new_chance() -> None:
    roster = serving(1)
    watched(roster, 0.0, 10.0, {2: 10.0})
    assert watched(roster, 1000.0, 1000.0 + STUCK_AFTER, {2: 10.0}) == []
    assert actions(roster.look(1000.5 + STUCK_AFTER, {2: 10.0})) != []


def test_the_watchdog_starves_only_if_a_stuck_worker_has_no_successor() -> None:
    roster = serving()
    assert actions(roster.stuck(2, 50.0)) == [Kill(2, "its event loop does not answer"), Spawn(0, 4)]
    assert roster.watchdog_ok(50.0 + REPLACED_WITHIN)
    assert not roster.watchdog_ok(50.1 + REPLACED_WITHIN)
    roster.ready(4, 51.0)
    assert roster.watchdog_ok(1000.0)


def test_the_watchdog_starves_when_the_slot_of_a_stuck_worker_is_given_up() -> None:
    roster = serving()
    roster.stuck(2, 5.0)
    die_early(roster, 0, 5.0)
    assert roster.given_up == [0]
    assert not roster.watchdog_ok(10.0)


def test_deaths_alone_do_not_starve_the_watchdog() -> None:
    roster = Roster(2)
    roster.look(0.0)
    die_early(roster, 0, 0.0)
    assert roster.watchdog_ok(1000.0)


# draining


def test_a_worker_that_drains_is_replaced_at_once_and_killed_when_it_takes_too_long() -> None:
    roster = serving(1)
    assert actions(roster.draining(2, 40.0, 10.0)) == [Spawn(0, 3)]
    roster.ready(3, 11.0)
    assert actions(watched(roster, 11.0, 39.0, {2: 39.0, 3: 39.0})) == []
    assert actions(roster.look(40.0, {2: 39.0, 3: 39.0})) == [Kill(2, "its drain took too long")]
    assert actions(roster.died(2, 40.0)) == []


def test_a_worker_that_has_drained_may_go() -> None:
    roster = serving(1)
    roster.draining(2, 40.0, 10.0)
    roster.ready(3, 11.0)
    assert actions(roster.died(2, 12.0)) == []
    assert [worker.row for worker in roster.serving] == [3]


# replacing all


def test_workers_are_renewed_one_after_the_other_and_none_goes_before_its_successor_is_ready() -> None:
    roster = serving()
    assert actions(roster.renew(50.0)) == [Spawn(0, 4)]
    assert [worker.row for worker in roster.serving] == [2, 3]
    assert actions(roster.ready(4, 51.0)) == [Drain(2), Spawn(1, 5)]
    assert [worker.row for worker in roster.serving] == [4, 3]
    assert actions(roster.ready(5, 52.0)) == [Drain(3)]
    assert not roster.is_renewing
    assert [worker.row for worker in roster.serving] == [4, 5]


def test_a_renewal_that_fails_leaves_the_old_workers_in_their_place() -> None:
    roster = serving()
    roster.renew(50.0)
    for _ in range(MOST_EARLY_DEATHS):
        (row,) = [each.row for each in roster.workers.values() if each.stage is Stage.STARTING]
        steps = roster.died(row, 51.0)
        roster.folded(row, 51.0)
        roster.look(51.0 + LONGEST_DELAY)
    assert steps == [GiveUp(0, MOST_EARLY_DEATHS, True)]
    assert not roster.is_renewing
    assert roster.given_up == []
    assert [worker.row for worker in roster.serving] == [2, 3]


def test_an_old_worker_that_dies_in_a_renewal_is_missed_until_the_new_one_is_ready() -> None:
    roster = serving()
    roster.renew(50.0)
    assert actions(roster.died(2, 50.5)) == []
    assert actions(roster.ready(4, 51.0)) == [Spawn(1, 5)]


def test_workers_of_the_program_before_are_taken_over() -> None:
    roster = Roster(2)
    roster.take_over(0, 7, 50.0)
    roster.take_over(1, 2, 50.0)
    assert actions(roster.look(50.0)) == []
    assert actions(roster.renew(50.0)) == [Spawn(0, 3)]
    assert actions(roster.ready(3, 51.0)) == [Drain(7), Spawn(1, 4)]


def test_one_that_drains_already_is_taken_over_in_nobodys_place() -> None:
    roster = Roster(2)
    roster.take_over(0, 9, 50.0, until=60.0)
    roster.take_over(0, 7, 50.0)
    roster.take_over(1, 2, 50.0)
    assert roster.look(50.0) == [Wait(60.0)]
    assert [worker.row for worker in roster.serving] == [7, 2]
    roster.look(55.0, {7: 55.0, 2: 55.0, 9: 55.0})
    assert actions(roster.look(60.0, {7: 60.0, 2: 60.0})) == [Kill(9, "its drain took too long")]


# the end


def test_at_the_end_all_drain_and_none_is_started() -> None:
    roster = serving()
    roster.died(2, 50.0)
    assert roster.shut_down(50.5) == [Drain(3), Kill(4, "the gateway is shutting down")]
    assert not roster.is_empty
    assert roster.died(4, 51.0) == []
    assert roster.draining(3, 60.0, 51.0) == [Wait(60.0)]
    assert roster.died(3, 52.0) == []
    assert roster.is_empty


# whatever happens


class Anything(RuleBasedStateMachine):
    """Takes the steps, and lets anything happen to the workers."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster(3, range(2, 9))
        self.now = 0.0
        self.slots: dict[int, int] = {}
        self.alive: dict[int, str] = {}
        self.dead: set[int] = set()
        self.readied: dict[int, float] = {}
        self.early = [0, 0, 0]
        self.waits: float | None = None
        self.ends = 0
        self.take(self.roster.look(0.0))

    def take(self, steps: list[Step]) -> None:
        self.waits = None
        for step in steps:
            assert self.waits is None, "a Wait is the last step"
            match step:
                case Spawn(slot, row):
                    assert row not in self.alive
                    assert row not in self.dead, "its counts are not folded yet"
                    assert self.of(slot, "starting") == []
                    self.alive[row], self.slots[row] = "starting", slot
                case Kill(row, _):
                    assert self.alive[row] != "killed"
                    if self.alive[row] == "starting":
                        self.early[self.slots[row]] += 1
                    self.alive[row] = "killed"
                case Drain(row):
                    assert self.alive[row] == "ready"
                    self.alive[row] = "draining"
                case GiveUp(slot, deaths):
                    assert deaths == MOST_EARLY_DEATHS == self.early[slot]
                case End():
                    self.ends += 1
                    assert self.of_any("starting", "ready") == []
                case Wait(until):
                    self.waits = until

    def of(self, slot: int, *stages: str) -> list[int]:
        return [row for row in self.of_any(*stages) if self.slots[row] == slot]

    def of_any(self, *stages: str) -> list[int]:
        return [row for row, stage in self.alive.items() if stage in stages]

    def pick(self, data: st.DataObject, *stages: str) -> int | None:
        rows = self.of_any(*stages)
        return data.draw(st.sampled_from(rows)) if rows else None

    @rule(data=st.data())
    def a_worker_becomes_ready(self, data: st.DataObject) -> None:
        row = self.pick(data, "starting")
        if row is not None:
            self.alive[row] = "ready"
            self.readied[row] = self.now
            serving = len(self.roster.serving)
            self.take(self.roster.ready(row, self.now))
            assert len(self.roster.serving) >= serving, "a successor is no loss"

    @rule(data=st.data())
    def a_worker_dies(self, data: st.DataObject) -> None:
        row = self.pick(data, "starting", "ready", "draining", "killed")
        if row is None:
            return
        slot, stage = self.slots[row], self.alive.pop(row)
        is_current = (current := self.roster._slots[slot].current) is not None and current.row == row
        if is_current and stage == "ready" and self.now - self.readied[row] >= EARLY:
            self.early[slot] = 0
        elif is_current:
            self.early[slot] += 1
        self.dead.add(row)
        self.take(self.roster.died(row, self.now))

    @rule(data=st.data())
    @precondition(lambda self: self.dead)
    def a_row_is_folded(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(sorted(self.dead)))
        self.dead.remove(row)
        self.take(self.roster.folded(row, self.now))

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0, 3.0, 31.0]), are_well=st.booleans())
    def time_passes(self, seconds: float, are_well: bool) -> None:
        self.now += seconds
        beats = dict.fromkeys(self.alive, self.now) if are_well else {}
        for row in () if are_well else self.of_any("ready"):
            slot = self.roster._slots[self.slots[row]]
            last = max(self.readied[row], self.roster._awake_since if seconds <= 5 else self.now)
            if slot.current is not None and slot.current.row == row and self.now - last > STUCK_AFTER:
                self.early[slot.number] = 0
        self.take(self.roster.look(self.now, beats))

    @rule()
    def time_passes_until_something_is_due(self) -> None:
        if self.waits is not None:
            self.now = max(self.now, self.waits)
            self.take(self.roster.look(self.now, dict.fromkeys(self.alive, self.now)))

    @rule(data=st.data())
    def a_worker_drains(self, data: st.DataObject) -> None:
        row = self.pick(data, "ready", "draining")
        if row is not None:
            self.alive[row] = "draining"
            self.take(self.roster.draining(row, self.now + 5.0, self.now))

    @rule()
    def another_try(self) -> None:
        self.early = [0, 0, 0]
        self.take(self.roster.retry(self.now))

    @rule()
    def all_are_renewed(self) -> None:
        self.early = [0, 0, 0]
        self.take(self.roster.renew(self.now))

    @invariant()
    def a_slot_has_a_worker_or_a_reason(self) -> None:
        for slot in range(3):
            if self.of(slot, "starting", "ready") or slot in self.roster.given_up:
                continue
            is_full = len(self.alive) + len(self.dead) == len(self.roster.rows)
            assert is_full or (self.waits is not None and self.waits <= self.now + LONGEST_DELAY)

    @invariant()
    def nobody_has_more_than_a_worker_and_its_successor(self) -> None:
        for slot in range(3):
            assert len(self.of(slot, "ready")) <= 1
            assert len(self.of(slot, "starting", "ready")) <= 2

    @invariant()
    def the_roster_knows_every_process(self) -> None:
        known = {row: worker.stage.value for row, worker in self.roster.workers.items()}
        assert known == {**self.alive, **dict.fromkeys(self.dead, "dead")}


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=40, stateful_step_count=50)
