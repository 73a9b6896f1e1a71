"""Who may make a trial request."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from twistedgate.balancing.health import State
from twistedgate.upstream.judging import Standing
from twistedgate.workers.grants import GRANT, Grants

UP = Standing("a", "192.0.2.1", 0, State.UP, 1, True, False, False, 0.0, "")
TRIAL = replace(UP, state=State.TRIAL, is_trial=True)
TRIED = replace(TRIAL, is_trial=False, may_pick=False)


def grants_of(*workers: int, now: float = 0.0) -> Grants:
    """Return the permissions where target ``a`` of ``orders`` is on trial."""
    grants = Grants()
    for worker in workers:
        grants.join(worker, now)
    grants.hear("orders", [TRIAL], now)
    return grants


def holders(grants: Grants, *workers: int, target: Standing = TRIAL) -> list[int]:
    """Return which workers may make the trial."""
    return [worker for worker in workers if grants.seen_by(worker, "orders", target).is_trial]


def test_one_worker_may_make_it_and_for_a_while() -> None:
    grants = grants_of(1, 2, 3, now=10.0)
    assert grants.seen_by(1, "orders", TRIAL) == replace(TRIAL, trial_until=10.0 + GRANT)
    for other in (2, 3):
        assert grants.seen_by(other, "orders", TRIAL) == TRIED
    assert repr(grants) == "<Grants {'orders/a': 1} of [2, 3, 1]>"


def test_a_target_that_is_not_on_trial_is_seen_as_it_stands() -> None:
    grants = grants_of(1, 2)
    for standing in (UP, TRIED, replace(UP, state=State.DOWN, may_pick=False)):
        assert grants.seen_by(2, "orders", standing) == standing
    assert grants.seen_by(1, "other", TRIAL) == TRIED


def test_if_it_does_not_the_next_one_may_a_while_later() -> None:
    grants = grants_of(1, 2)
    seen = []
    for now in (0.9, 1.9, 2.0, 3.9, 4.0):
        changed = grants.expire(now)
        seen.append((now, holders(grants, 1, 2), changed))
    assert seen == [
        (0.9, [1], set()),
        (1.9, [1], set()),
        (2.0, [2], {"orders"}),
        (3.9, [2], set()),
        (4.0, [1], {"orders"}),
    ]


def test_only_who_may_can_begin_and_only_once() -> None:
    grants = grants_of(1, 2)
    assert not grants.start("orders", "a", 2)
    assert not grants.start("orders", "b", 1)
    assert grants.start("orders", "a", 1)
    assert not grants.start("orders", "a", 1)
    grants.hear("orders", [TRIED], 0.5)
    assert grants.expire(100.0) == set()
    assert not grants.start("orders", "a", 2)


def test_while_it_is_under_way_only_who_makes_it_is_heard() -> None:
    grants = grants_of(1, 2)
    assert grants.is_heard("orders", "a", 2)
    grants.start("orders", "a", 1)
    assert [grants.is_heard("orders", "a", worker) for worker in (1, 2)] == [True, False]
    assert grants.is_heard("orders", "b", 2)
    grants.hear("orders", [UP], 1.0)
    assert grants.is_heard("orders", "a", 2)


def test_a_trial_that_is_to_be_made_again_is_the_next_ones() -> None:
    grants = grants_of(1, 2)
    grants.start("orders", "a", 1)
    grants.hear("orders", [TRIED], 0.5)
    grants.hear("orders", [TRIAL], 0.5)
    assert holders(grants, 1, 2) == [2]


def test_whoever_dies_before_it_leaves_it_to_the_next_one_at_once() -> None:
    grants = grants_of(1, 2)
    assert grants.leave(1, 0.5) == ({"orders"}, [])
    assert grants.seen_by(2, "orders", TRIAL).trial_until == 0.5 + GRANT
    assert grants.leave(2, 0.6) == ({"orders"}, [])
    assert holders(grants, 1, 2) == []
    assert grants.expire(100.0) == set()


def test_whoever_dies_meanwhile_leaves_a_trial_to_be_abandoned() -> None:
    grants = grants_of(1, 2)
    grants.start("orders", "a", 1)
    assert grants.leave(1, 0.5) == (set(), [("orders", "a")])
    assert not grants.is_heard("orders", "a", 2)
    grants.hear("orders", [TRIAL], 0.5)
    assert holders(grants, 1, 2) == [2]


def test_whoever_is_to_end_is_not_asked_any_more() -> None:
    grants = grants_of(1, 2)
    assert grants.retire(1, 0.5) == {"orders"}
    assert holders(grants, 1, 2) == [2]
    assert grants.retire(1, 0.6) == set()
    grants.expire(10.0)
    assert holders(grants, 1, 2) == [2]
    assert grants.leave(1, 11.0) == (set(), [])


def test_but_heard_of_what_it_has_begun() -> None:
    grants = grants_of(1, 2)
    grants.start("orders", "a", 1)
    assert grants.retire(1, 0.5) == set()
    assert [grants.is_heard("orders", "a", worker) for worker in (1, 2)] == [True, False]
    assert grants.leave(1, 0.6) == (set(), [("orders", "a")])


def test_the_death_of_another_changes_nothing() -> None:
    grants = grants_of(1, 2, 3)
    assert grants.leave(2, 0.5) == (set(), [])
    grants.expire(2.0)
    assert holders(grants, 1, 3) == [3]


def test_the_first_worker_that_comes_may_make_what_nobody_could() -> None:
    grants = grants_of()
    assert grants.join(1, 5.0) == {"orders"}
    assert holders(grants, 1) == [1]
    assert grants.join(2, 5.5) == set()


def test_a_target_that_is_gone_is_forgotten() -> None:
    grants = grants_of(1, 2)
    grants.start("orders", "a", 1)
    grants.forget("orders")
    assert grants.is_heard("orders", "a", 2)
    grants.hear("orders", [TRIAL], 9.0)
    assert holders(grants, 1, 2) == [2]


def test_trials_of_several_targets_are_asked_of_several_workers() -> None:
    grants = grants_of(1, 2, 3)
    others = [replace(TRIAL, name=name) for name in "bc"]
    grants.hear("orders", [TRIAL, *others], 0.0)
    assert [holders(grants, 1, 2, 3, target=one) for one in (TRIAL, *others)] == [[1], [2], [3]]


def test_of_two_upstreams_only_the_one_that_is_heard_of_changes() -> None:
    grants = grants_of(1, 2)
    grants.hear("other", [UP], 0.0)
    assert holders(grants, 1, 2) == [1]


@given(st.integers(1, 5), st.integers(1, 40))
def test_workers_take_turns(count: int, rounds: int) -> None:
    grants = grants_of(*range(count))
    asked = Counter(holders(grants, *range(count)))
    for number in range(1, rounds):
        grants.expire(number * 2 * GRANT)
        asked.update(holders(grants, *range(count)))
    assert sum(asked.values()) == rounds
    assert max(asked.values()) - min(asked[worker] for worker in range(count)) <= 1


@given(st.lists(st.tuples(st.sampled_from("jlrsaueftx"), st.integers(0, 3), st.floats(0, 3)), max_size=60))
def test_at_most_one_may_and_no_two_permissions_are_alike(moves: list[tuple[str, int, float]]) -> None:
    grants = Grants()
    there: set[int] = set()
    asked: set[int] = set()
    standing, now = UP, 0.0
    ended: dict[float, int] = {}
    for move, worker, wait in moves:
        now += wait
        match move:
            case "j" if worker not in there:
                there.add(worker)
                asked.add(worker)
                grants.join(worker, now)
            case "r":
                asked.discard(worker)
                grants.retire(worker, now)
            case "l" if worker in there:
                there.remove(worker)
                asked.discard(worker)
                _, orphans = grants.leave(worker, now)
                standing = TRIAL if orphans else standing
            case "s" if worker in there and grants.start("orders", "a", worker):
                assert standing == TRIAL
                standing = TRIED
            case "a" | "t":
                standing = TRIAL
            case "u" | "e" | "f":
                standing = UP
            case "x":
                grants.expire(now)
        grants.hear("orders", [standing], now)
        seen = {one: grants.seen_by(one, "orders", standing) for one in there}
        may = [one for one, how in seen.items() if how.is_trial]
        assert len(may) == (standing == TRIAL and bool(asked))
        assert asked.issuperset(may)
        for one in may:
            assert ended.setdefault(seen[one].trial_until, one) == one
            assert seen[one].trial_until < inf
        assert standing == UP or all(seen[one].may_pick == (one in may) for one in there)
