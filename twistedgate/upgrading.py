"""An upgrade: newly installed code takes the place of this program, and no request is lost.

The new code is asked first, in a process of its own, whether it can read the configuration and go on with
what this program leaves.  Then this one executes it in its place: sockets, workers and counts stay, workers
serve meanwhile, and the new program replaces them one by one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.admin.view import Outcome
from twistedgate.net.notify import unnotified
from twistedgate.workers.handover import leave, replace_program, withdraw
from twistedgate.workers.successor import NoSuccessor, ask
from twistedgate.workers.supervisor import Supervisor

TOLD_WITHIN = 0.1
"""Seconds in which whoever asked is told: the connection to him ends with this program."""

AGAIN = 0.01
"""Seconds until it is looked again whether workers have taken everything that was said to them."""

TRIES = 500

_log = Logger()


@dataclass(frozen=True, slots=True)
class Program:
    """How this program was started, and whether it can be started anew in its place."""

    arguments: tuple[str, ...] = ()
    is_foreground: bool = True
    pidfile: str = ""

    @classmethod
    def of_this_process(cls, is_foreground: bool, pidfile: str) -> Program:
        """Return the program that runs."""
        return cls((sys.executable, *sys.orig_argv[1:]), is_foreground, pidfile)


NO_PROGRAM = Program(is_foreground=False)
"""One that nothing can take the place of."""


class Upgrading:
    """Replaces this program."""

    def __init__(
        self,
        reactor: Any,
        path: str,
        supervisor: Supervisor,
        program: Program,
        begins: Callable[[bool], object],
    ) -> None:
        """``begins`` is called with ``True`` before the program is replaced, with ``False`` if it is not."""
        self.opened = 0.0
        """When the first program began to serve, in seconds since 1970."""
        self._reactor = reactor
        self._path = path
        self._supervisor = supervisor
        self._program = program
        self._begins = begins
        self._replace: Callable[[list[str], MutableMapping[str, str]], None] = replace_program
        self._is_under_way = False

    def ask(self) -> Deferred[Outcome]:
        """Begin an upgrade; tells whether the new code is going to take over, or why not."""
        refusal = self._refusal()
        if refusal:
            return succeed(_refused((refusal,)))
        self._is_under_way = True
        asked = ask(self._reactor, self._path, unnotified(os.environ))
        return asked.addCallbacks(self._go_on, self._give_up)

    def _refusal(self) -> str:
        if self._is_under_way:
            return "an upgrade is under way"
        if not self._program.is_foreground:
            return "twistd runs in the background: its successor would be another process; start it with -n"
        return self._supervisor.unready_to_leave

    def _go_on(self, version: str) -> Outcome:
        said = f"version {version} takes over"
        _log.info("upgrade: {said}", said=said)
        self._reactor.callLater(TOLD_WITHIN, self._take_over, TRIES)
        return Outcome(said)

    def _give_up(self, failure: Failure) -> Outcome:
        self._is_under_way = False
        if failure.check(NoSuccessor):
            error: Any = failure.value
            return _refused(error.errors)
        _log.failure("the code on disk could not be asked", failure)
        return _refused(("the code on disk could not be asked; the gateway's log has the traceback",))

    def _take_over(self, tries: int) -> None:
        if self._supervisor.unsent and tries:
            self._reactor.callLater(AGAIN, self._take_over, tries - 1)
            return
        why = self._supervisor.unready_to_leave or (
            "workers do not listen" if self._supervisor.unsent else ""
        )
        if why:
            self._is_under_way = False
            _log.error("the upgrade is given up: {why}", why=why)
            return
        self._begins(True)
        handover = self._supervisor.handover(self.opened)
        leave(handover, os.environ)
        if self._program.pidfile:
            with suppress(OSError):
                Path(self._program.pidfile).unlink()
        try:
            self._replace(list(self._program.arguments), os.environ)
        except OSError as error:
            withdraw(handover, os.environ)
            self._is_under_way = False
            self._begins(False)
            _log.error("the upgrade is given up: {error}", error=error)


def _refused(errors: tuple[str, ...]) -> Outcome:
    for error in errors:
        _log.error("upgrade refused: {error}", error=error)
    return Outcome(errors=errors)
