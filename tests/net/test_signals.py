"""Signals of an operator: handed to the reactor, and twistd's own is not forgotten."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from twistedgate.net.signals import install_signals

TRIED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


class Turns:
    """A reactor of which only the next turn matters."""

    def __init__(self) -> None:
        self.next: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[[], object]) -> None:
        self.next.append(call)

    def turn(self) -> None:
        calls, self.next = self.next, []
        for call in calls:
            call()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in TRIED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_each_signal_has_its_call_in_the_next_turn() -> None:
    reactor = Turns()
    told: list[str] = []
    install_signals(
        reactor,
        {signal.SIGHUP: lambda: told.append("reload"), signal.SIGUSR2: lambda: told.append("upgrade")},
    )
    send(signal.SIGUSR2, signal.SIGHUP)
    assert told == []
    reactor.turn()
    assert sorted(told) == ["reload", "upgrade"]


def test_a_signal_may_come_again() -> None:
    reactor = Turns()
    told: list[int] = []
    install_signals(reactor, {signal.SIGHUP: lambda: told.append(1)})
    for _ in range(3):
        send(signal.SIGHUP)
    reactor.turn()
    assert told == [1, 1, 1]


def test_twistd_reopens_its_own_log_too() -> None:
    reactor = Turns()
    told: list[object] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))
    install_signals(reactor, {signal.SIGUSR1: lambda: told.append("ours")})
    send(signal.SIGUSR1)
    assert told == [signal.SIGUSR1]
    reactor.turn()
    assert told == [signal.SIGUSR1, "ours"]


def test_no_other_handler_is_kept() -> None:
    reactor = Turns()
    told: list[object] = []
    signal.signal(signal.SIGHUP, lambda number, frame: told.append(number))
    install_signals(reactor, {signal.SIGHUP: lambda: told.append("ours")})
    send(signal.SIGHUP)
    reactor.turn()
    assert told == ["ours"]


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
def test_there_need_not_be_a_handler_before(before: signal.Handlers) -> None:
    reactor = Turns()
    told: list[str] = []
    signal.signal(signal.SIGUSR1, before)
    install_signals(reactor, {signal.SIGUSR1: lambda: told.append("ours")})
    send(signal.SIGUSR1)
    reactor.turn()
    assert told == ["ours"]
