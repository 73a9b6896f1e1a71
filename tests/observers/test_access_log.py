from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent

from twistedgate.exchange import Exchange
from twistedgate.observers import access_log
from twistedgate.observers.access_log import AccessLog

MakeExchange = Callable[..., Exchange]
PATIENCE = 10.0


class ThreadedClock(Clock):
    """A clock whose calls from threads wait until a test runs them."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., object], /, *args: object) -> None:
        self._calls.put((call, args))

    def run_call_from_thread(self) -> None:
        call, args = self._calls.get(timeout=PATIENCE)
        call(*args)


@pytest.fixture
def clock() -> ThreadedClock:
    return ThreadedClock()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody reads yet."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def piped(pipe: Path, clock: ThreadedClock) -> AccessLog:
    """A log that is written there."""
    return AccessLog(str(pipe), "json", (), clock)


def sentences(events: Sequence[LogEvent]) -> list[str]:
    return [formatEvent(event) for event in events]


def finish(log: AccessLog, clock: ThreadedClock) -> None:
    stopped: Deferred[None] = log.stop()
    while not stopped.called:
        clock.run_call_from_thread()
    assert not clock.getDelayedCalls()


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_bytes().splitlines()]


async def test_writes_every_exchange_before_it_stops(
    tmp_path: Path, make_exchange: MakeExchange, reactor: Any
) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "json", ("key",), reactor)
    for number in range(1000):
        exchange = make_exchange(query="?key=s3cret")
        exchange.request_id = f"c0ffee-{number}"
        log.write(exchange)
    await log.stop()
    assert ids(path) == [f"c0ffee-{number}" for number in range(1000)]
    assert b"s3cret" not in path.read_bytes()
    assert log.dropped == 0


async def test_what_comes_after_the_stop_is_not_written(
    tmp_path: Path, make_exchange: MakeExchange, reactor: Any
) -> None:
    log = AccessLog(str(tmp_path / "access.log"), "json", (), reactor)
    await log.stop()
    log.write(make_exchange())
    log.reopen()
    await log.stop()
    assert (tmp_path / "access.log").exists() is False


def test_a_line_waits_for_others_at_most_fifty_milliseconds(
    pipe: Path, piped: AccessLog, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    piped.write(make_exchange())
    piped.write(make_exchange())
    assert [call.getTime() for call in clock.getDelayedCalls()] == [0.05]
    clock.advance(0.05)
    with pipe.open("rb") as reader:
        assert len(reader.read1(10_000).splitlines()) == 2
        assert not clock.getDelayedCalls()
        finish(piped, clock)


def test_a_full_batch_does_not_wait(
    pipe: Path, piped: AccessLog, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    exchange = make_exchange(path="/" + "x" * 8000)
    for _ in range(access_log.HELD_BYTES // 8000):
        piped.write(exchange)
    assert not clock.getDelayedCalls()
    with pipe.open("rb") as reader:
        assert reader.readline().endswith(b"\n")
    finish(piped, clock)


def test_reopens_for_a_rotated_file(
    tmp_path: Path, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    path, other = tmp_path / "access.log", tmp_path / "other.log"
    path.symlink_to(other)
    log = AccessLog(str(path), "json", (), clock)
    log.write(make_exchange())
    finish(log, clock)
    assert len(ids(other)) == 1
    path.unlink()
    log = AccessLog(str(path), "json", (), clock)
    log.reopen()
    log.write(make_exchange())
    log.reopen()
    log.write(make_exchange())
    finish(log, clock)
    assert len(ids(path)) == 2
    assert len(ids(other)) == 1


def test_off_writes_nothing(make_exchange: MakeExchange, clock: ThreadedClock) -> None:
    log = AccessLog("off", "json", (), clock)
    log.write(make_exchange())
    log.reopen()
    assert log.stop().called
    assert not clock.getDelayedCalls()
    assert log.dropped == 0


def test_a_full_disk_stops_nothing_and_is_told_once(
    make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    log = AccessLog("/dev/full", "json", (), clock)
    with capturedLogs() as events:
        for _ in range(3):
            log.write(make_exchange())
            clock.advance(access_log.HELD_SECONDS)
        clock.run_call_from_thread()
        clock.advance(10 * access_log.TELLING_SECONDS)
        finish(log, clock)
    (told,) = sentences(events)
    assert told.startswith("The access log /dev/full cannot be opened or written (No space left on device)")
    assert log.dropped == 3


def test_the_end_of_trouble_is_told_a_minute_later_at_the_earliest(
    tmp_path: Path, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    folder = tmp_path / "logs"
    log = AccessLog(str(folder / "access.log"), "json", (), clock)
    with capturedLogs() as events:
        log.write(make_exchange())
        clock.advance(access_log.HELD_SECONDS)
        clock.run_call_from_thread()
        folder.mkdir()
        log.write(make_exchange())
        clock.advance(access_log.HELD_SECONDS)
        clock.run_call_from_thread()
        assert len(events) == 1
        clock.advance(access_log.TELLING_SECONDS)
    assert sentences(events)[1:] == [
        f"The access log {folder}/access.log is written again; 1 lines were lost."
    ]
    finish(log, clock)
    assert len(ids(folder / "access.log")) == 1


def test_a_reader_that_is_too_slow_costs_lines_and_never_a_wait(
    pipe: Path, piped: AccessLog, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    exchange = make_exchange(path="/" + "x" * 8000)
    too_many = 2 * access_log.OUTSTANDING_BYTES // 8000
    with capturedLogs() as events:
        for _ in range(too_many):
            piped.write(exchange)
        clock.advance(access_log.HELD_SECONDS)
        assert len(events) == 1
        clock.advance(access_log.TELLING_SECONDS)
    dropped = piped.dropped
    assert 0 < dropped < too_many
    first, second = sentences(events)
    assert "is written too slowly" in first
    assert second == f"The access log {pipe} is written too slowly; {dropped} lines were dropped so far."
    stopped = piped.stop()
    with pipe.open("rb") as reader:
        assert len(reader.readlines()) == too_many - dropped
    while not stopped.called:
        clock.run_call_from_thread()


def test_a_pipe_that_nobody_reads_holds_up_a_stop_for_two_seconds_only(
    pipe: Path, piped: AccessLog, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    piped.write(make_exchange())
    stopped = piped.stop()
    with capturedLogs() as events:
        clock.advance(access_log.STOP_SECONDS)
    assert stopped.called
    assert "takes nothing" in sentences(events)[0]
    assert not clock.getDelayedCalls()
    with pipe.open("rb") as reader:
        assert len(reader.readlines()) == 1
    clock.run_call_from_thread()


def test_a_pipe_whose_reader_left_stops_nothing(
    pipe: Path, piped: AccessLog, make_exchange: MakeExchange, clock: ThreadedClock
) -> None:
    piped.reopen()
    with pipe.open("rb"):
        pass
    with capturedLogs() as events:
        piped.write(make_exchange())
        finish(piped, clock)
    assert piped.dropped == 1
    assert "Broken pipe" in sentences(events)[0]
