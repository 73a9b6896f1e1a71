"""Whoever watches hears of each change, and of nothing else for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.stores.sqlite.steps import NOW, begin, end, queue
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.opening import open_file
from twistedgate.stores.sqlite.owning import find
from twistedgate.stores.sqlite.watching import Watchers, look


class Told:
    """Counts how often it was told."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def test_those_who_watch_a_job_are_told_until_they_stop() -> None:
    watchers, first, second = Watchers(), Told(), Told()
    stops = [watchers.watch("a", first), watchers.watch("a", second)]
    watchers.tell_changed(["a", "b"])
    stops[0]()
    stops[0]()
    watchers.tell_changed(["a"])
    stops[1]()
    watchers.tell_changed(["a"])
    assert (first.times, second.times) == (1, 2)
    assert not watchers
    assert watchers.seen() == b""


def test_one_who_stops_while_he_is_told_disturbs_nobody() -> None:
    watchers, told = Watchers(), Told()
    stops: list[Callable[[], None]] = []

    def leave() -> None:
        stops[0]()

    stops.append(watchers.watch("a", leave))
    watchers.watch("a", told)
    watchers.tell_changed(["a"])
    assert told.times == 1


def test_those_who_wait_for_work_are_told_of_it() -> None:
    watchers, told = Watchers(), Told()
    assert not watchers
    watchers.on_work(told)
    watchers.tell_work()
    assert watchers
    assert told.times == 1


def test_only_what_others_changed_is_found(ledger: Ledger, path: Path) -> None:
    connection = open_file(path)
    other = Ledger(connection, "other")
    quiet, changed = begin(ledger), begin(ledger)
    watchers, told, untold = Watchers(), Told(), Told()
    watchers.watch(changed.job.id, told)
    watchers.watch(quiet.job.id, untold)
    for job in (quiet, changed):
        watchers.note(find(other, job.job.id, NOW))
    last, found, is_work = look(other, -1, watchers.seen())
    assert (found, is_work) == ([], False)
    assert look(other, last, watchers.seen()) == (last, [], False)
    end(ledger, changed)
    queue(ledger)
    last, found, is_work = look(other, last, watchers.seen())
    assert (found, is_work) == ([(changed.job.id, 2)], True)
    watchers.found(found)
    assert (told.times, untold.times) == (1, 0)
    assert look(other, -1, watchers.seen())[1] == []
    connection.close()


def test_a_change_that_was_missed_before_watching_is_found(ledger: Ledger) -> None:
    claimed = begin(ledger)
    watchers, told = Watchers(), Told()
    watchers.watch(claimed.job.id, told)
    unseen = [watchers.is_unseen]
    watchers.found(look(ledger, -1, watchers.seen())[1])
    unseen.append(watchers.is_unseen)
    assert unseen == [True, False]
    assert told.times == 1


def test_what_one_has_seen_is_told_to_those_who_know_it_as_it_was(ledger: Ledger) -> None:
    claimed = begin(ledger)
    job = claimed.job.id
    watchers, told = Watchers(), Told()
    watchers.watch(job, told)
    watchers.note(find(ledger, job, NOW))
    end(ledger, claimed)
    times = [told.times]
    for _ in range(2):
        watchers.note(find(ledger, job, NOW))
        times.append(told.times)
    assert times == [0, 1, 1]
    assert look(ledger, -1, watchers.seen())[1] == []


def test_what_all_were_told_of_is_not_told_again_when_one_has_looked(ledger: Ledger) -> None:
    claimed = begin(ledger)
    job = claimed.job.id
    watchers, told = Watchers(), Told()
    watchers.watch(job, told)
    watchers.note(find(ledger, job, NOW))
    end(ledger, claimed)
    watchers.tell_changed([job])
    watchers.note(find(ledger, job, NOW))
    assert told.times == 1


def test_a_job_that_nobody_watches_any_more_is_not_told() -> None:
    watchers = Watchers()
    watchers.watch("a", Told())()
    watchers.found([("a", 3)])
    assert not watchers
