"""Callbacks outlive their jobs, and an old report changes nothing."""

from __future__ import annotations

from tests.stores.sqlite.steps import NOW, begin, damage, end
from tests.stores.world import LOST, TTL, room
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.owning import find, retry
from twistedgate.stores.sqlite.running import claim
from twistedgate.stores.sqlite.sweeping import Sweep
from twistedgate.stores.sqlite.telling import PATIENCE, callback_ended, due_callbacks

URL = "https://client.example/hook"


def sweep(ledger: Ledger, now: float) -> None:
    """Let time act."""
    assert Sweep(None, lambda _: False, now).step(ledger)[1] is False


def test_a_callback_outlives_its_job_which_is_removed_once_it_is_told(ledger: Ledger) -> None:
    claimed = begin(ledger, callback=URL)
    end(ledger, claimed)
    later = NOW + 10 * TTL
    sweep(ledger, later)
    sweep(ledger, later)
    assert find(ledger, claimed.job.id, later) is None
    (callback,) = due_callbacks(ledger, 10, later)
    assert (callback.job.id, callback.url) == (claimed.job.id, URL)
    callback_ended(ledger, callback, None)
    sweep(ledger, later)
    assert ledger.one("SELECT count(*) FROM jobs") == (0,)
    assert ledger.one("SELECT count(*) FROM callbacks") == (0,)


def test_the_report_of_an_end_that_was_taken_back_changes_nothing(ledger: Ledger) -> None:
    claimed = begin(ledger, callback=URL)
    end(ledger, claimed, LOST)
    (old,) = due_callbacks(ledger, 10, NOW)
    retry(ledger, claimed.job.id, NOW)
    assert due_callbacks(ledger, 10, NOW + 1000) == []
    (again,) = claim(ledger, [room()], NOW)
    end(ledger, again)
    callback_ended(ledger, old, None)
    (new,) = due_callbacks(ledger, 10, NOW)
    assert (new.attempts, new.fence > old.fence) == (0, True)


def test_a_try_of_which_nothing_was_heard_has_failed(ledger: Ledger) -> None:
    end(ledger, begin(ledger, callback=URL))
    (first,) = due_callbacks(ledger, 10, NOW)
    assert due_callbacks(ledger, 10, NOW + PATIENCE - 1) == []
    (second,) = due_callbacks(ledger, 10, NOW + PATIENCE)
    assert (first.attempts, second.attempts) == (0, 1)
    callback_ended(ledger, first, None)
    callback_ended(ledger, second, NOW + 300)
    assert due_callbacks(ledger, 10, NOW + 299) == []
    assert len(due_callbacks(ledger, 10, NOW + 300)) == 1


def test_a_job_that_cannot_be_read_is_told_to_nobody_and_keeps_nobody_up(ledger: Ledger) -> None:
    damaged, other = begin(ledger, callback=URL), begin(ledger, callback=URL)
    for claimed in (damaged, other):
        end(ledger, claimed)
    damage(ledger, damaged.job.id)
    assert [callback.job.id for callback in due_callbacks(ledger, 10, NOW)] == [other.job.id]
    assert ledger.one("SELECT count(*) FROM callbacks") == (1,)
