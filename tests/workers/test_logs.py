"""Events of a worker arrive in the supervisor's log as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, LogPublisher, capturedLogs, eventAsText, formatEvent
from twisted.python import log as classic_log

from tests.conftest import LoggedFailures
from tests.net.loop import Loop, a_loop
from twistedgate.workers.channel import Channel, Message, adopt, pair
from twistedgate.workers.logs import LONGEST_TEXT, WorkerLog, record_of, relog


class Worker:
    """A log of its own, and what it sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.has_channel = True
        self.calls: list[tuple[Any, ...]] = []
        self.observer = WorkerLog(self.send, lambda *call: self.calls.append(call))
        self.log = Logger("twistedgate.part", observer=LogPublisher(self.observer))

    def send(self, **record: str) -> bool:
        self.sent.append(record)
        return self.has_channel


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_an_event_becomes_a_record(worker: Worker) -> None:
    worker.log.emit(LogLevel.warn, "{count} connections are cut", count=3)
    assert worker.sent == [
        {"level": "warn", "namespace": "twistedgate.part", "text": "3 connections are cut"}
    ]


def test_the_supervisor_logs_it_again_and_says_whose_it_was(worker: Worker) -> None:
    worker.log.error("it {broke}", broke="{broke}")
    with capturedLogs() as logged:
        relog(worker.sent[0], 2)
    (event,) = logged
    assert formatEvent(event) == "worker 2: it {broke}"
    assert (event["log_level"], event["log_namespace"]) == (LogLevel.error, "twistedgate.part")
    assert eventAsText(event, includeTimestamp=False).startswith("[twistedgate.part#error] worker 2:")


def test_a_failure_comes_with_its_traceback(worker: Worker) -> None:
    try:
        raise ZeroDivisionError("by nought")
    except ZeroDivisionError:
        worker.log.failure("it cannot be divided")
    (record,) = worker.sent
    assert record["level"] == "critical"
    assert record["text"].startswith("it cannot be divided\nTraceback")
    assert "by nought" in record["text"]
    assert __file__ in record["text"]


def test_what_twisteds_older_log_says_comes_too(worker: Worker, logged_failures: LoggedFailures) -> None:
    with capturedLogs() as logged:
        classic_log.msg("said")
        classic_log.err(ZeroDivisionError("by nought"), "it broke")
    texts = [record_of(event) for event in logged]
    assert texts[0] == {"level": "info", "namespace": "log_legacy", "text": "said"}
    assert texts[1] is not None
    assert texts[1]["level"] == "critical"
    assert texts[1]["text"].startswith("it broke")
    assert "ZeroDivisionError" in texts[1]["text"]
    logged_failures.flush(ZeroDivisionError)


def test_an_event_without_words_is_no_record(worker: Worker) -> None:
    worker.observer({"log_level": LogLevel.info, "log_namespace": "x"})
    assert worker.sent == []


def test_of_a_long_text_begin_and_end_are_kept(worker: Worker) -> None:
    worker.log.info("{text}", text=f"begin {'x' * 3 * LONGEST_TEXT} end")
    text = worker.sent[0]["text"]
    assert text.startswith("begin xxx")
    assert text.endswith("xxx end")
    assert f"[{2 * LONGEST_TEXT + 10} characters are left out]" in text
    assert len(text) < LONGEST_TEXT + 100


@given(st.text(st.characters(codec=None), max_size=50))
def test_any_text_can_travel(text: str) -> None:
    worker = Worker()
    worker.log.info("it said {text}", text=text)
    (record,) = worker.sent
    assert orjson.loads(orjson.dumps(record)) == record


def test_without_a_channel_it_is_written_to_standard_error(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker.has_channel = False
    worker.log.error("the supervisor is gone")
    assert capfd.readouterr().err == "[twistedgate.part#error] the supervisor is gone\n"


def test_what_sending_says_is_not_sent(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    def send(**record: str) -> bool:
        worker.sent.append(record)
        log.info("while sending")
        return True

    log = Logger("x", observer=LogPublisher(WorkerLog(send, lambda *call: None)))
    log.info("first")
    assert [record["text"] for record in worker.sent] == ["first"]
    assert capfd.readouterr().err == "[x#info] while sending\n"
    log.info("second")
    assert len(worker.sent) == 2


def test_events_of_other_threads_are_sent_from_this_one(worker: Worker) -> None:
    thread = threading.Thread(target=lambda: worker.log.info("from afar"))
    thread.start()
    thread.join()
    assert worker.sent == []
    ((call, *arguments),) = worker.calls
    call(*arguments)
    assert [record["text"] for record in worker.sent] == ["from afar"]


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


def test_over_a_channel_nothing_is_lost_when_the_worker_ends(loop: Loop) -> None:
    ours, theirs = pair()
    heard: list[str] = []
    losses: list[bool] = []

    def receive(message: Message) -> None:
        if message.kind == "log":
            relog(message.fields, 1)

    supervisors = Channel(receive, lambda: losses.append(True))
    workers = Channel(lambda message: None, lambda: None)
    adopt(loop.reactor, ours, supervisors)
    adopt(loop.reactor, theirs, workers)
    observer = WorkerLog(lambda **record: workers.send("log", **record), loop.reactor.callFromThread)
    log = Logger("twistedgate.worker", observer=LogPublisher(observer))
    with capturedLogs() as logged:
        for number in range(300):
            log.info("{number}: {text}", number=number, text="x" * 1000)
        workers.close()
        loop.until(lambda: losses)
        heard = [formatEvent(event) for event in logged if event["log_namespace"] == "twistedgate.worker"]
    assert [line.split(":")[1].strip() for line in heard] == [str(number) for number in range(300)]
