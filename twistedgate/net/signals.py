"""The signals that an operator sends: stop, reload, reopen the log.

Handlers are set once the reactor runs, since it sets its own when it starts.  Each handler only asks the
reactor to do something in its next turn.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any


def install_signals(reactor: Any, calls: Mapping[signal.Signals, Callable[[], object]]) -> None:
    """Call each of ``calls`` when its signal comes; twistd still reopens its log on SIGUSR1."""
    for number, call in calls.items():
        _install(reactor, number, call)


def _install(reactor: Any, number: signal.Signals, call: Callable[[], object]) -> None:
    previous = signal.getsignal(number) if number == signal.SIGUSR1 else None

    def receive(received: int, frame: Any) -> None:
        if callable(previous):
            previous(received, frame)
        reactor.callFromThread(call)

    signal.signal(number, receive)
