"""What is asked at once is kept at once, by itself and whole; nobody waits for ever."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from tests.stores.sqlite.steps import NOW, damage, queue, take
from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.opening import UnusableFile
from twistedgate.stores.sqlite.thread import PATIENCE, SWITCH, Thread

LONG = 20.0


class HandClock:
    """The reactor's threads, and a time that is moved by hand."""

    def __init__(self, reactor: Any) -> None:
        self.now = 0.0
        self.callFromThread = reactor.callFromThread

    def seconds(self) -> float:
        """Return the time."""
        return self.now


class Held:
    """An errand that the thread stays with until it is let go."""

    def __init__(self, thread: Thread) -> None:
        self._may_go = threading.Event()
        self._reactor = thread._reactor
        self.begun: Deferred[None] = Deferred()
        """What is asked after that is not in the same batch."""
        self.done = thread.perform(self._wait, is_write=False)

    def _wait(self, _: Ledger) -> None:
        self._reactor.callFromThread(self.begun.callback, None)
        assert self._may_go.wait(LONG)

    def let_go(self) -> None:
        """Let the thread go on."""
        self._may_go.set()


class Kept:
    """What was told to be kept."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], list[str]]] = []

    def __call__(self, jobs: list[str], routes: list[str]) -> None:
        self.told.append((jobs, routes))


@pytest.fixture
def clock(reactor: Any) -> HandClock:
    return HandClock(reactor)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def thread(path: Path, clock: HandClock, kept: Kept) -> Iterator[Thread]:
    """A thread at work."""
    made = Thread(path, "me", clock, kept)
    pytest_twisted.blockon(made.start())
    yield made
    pytest_twisted.blockon(made.stop())


def note(text: str) -> Callable[[Ledger], int]:
    """Return a step that writes a word, and returns which transaction it was in."""

    def step(ledger: Ledger) -> int:
        ledger.execute("INSERT INTO uploads VALUES (?, NULL)", (text,))
        return id(ledger)

    return step


def noted(ledger: Ledger) -> list[str]:
    """Return the words."""
    return [word for (word,) in ledger.all("SELECT job FROM uploads")]


async def test_whatever_waits_is_kept_by_one_commit(thread: Thread) -> None:
    held = Held(thread)
    await held.begun
    notes = [thread.perform(note(str(number))) for number in range(50)]
    held.let_go()
    assert len(set(await gatherResults(notes))) == 1
    assert len(await thread.perform(noted, is_write=False)) == 50


async def test_a_busy_reactor_does_not_keep_the_file_waiting(thread: Thread) -> None:
    await thread.perform(noted, is_write=False)
    assert sys.getswitchinterval() <= SWITCH


async def test_those_who_want_the_same_are_served_together(thread: Thread) -> None:
    loads: list[list[int]] = []

    def double(_: Ledger, given: list[int]) -> list[int]:
        if 13 in given:
            raise ValueError("unlucky")
        loads.append(given)
        return [2 * one for one in given]

    held = Held(thread)
    await held.begun
    asked = [thread.perform_together(double, number) for number in (1, 2, 3)]
    alone = thread.perform(note("alone"))
    held.let_go()
    assert await gatherResults(asked) == [2, 4, 6]
    assert loads == [[1, 2, 3]]
    await alone
    held = Held(thread)
    await held.begun
    lucky, unlucky = thread.perform_together(double, 4), thread.perform_together(double, 13)
    held.let_go()
    assert await lucky == 8
    with pytest.raises(ValueError, match="unlucky"):
        await unlucky


async def test_one_that_fails_harms_no_other_and_leaves_nothing(thread: Thread) -> None:
    def fail(ledger: Ledger) -> None:
        note("half")(ledger)
        raise ValueError("it went wrong")

    held = Held(thread)
    await held.begun
    before, failing, after = thread.perform(note("a")), thread.perform(fail), thread.perform(note("b"))
    held.let_go()
    await before
    with pytest.raises(ValueError, match="it went wrong"):
        await failing
    await after
    assert await thread.perform(noted, is_write=False) == ["a", "b"]


async def test_what_a_file_refuses_is_told_in_our_own_words(thread: Thread) -> None:
    with pytest.raises(StoreAway, match="no such table"):
        await thread.perform(lambda ledger: ledger.all("SELECT * FROM absent"))


async def test_a_full_disk_keeps_nothing_by_half_and_is_over_when_there_is_room(thread: Thread) -> None:
    def limit(pages: int) -> Callable[[Ledger], object]:
        return lambda ledger: ledger.all(f"PRAGMA max_page_count = {pages}")

    def fill(ledger: Ledger) -> None:
        note("half")(ledger)
        ledger.execute("INSERT INTO pieces VALUES ('j', 'request', 0, zeroblob(1000000))")

    await thread.perform(limit(60), is_write=False)
    held = Held(thread)
    await held.begun
    full, small = thread.perform(fill), thread.perform(note("small"))
    held.let_go()
    with pytest.raises(StoreFull):
        await full
    await small
    assert await thread.perform(noted, is_write=False) == ["small"]
    await thread.perform(limit(1_000_000), is_write=False)
    await thread.perform(fill)
    assert thread.trouble == ""


async def test_changes_are_told_once_they_are_kept(thread: Thread, kept: Kept) -> None:
    job = await thread.perform(lambda ledger: queue(ledger, NOW))
    await thread.perform(noted, is_write=False)
    assert kept.told == [([], ["reports"])]

    def fail(ledger: Ledger) -> None:
        ledger.changed.append(job)
        raise ValueError("it went wrong")

    with pytest.raises(ValueError, match="it went wrong"):
        await thread.perform(fail)
    assert len(kept.told) == 1


async def test_another_program_that_locks_the_file_is_waited_for_in_vain(thread: Thread, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    await thread.perform(lambda ledger: ledger.all("PRAGMA busy_timeout = 0"), is_write=False)
    other.execute("BEGIN IMMEDIATE")
    for one in [thread.perform(note("a")), thread.perform(note("b"))]:
        with pytest.raises(StoreAway, match="locked"):
            await one
    assert "locked" in thread.trouble
    assert await thread.perform(noted, is_write=False) == []
    other.execute("ROLLBACK")
    other.close()
    await thread.perform(note("c"))
    assert thread.trouble == ""


async def test_a_file_that_was_removed_takes_nothing_more(thread: Thread, path: Path) -> None:
    held = path.rename(path.with_name("moved"))
    with pytest.raises(StoreAway, match="was removed"):
        await thread.perform(note("a"))
    path.touch()
    with pytest.raises(StoreAway, match="not the file any more"):
        await thread.perform(note("a"))
    held.replace(path)
    await thread.perform(note("b"))
    assert await thread.perform(noted, is_write=False) == ["b"]


async def until_it_answers(thread: Thread, reactor: Any) -> None:
    """Wait until errands are taken again."""
    while thread._is_stuck:
        await deferLater(reactor, 0.01)


async def test_nobody_waits_longer_than_there_is_patience(
    thread: Thread, clock: HandClock, reactor: Any
) -> None:
    late: list[int] = []
    held = Held(thread)
    await held.begun
    waiting = thread.perform(note("a"), late=late.append)
    clock.now += PATIENCE
    thread.expire()
    assert not waiting.called
    clock.now += 0.1
    with capturedLogs() as logs:
        for _ in range(3):
            thread.expire()
    assert [formatEvent(event) for event in logs] == [
        "the file of jobs has not answered for 10 s: its disk stands still, or it is locked; jobs wait"
    ]
    for refused in (held.done, waiting, thread.perform(note("b"))):
        with pytest.raises(StoreAway):
            await refused
    with capturedLogs() as logs:
        held.let_go()
        await until_it_answers(thread, reactor)
    assert [formatEvent(event) for event in logs] == ["the file of jobs answers again"]
    # it was given up before it began, so it was not done
    assert late == []
    assert await thread.perform(noted, is_write=False) == []


async def test_what_was_done_too_late_is_told_to_whoever_can_undo_it(
    thread: Thread, clock: HandClock
) -> None:
    late: Deferred[str] = Deferred()
    begun: Deferred[None] = Deferred()
    may_go = threading.Event()

    def slow(_: Ledger) -> str:
        clock.callFromThread(begun.callback, None)
        assert may_go.wait(LONG)
        return "done"

    waiting = thread.perform(slow, late=late.callback)
    await begun
    clock.now += PATIENCE + 1
    thread.expire()
    with pytest.raises(StoreAway):
        await waiting
    may_go.set()
    assert await late == "done"


async def test_who_leaves_is_not_waited_for_and_his_errand_is_run(thread: Thread) -> None:
    late: Deferred[int] = Deferred()
    held = Held(thread)
    await held.begun
    leaving = thread.perform(note("a"), late=late.callback)
    leaving.cancel()
    with pytest.raises(CancelledError):
        await leaving
    held.let_go()
    await late
    assert await thread.perform(noted, is_write=False) == ["a"]


async def test_what_was_handed_over_is_kept_before_the_end(path: Path, clock: HandClock, kept: Kept) -> None:
    thread = Thread(path, "me", clock, kept)
    await thread.start()
    notes = [thread.perform(note(str(number))) for number in range(600)]
    await thread.stop()
    assert all(one.called for one in notes)
    with pytest.raises(StoreAway, match="not open"):
        await thread.perform(note("late"))
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM uploads").fetchone() == (600,)
    connection.close()


async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, clock: HandClock, kept: Kept) -> None:
    thread = Thread(tmp_path / "nowhere" / "jobs", "me", clock, kept)
    with pytest.raises(UnusableFile, match="No such file"):
        await thread.start()
    with pytest.raises(StoreAway):
        await thread.perform(note("a"))
    await thread.stop()


async def test_runners_need_a_place_of_their_own(path: Path, clock: HandClock, kept: Kept) -> None:
    thread = Thread(path, "me", clock, kept)
    thread.directory.touch()
    with pytest.raises(UnusableFile, match="must be able to write there"):
        await thread.start()
    await thread.stop()


async def test_whoever_reads_the_log_is_told_of_a_job_that_cannot_be_read(thread: Thread) -> None:
    job = await thread.perform(lambda ledger: queue(ledger, NOW))
    await thread.perform(lambda ledger: damage(ledger, job))
    with capturedLogs() as logs:
        assert await thread.perform(take) == []
    (said,) = [formatEvent(event) or "" for event in logs]
    assert job in said
    assert "cannot be read in the file of jobs" in said
