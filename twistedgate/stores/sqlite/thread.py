"""The one thread that touches the file, and what it makes durable at once.

Rules: whatever is waiting when the thread comes to it goes into one transaction, whose commit is one fsync;
nobody is answered before that.  If anything in it fails, all of it is rolled back, and each errand runs again
in a transaction of its own: what one of them does wrong harms no other, and none is kept by half.  The
reactor's thread never waits for this one; whoever is not answered in time is told that the store is away, and
while nothing is answered at all, so is everybody who comes.  This module knows nothing of jobs.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.stores.sqlite.ledger import Ledger
from twistedgate.stores.sqlite.lives import SUFFIX, Life, remove_dead
from twistedgate.stores.sqlite.opening import UnusableFile, open_file
from twistedgate.stores.sqlite.turns import Turns

L = TypeVar("L")
T = TypeVar("T")

MOST: Final = 256
"""Errands in one transaction: those who come later do not wait for ever."""

PATIENCE: Final = 10.0
"""Seconds after which nobody waits for an answer any more; a disk that takes longer than that is away."""

SWITCH: Final = 0.0001
"""Seconds after which a thread that waits for Python's lock may demand it.  With Python's own 5 ms a reactor
that is never idle lets go of it more often than that, takes it again before the other has woken, and so keeps
the file waiting for seconds (measured: 4.3 s for 64 jobs; with this, 50 ms)."""

_FULL: Final = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE))
_RESTART: Final = "restart the gateway once it is in its place"

_log = Logger()


class Clock(Protocol):
    """What is needed of the reactor."""

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> object:  # noqa: A002 -- Twisted's own word
        """Call in the reactor's thread."""

    def seconds(self) -> float:
        """Return the time, monotonic."""


class Errand(Generic[T]):
    """One step that somebody waits for."""

    __slots__ = ("answer", "is_given_up", "is_write", "late", "load", "since", "step")

    def __init__(self, step: Callable[..., Any], load: Any = None) -> None:
        self.step = step
        self.load = load
        """What the step is given, with the loads of others who want the same; ``None`` if it is alone."""
        self.is_write = True
        self.late: Callable[[T], object] | None = None
        """Called with the outcome if nobody waits for it any more."""
        self.since = 0.0
        self.is_given_up = False
        """Whether it need not be run any more; one whose caller only left is run all the same."""
        self.answer: Deferred[T] = Deferred()

    def deliver(self, outcome: Any) -> None:
        """Answer who waits, in the reactor's thread."""
        if not self.answer.called:
            self.answer.callback(outcome)
        elif self.late is not None and not isinstance(outcome, Failure):
            self.late(outcome)


class Thread:
    """Runs errands against the file; made and asked in the reactor's thread.

    ``kept`` is called there with the ids of the jobs and the routes that a transaction noted, once it is
    kept.
    """

    def __init__(
        self, path: Path, runner: str, reactor: Clock, kept: Callable[[list[str], list[str]], object]
    ) -> None:
        self._path = path
        self._runner = runner
        self._reactor = reactor
        self._kept = kept
        self._directory = path.with_name(path.name + SUFFIX)
        self._turns = Turns(self._directory)
        self.life = Life(self._directory, runner)
        """Touched by the thread alone."""
        self._errands: SimpleQueue[Errand[Any] | None] = SimpleQueue()
        self._outstanding: deque[Errand[Any]] = deque()
        self._is_stuck = False
        self._is_running = False
        self._is_open = False
        """Whether errands are taken."""
        self._identity = (0, 0)
        self._connection: sqlite3.Connection
        self._ended: Deferred[None] = Deferred()
        self.trouble = ""
        """Why nothing could be kept the last time, empty if it could."""

    @property
    def directory(self) -> Path:
        """Where runners' lives and the turns are."""
        return self._directory

    def start(self) -> Deferred[None]:
        """Open the file; fails with ``UnusableFile``."""
        started: Deferred[None] = Deferred()
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH))
        # a daemon: a disk that hangs does not keep the process alive; what was answered is on it
        threading.Thread(target=self._run, args=(started,), name="jobs", daemon=True).start()
        self._is_running = self._is_open = True
        return started

    def perform(
        self, step: Callable[[Ledger], T], is_write: bool = True, late: Callable[[T], object] | None = None
    ) -> Deferred[T]:
        """Run a step; fails with ``StoreAway``, ``StoreFull`` or what the step raises."""
        return self._hand_over(Errand(step), is_write, late)

    def perform_together(
        self,
        step: Callable[[Ledger, list[L]], Sequence[T]],
        load: L,
        is_write: bool = True,
        late: Callable[[T], object] | None = None,
    ) -> Deferred[T]:
        """Run a step once for all who want it at the same time: each has a load, and an outcome."""
        return self._hand_over(Errand(step, load), is_write, late)

    def _hand_over(
        self, errand: Errand[T], is_write: bool, late: Callable[[T], object] | None
    ) -> Deferred[T]:
        errand.is_write, errand.late, errand.since = is_write, late, self._reactor.seconds()
        if self._is_stuck or not self._is_open:
            errand.answer.errback(
                StoreAway("the file of jobs does not answer" if self._is_open else "not open")
            )
            return errand.answer
        self._outstanding.append(errand)
        self._errands.put(errand)
        return errand.answer

    def expire(self) -> None:
        """Let those go who have waited too long; to be called every second or so."""
        before = self._reactor.seconds() - PATIENCE
        late = [errand for errand in self._outstanding if errand.since < before]
        if late and not self._is_stuck:
            _log.error(
                "the file of jobs has not answered for {seconds:g} s: "
                "its disk stands still, or it is locked; jobs wait",
                seconds=PATIENCE,
            )
        self._is_stuck = bool(late)
        for errand in late:
            errand.is_given_up = True
            if not errand.answer.called:
                errand.answer.errback(StoreAway("the file of jobs did not answer in time"))

    def stop(self) -> Deferred[None]:
        """Close the file once everything asked so far is done."""
        if self._is_open:
            self._is_open = False
            self._errands.put(None)
        elif not self._is_running and not self._ended.called:
            self._ended.callback(None)
        return self._ended

    # in the thread

    def _run(self, started: Deferred[None]) -> None:
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 -- whatever it is, who started it is told
            self._reactor.callFromThread(self._failed, started, Failure(error))
            return
        self._reactor.callFromThread(started.callback, None)
        while self._serve(self._errands.get()):
            pass
        self._close()
        self._reactor.callFromThread(self._ended.callback, None)

    def _failed(self, started: Deferred[None], failure: Failure) -> None:
        self._is_running = self._is_open = False
        started.errback(failure)

    def _open(self) -> None:
        connection = open_file(self._path)
        try:
            self._turns.open()
            self.life.begin()
            remove_dead(self._directory)
        except OSError as error:
            connection.close()
            self._turns.close()
            raise UnusableFile(
                f"state = sqlite:{self._path}: {self._directory}: {error.strerror}; "
                "the gateway's user must be able to write there"
            ) from error
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._connection = connection

    def _close(self) -> None:
        self.life.end()
        self._connection.close()
        self._turns.close()

    def _serve(self, first: Errand[Any] | None) -> bool:
        """Run what waits; returns whether there is to be more."""
        batch: list[Errand[Any]] = []
        is_more = self._take(first, batch)
        if any(errand.is_write for errand in batch):
            with self._turns:
                # others may have come while other processes had theirs
                is_more = is_more and self._take_waiting(batch)
                self._settle(batch, is_write=True)
        elif batch:
            self._settle(batch, is_write=False)
        return is_more

    def _take(self, errand: Errand[Any] | None, batch: list[Errand[Any]]) -> bool:
        if errand is None:
            return False
        batch.append(errand)
        return self._take_waiting(batch)

    def _take_waiting(self, batch: list[Errand[Any]]) -> bool:
        """Add what waits; returns whether there is to be more."""
        while len(batch) < MOST:
            try:
                errand = self._errands.get_nowait()
            except Empty:
                return True
            if errand is None:
                return False
            batch.append(errand)
        return True

    def _settle(self, batch: list[Errand[Any]], is_write: bool) -> None:
        """Run a batch, and answer."""
        ledger = Ledger(self._connection, self._runner)
        trouble = ""
        try:
            outcomes = self._attempt(batch, ledger, is_write)
        except Exception as error:  # noqa: BLE001 -- the thread lives on, and who asked is told
            self._roll_back()
            if len(batch) > 1 and not isinstance(error, _NotBegun):
                for errand in batch:
                    self._settle([errand], is_write)
                return
            failure = Failure(_translated(error))
            outcomes = [failure] * len(batch)
            ledger = Ledger(self._connection, self._runner)
            trouble = str(failure.value) if failure.check(StoreAway, StoreFull) else ""
        self._reactor.callFromThread(self._deliver, batch, outcomes, ledger, trouble)

    def _attempt(self, batch: list[Errand[Any]], ledger: Ledger, is_write: bool) -> list[Any]:
        """Run a batch in one transaction, and return its outcomes once they are kept."""
        self._begin(is_write)
        outcomes = _run(batch, ledger)
        self._connection.execute("COMMIT")
        return outcomes

    def _begin(self, is_write: bool) -> None:
        try:
            found = self._path.stat()
            if (found.st_dev, found.st_ino) != self._identity:
                raise _NotBegun(f"{self._path} is not the file any more that was opened; {_RESTART}")
            self._connection.execute("BEGIN IMMEDIATE" if is_write else "BEGIN")
        except FileNotFoundError:
            raise _NotBegun(f"{self._path} was removed; {_RESTART}") from None
        except (OSError, sqlite3.Error) as error:
            raise _NotBegun(f"{self._path}: {error}") from error

    def _roll_back(self) -> None:
        # some failures end the transaction by themselves
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    # in the reactor's thread again

    def _deliver(self, batch: list[Errand[Any]], outcomes: list[Any], ledger: Ledger, trouble: str) -> None:
        if self._is_stuck:
            _log.info("the file of jobs answers again")
        self._is_stuck = False
        self._note(trouble)
        for job in ledger.unreadable:
            _log.error("job {job} cannot be read in the file of jobs: nobody runs it or tells of it", job=job)
        for _ in batch:
            self._outstanding.popleft()
        for errand, outcome in zip(batch, outcomes, strict=True):
            errand.deliver(outcome)
        if ledger.changed or ledger.working:
            self._kept(ledger.changed, ledger.working)

    def _note(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _log.error("jobs cannot be kept: {trouble}", trouble=trouble)
        elif self.trouble and not trouble:
            _log.info("jobs are kept again")
        self.trouble = trouble


def _run(batch: list[Errand[Any]], ledger: Ledger) -> list[Any]:
    """Run the steps of a batch, those that can be together; returns their outcomes in the batch's order."""
    outcomes: list[Any] = [_GIVEN_UP] * len(batch)
    together: dict[Callable[..., Any], list[int]] = {}
    for place, errand in enumerate(batch):
        if errand.is_given_up:
            continue
        if errand.load is None:
            outcomes[place] = errand.step(ledger)
        else:
            together.setdefault(errand.step, []).append(place)
    for step, places in together.items():
        found = step(ledger, [batch[place].load for place in places])
        for place, outcome in zip(places, found, strict=True):
            outcomes[place] = outcome
    return outcomes


class _NotBegun(StoreAway):
    """No transaction could be begun: that is so for every errand."""


_GIVEN_UP: Final = Failure(StoreAway("nobody waited for it any more"))


def _translated(error: Exception) -> Exception:
    """Return what those may see who know nothing of SQLite."""
    if isinstance(error, sqlite3.Error):
        is_full = getattr(error, "sqlite_errorcode", 0) in _FULL
        return StoreFull("the disk is full") if is_full else StoreAway(f"the file of jobs: {error}")
    return StoreAway(str(error)) if isinstance(error, OSError) else error
