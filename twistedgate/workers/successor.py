"""Asks newly installed code, in a process of its own, whether it could take the place of this program.

``python -m twistedgate.workers.successor FILE [PLACE ...]`` loads the configuration as the daemon would,
tries whether the addresses can be had that are not open yet (those at ``PLACE`` are), and prints, as the last
line, what it has to have in common with the program before: how the scoreboard is laid out, what its cells
stand for, what is said over channels, how a handover is written, and the options that only a start can
change.  With another answer an upgrade is refused, and a restart is the way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from twistedgate import __version__
from twistedgate.config.difference import FOR_A_START
from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.model import Configuration
from twistedgate.net.opened import open_listening
from twistedgate.net.parent import end_with_parent
from twistedgate.observers import cells
from twistedgate.workers import channel, handover, scoreboard
from twistedgate.workers.addresses import place
from twistedgate.workers.interpreter import run_module
from twistedgate.workers.material import collect, pack

MODULE = "twistedgate.workers.successor"

ANSWER_WITHIN = 60.0
"""Seconds after which code that has said nothing is not going to."""

MOST_LINES = 50


def agreement(configuration: Configuration) -> dict[str, object]:
    """Return what this code and its successor must agree on."""
    options = {name: str(getattr(configuration.gateway, name)) for name in FOR_A_START}
    return {
        "scoreboard": scoreboard.LAYOUT,
        "cells": cells.LAYOUT,
        "channel": channel.PROTOCOL,
        "handover": handover.FORM,
        **options,
    }


class NoSuccessor(Exception):
    """The code on disk cannot take over; ``errors`` say why."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


def ask(
    reactor: Any,
    path: str,
    environment: Mapping[str, str],
    configuration: Configuration,
    places: Collection[str],
) -> Deferred[str]:
    """Return the version of the code on disk, once it has said that it can; fails with ``NoSuccessor``.

    ``configuration`` is what this program serves, at addresses that are open at ``places``.  Raises
    ``OSError`` where no process can be started.
    """
    answer = _Answer()
    command = [*run_module(MODULE), path, *places]
    process = reactor.spawnProcess(answer, sys.executable, command, env=dict(environment))
    timer = reactor.callLater(ANSWER_WITHIN, process.signalProcess, "KILL")
    return answer.ended.addCallback(_judge, agreement(configuration), timer)


class _Answer(ProcessProtocol):
    """What a process says until it ends."""

    def __init__(self) -> None:
        self.ended: Deferred[_Answer] = Deferred()
        self.told = self.errors = b""
        self.status: int | None = None
        """``None`` if it was killed."""

    def outReceived(self, piece: bytes) -> None:
        """Keep it."""
        self.told += piece

    def errReceived(self, piece: bytes) -> None:
        """Keep it."""
        self.errors += piece

    def processEnded(self, reason: Failure) -> None:
        """It has said everything."""
        ended: Any = reason.value
        self.status = ended.exitCode
        self.ended.callback(self)


def _judge(answer: _Answer, ours: Mapping[str, object], timer: Any) -> str:
    if not timer.active():
        raise NoSuccessor([f"the code on disk said nothing for {ANSWER_WITHIN:g} s"])
    timer.cancel()
    if answer.status != 0:
        lines = [line for line in answer.errors.decode(errors="replace").splitlines() if line.strip()]
        status = "was killed" if answer.status is None else f"ended with status {answer.status}"
        raise NoSuccessor(lines[-MOST_LINES:] or [f"the code on disk {status}"])
    # what it imports may print something, too
    answered = orjson.loads(answer.told.rstrip().rpartition(b"\n")[2])
    differing = sorted(name for name in ours if answered["agreement"].get(name) != ours[name])
    if differing:
        what = ", ".join(differing)
        raise NoSuccessor(
            [f"version {answered['version']} differs in its {what}: it wants a restart instead of an upgrade"]
        )
    version: str = answered["version"]
    return version


def main(arguments: Sequence[str]) -> int:
    """Answer; return the exit status."""
    from twistedgate.published import all_units

    path, *places = arguments
    try:
        configuration = all_units().load(path)
    except ConfigurationErrors as errors:
        return _refuse(map(str, errors.errors))
    try:
        pack(configuration, collect(configuration))
    except ValueError as error:
        return _refuse([str(error)])
    if unavailable := list(_unavailable(configuration, places)):
        return _refuse(unavailable)
    told = orjson.dumps({"version": __version__, "agreement": agreement(configuration)})
    sys.stdout.write(f"{told.decode()}\n")
    return 0


def _refuse(errors: Iterable[str]) -> int:
    for error in errors:
        sys.stderr.write(f"{error}\n")
    return 1


def _unavailable(configuration: Configuration, places: Collection[str]) -> Iterator[str]:
    """Return what is wrong with addresses that the program before has not opened."""
    for name, config in configuration.listeners.items():
        # what systemd passes is the daemon's: it is not here
        if place(config) not in places and config.endpoint.scheme != "systemd":
            try:
                open_listening(config).close()
            except CannotListenError as error:
                yield f"[listener:{name}] endpoint: {config.endpoint}: {error}"


if __name__ == "__main__":
    # with whoever has asked: nobody waits for the answer any more
    end_with_parent(os.getppid())
    sys.exit(main(sys.argv[1:]))
