"""A coroutine stepped by hand: what it waits for, what is thrown at it, and how it ends."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from tests.conftest import LoggedFailures
from twistedgate.errors import ClientGone
from twistedgate.net.task import Signal, Task


class Run:
    """A task that writes down what happens to it."""

    def __init__(self, coroutine: Callable[[Run], Coroutine[Any, Any, None]]) -> None:
        self.seen: list[Any] = []
        self.ends = 0
        self.task = Task(coroutine(self), self._ended)
        self.task.step()

    def _ended(self) -> None:
        self.ends += 1


async def note(run: Run, waited: Awaitable[Any]) -> None:
    """Write down the value of ``waited``, or what it raises."""
    try:
        run.seen.append(await waited)
    except BaseException as error:  # noqa: BLE001 -- whatever it is
        run.seen.append(type(error))


# Signals


def test_waits_for_a_signal() -> None:
    signal: Signal[int] = Signal()
    run = Run(lambda run: note(run, signal))
    assert (run.seen, run.task.is_done, signal.is_set) == ([], False, False)
    signal.set(5)
    assert (run.seen, run.ends, run.task.is_done, signal.is_set) == ([5], 1, True, True)


def test_does_not_wait_for_a_signal_that_is_set() -> None:
    signal: Signal[int] = Signal()
    signal.set(5)
    run = Run(lambda run: note(run, signal))
    assert (run.seen, run.ends) == ([5], 1)


@pytest.mark.parametrize("is_before", [True, False])
def test_a_signal_can_be_an_error(is_before: bool) -> None:
    signal: Signal[int] = Signal()
    if is_before:
        signal.fail(KeyError("a"))
    run = Run(lambda run: note(run, signal))
    if not is_before:
        signal.fail(KeyError("a"))
    assert (run.seen, run.ends) == ([KeyError], 1)


@pytest.mark.parametrize("first", ["value", "error"])
def test_a_signal_is_set_once(first: str) -> None:
    signal: Signal[int] = Signal()
    if first == "value":
        signal.set(1)
    else:
        signal.fail(KeyError())
    signal.set(2)
    signal.fail(ValueError())
    run = Run(lambda run: note(run, signal))
    assert run.seen == [1 if first == "value" else KeyError]


def test_a_signal_without_a_task_keeps_its_value_until_it_is_taken() -> None:
    signal: Signal[str] = Signal()
    signal.set("kept")
    assert [Run(lambda run: note(run, signal)).seen for _ in range(2)] == [["kept"], [None]]


def test_a_signal_that_was_taken_can_be_had_again_and_keeps_nothing() -> None:
    signal: Signal[list[int]] = Signal()
    for number in range(3):
        signal.renew()
        run = Run(lambda run: note(run, signal))
        assert (signal.is_set, run.seen) == (False, [])
        value = [number]
        signal.set(value)
        assert (signal.is_set, run.seen) == (True, [[number]])
        assert not any(isinstance(holder, Signal) for holder in gc.get_referrers(value))


def test_one_task_may_set_the_signal_that_another_waits_for() -> None:
    signal: Signal[str] = Signal()
    waiting = Run(lambda run: note(run, signal))

    async def give(run: Run) -> None:
        signal.set("given")
        run.seen.append(list(waiting.seen))

    assert Run(give).seen == [["given"]]
    assert waiting.ends == 1


# Deferreds


def test_waits_for_a_deferred() -> None:
    deferred: Deferred[int] = Deferred()
    run = Run(lambda run: note(run, deferred))
    assert run.seen == []
    deferred.callback(5)
    assert (run.seen, run.ends) == ([5], 1)


def test_takes_the_result_of_a_deferred_that_has_one() -> None:
    assert Run(lambda run: note(run, succeed(5))).seen == [5]


@pytest.mark.parametrize("is_before", [True, False])
def test_raises_the_failure_of_a_deferred(is_before: bool) -> None:
    deferred: Deferred[int] = Deferred()
    if is_before:
        deferred.errback(KeyError("a"))
    run = Run(lambda run: note(run, deferred))
    if not is_before:
        deferred.errback(KeyError("a"))
    assert (run.seen, run.ends) == ([KeyError], 1)


def test_waits_for_the_deferred_that_a_deferred_waits_for() -> None:
    outer: Deferred[int] = Deferred()
    inner: Deferred[int] = Deferred()
    outer.addCallback(lambda _: inner)
    run = Run(lambda run: note(run, outer))
    outer.callback(1)
    assert run.seen == []
    inner.callback(2)
    assert run.seen == [2]


def test_waits_for_one_thing_after_another() -> None:
    signal: Signal[str] = Signal()
    deferred: Deferred[str] = Deferred()

    async def both(run: Run) -> None:
        await note(run, signal)
        await note(run, deferred)
        signal.renew()
        await note(run, signal)

    run = Run(both)
    deferred.callback("second")
    assert run.seen == []
    signal.set("first")
    assert (run.seen, run.ends) == (["first", "second"], 0)
    signal.set("third")
    assert (run.seen, run.ends) == (["first", "second", "third"], 1)


# What is thrown


def test_is_thrown_where_a_signal_is_waited_for() -> None:
    signal: Signal[int] = Signal()
    run = Run(lambda run: note(run, signal))
    run.task.throw(ClientGone())
    assert (run.seen, run.ends) == ([ClientGone], 1)
    signal.set(5)
    assert (run.seen, run.ends) == ([ClientGone], 1)


def test_a_deferred_that_is_waited_for_is_cancelled_and_the_task_sees_what_was_thrown() -> None:
    cancelled: list[Deferred[Any]] = []
    deferred: Deferred[int] = Deferred(cancelled.append)
    run = Run(lambda run: note(run, deferred))
    run.task.throw(ClientGone())
    assert cancelled == [deferred]
    assert (run.seen, run.ends) == ([ClientGone], 1)


def test_a_canceller_that_gives_a_result_does_not_hide_what_was_thrown() -> None:
    deferred: Deferred[int] = Deferred(lambda deferred: deferred.callback(5))
    run = Run(lambda run: note(run, deferred))
    run.task.throw(ClientGone())
    assert run.seen == [ClientGone]


def test_the_deferred_that_a_deferred_waits_for_is_cancelled() -> None:
    cancelled: list[Deferred[Any]] = []
    outer: Deferred[None] = Deferred()
    inner: Deferred[None] = Deferred(cancelled.append)
    outer.addCallback(lambda _: inner)
    later: Signal[str] = Signal()

    async def both(run: Run) -> None:
        await note(run, outer)
        await note(run, later)

    run = Run(both)
    outer.callback(None)
    run.task.throw(ClientGone())
    assert cancelled == [inner]
    assert (run.seen, run.ends) == ([ClientGone], 0)
    later.set("resumed once, by what it waits for")
    assert run.seen == [ClientGone, "resumed once, by what it waits for"]


def test_nobody_else_sees_a_cancelled_deferred_as_an_error() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[object] = []
    run = Run(lambda run: note(run, deferred))
    run.task.throw(ClientGone())
    deferred.addBoth(seen.append)
    assert seen == [None]


def test_a_cancelled_deferred_of_somebody_else_is_an_error_like_any() -> None:
    deferred: Deferred[int] = Deferred()
    run = Run(lambda run: note(run, deferred))
    deferred.cancel()
    assert run.seen == [CancelledError]


@pytest.mark.parametrize("kind", ["signal", "deferred", "chained"])
def test_what_is_thrown_while_it_runs_is_raised_at_the_next_wait(kind: str) -> None:
    started: Signal[None] = Signal()
    chained: Deferred[None] = succeed(None)
    waited: Awaitable[Any] = {"signal": Signal(), "deferred": Deferred(), "chained": chained}[kind]
    if kind == "chained":
        chained.addCallback(lambda _: Deferred())

    async def work(run: Run) -> None:
        await started
        run.task.throw(ClientGone())
        run.seen.append("goes on to its next wait")
        await note(run, waited)

    run = Run(work)
    started.set(None)
    assert (run.seen, run.ends) == (["goes on to its next wait", ClientGone], 1)


def test_what_is_thrown_at_a_task_that_waits_no_more_is_nobodys() -> None:
    ready: Signal[None] = Signal()

    async def work(run: Run) -> None:
        await ready
        run.task.throw(ClientGone())
        run.seen.append(await succeed("there already"))

    run = Run(work)
    ready.set(None)
    assert (run.seen, run.ends, run.task.is_done) == (["there already"], 1, True)


def test_a_task_may_go_on_after_what_was_thrown() -> None:
    first: Signal[int] = Signal()
    second: Signal[int] = Signal()

    async def both(run: Run) -> None:
        await note(run, first)
        await note(run, second)

    run = Run(both)
    run.task.throw(KeyError())
    first.set(1)
    assert (run.seen, run.ends) == ([KeyError], 0)
    second.set(2)
    assert (run.seen, run.ends) == ([KeyError, 2], 1)


def test_a_task_that_has_not_begun_can_be_ended() -> None:
    ended = []
    seen = []

    async def never() -> None:
        seen.append("begun")

    task = Task(never(), lambda: ended.append(True))
    task.throw(ClientGone())
    task.step()
    assert (seen, ended, task.is_done) == ([], [True], True)


def test_nothing_happens_to_a_task_that_has_ended() -> None:
    signal: Signal[int] = Signal()
    run = Run(lambda run: note(run, signal))
    signal.set(1)
    run.task.throw(KeyError())
    run.task.step()
    assert (run.seen, run.ends) == ([1], 1)


# How it ends


def test_what_must_be_given_back_is_given_back() -> None:
    async def work(run: Run) -> None:
        try:
            await Signal()
        finally:
            run.seen.append("given back")

    run = Run(work)
    run.task.throw(ClientGone())
    assert (run.seen, run.ends) == (["given back"], 1)


def test_no_broad_catch_takes_a_departed_client_for_a_fault() -> None:
    async def work(run: Run) -> None:
        try:
            await Deferred()
        except Exception:  # noqa: BLE001 -- the broad catch
            run.seen.append("a fault")

    run = Run(work)
    run.task.throw(ClientGone())
    assert (run.seen, run.ends) == ([], 1)


def test_a_departed_client_is_not_logged(logged_failures: LoggedFailures) -> None:
    async def leave(run: Run) -> None:
        raise ClientGone

    assert Run(leave).ends == 1
    assert logged_failures.flush() == []


@pytest.mark.parametrize("error", [KeyError, CancelledError, GeneratorExit])
def test_any_other_error_is_logged_and_ends_the_task(
    error: type[BaseException], logged_failures: LoggedFailures
) -> None:
    async def fail(run: Run) -> None:
        raise error("of ours")

    run = Run(fail)
    assert (run.ends, run.task.is_done) == (1, True)
    assert len(logged_failures.flush(error)) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_through(error: type[BaseException]) -> None:
    ended = []

    async def interrupt() -> None:
        raise error

    task = Task(interrupt(), lambda: ended.append(True))
    with pytest.raises(error):
        task.step()
    assert ended == [True]


def test_a_task_that_ended_takes_another_coroutine() -> None:
    signals: list[Signal[int]] = [Signal(), Signal()]
    seen: list[int] = []
    ended: list[int] = []

    async def work(number: int) -> None:
        seen.append(await signals[number])

    task = Task(work(0), lambda: ended.append(0))
    task.step()
    signals[0].set(5)
    task.renew(work(1), lambda: ended.append(1))
    assert not task.is_done
    task.step()
    signals[1].set(6)
    assert (seen, ended, task.is_done) == ([5, 6], [0, 1], True)


def test_what_was_thrown_at_the_end_of_one_coroutine_is_not_thrown_at_the_next() -> None:
    seen: list[str] = []

    async def leave() -> None:
        task.throw(ClientGone())

    async def work() -> None:
        await succeed(None)
        seen.append("served")

    task = Task(leave(), lambda: None)
    task.step()
    task.renew(work(), lambda: None)
    task.step()
    assert (seen, task.is_done) == (["served"], True)


def test_a_task_that_ended_leaves_no_cycle() -> None:
    def run() -> None:
        signal: Signal[int] = Signal()
        ended: list[bool] = []

        async def work() -> None:
            await signal
            await succeed(1)

        task = Task(work(), lambda: ended.append(True))
        task.step()
        signal.set(1)
        assert ended == [True]

    run()
    gc.collect()
    gc.disable()
    try:
        run()
        assert gc.collect() == 0
    finally:
        gc.enable()
