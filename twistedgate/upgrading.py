"""An upgrade: newly installed code takes the place of this program, and no request is lost.

The new code is asked first, in a process of its own, whether it can read the configuration and go on with
what this program leaves.  Then this one executes it in its place: sockets, workers, counts and what is known
of targets stay, workers serve meanwhile, and the new program replaces them one by one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.admin.view import Outcome
from twistedgate.net.notify import unnotified
from twistedgate.net.opened import User
from twistedgate.workers.handover import hold_signals, leave, release_signals, replace_program, withdraw
from twistedgate.workers.successor import NoSuccessor, ask

if TYPE_CHECKING:
    from twistedgate.workers.supervisor import Supervisor

TOLD_WITHIN = 0.1
"""Seconds in which whoever asked is told: the connection to him ends with this program."""

AGAIN = 0.01
"""Seconds until it is looked again whether anything is in the way, such as a reload under way."""

TRIES = 500
"""Looks after which the upgrade is given up."""

_log = Logger()


def _folder() -> str:
    """Return where this process is, as far as that can be told."""
    try:
        return str(Path.cwd())
    except OSError:
        return "."


@dataclass(frozen=True, slots=True)
class Program:
    """How this program was started, and whether it can be started anew in its place."""

    arguments: tuple[str, ...] = ()
    is_foreground: bool = True
    pidfile: str = ""
    folder: str = "."
    """Where it was started: paths among its arguments may start there."""
    user: User | None = None
    """Who it becomes once its addresses are open; it is somebody already if ``None``."""

    @classmethod
    def of_this_process(cls, is_foreground: bool, pidfile: str, user: User | None = None) -> Program:
        """Return the program that runs; to be called before it goes to another folder."""
        return cls((sys.executable, *sys.orig_argv[1:]), is_foreground, pidfile, _folder(), user)


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
        self.hindrance: Callable[[], str] = lambda: ""
        """Returns why this program cannot be replaced now, empty if it can."""
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
        asked = maybeDeferred(
            ask,
            self._reactor,
            str(Path(self._program.folder, self._path)),
            unnotified(os.environ),
            self._supervisor.configuration,
            list(self._supervisor.sockets.places),
        )
        return asked.addCallbacks(self._go_on, self._refuse)

    def _refusal(self) -> str:
        if self._is_under_way:
            return "an upgrade is under way"
        if not self._program.is_foreground:
            return "twistd runs in the background: its successor would be another process; start it with -n"
        return self.hindrance() or self._supervisor.unready_to_leave

    def _go_on(self, version: str) -> Outcome:
        said = f"version {version} takes over"
        _log.info("upgrade: {said}", said=said)
        self._reactor.callLater(TOLD_WITHIN, self._take_over, TRIES)
        return Outcome(said)

    def _refuse(self, failure: Failure) -> Outcome:
        self._is_under_way = False
        if failure.check(NoSuccessor):
            error: Any = failure.value
            return _refused(error.errors)
        _log.failure("the code on disk could not be asked", failure)
        return _refused(("the code on disk could not be asked; the gateway's log has the traceback",))

    def _take_over(self, tries: int) -> None:
        """Leave, as soon as nothing is in the way: what was asked of this program is done by it."""
        hold_signals()
        try:
            hindrance = self._hindrance()
            if not hindrance:
                self._leave()
            elif tries:
                self._reactor.callLater(AGAIN, self._take_over, tries - 1)
            else:
                self._give_up(hindrance)
        finally:
            release_signals()

    def _hindrance(self) -> str:
        if self._reactor.threadCallQueue:
            # a signal that came before they were held back is among it
            return "this program is too busy"
        return self.hindrance() or self._supervisor.unready_to_leave or self._supervisor.unsettled

    def _give_up(self, why: object) -> None:
        self._is_under_way = False
        _log.error("the upgrade is given up: {why}", why=why)

    def _leave(self) -> None:
        handover = self._supervisor.handover(self.opened)
        folder, pidfile = _folder(), Pidfile(self._program.pidfile)
        self._begins(True)
        try:
            pidfile.take_away()
            leave(handover, os.environ)
            os.chdir(self._program.folder)
            self._replace(list(self._program.arguments), os.environ)
        except OSError as error:
            os.chdir(folder)
            withdraw(handover, os.environ)
            pidfile.put_back()
            self._begins(False)
            self._give_up(error)


class Pidfile:
    """The file that says which process this is: twistd refuses to start where there is one."""

    def __init__(self, path: str) -> None:
        """``path`` is empty if there is none."""
        self._path = path
        self._said: bytes | None = None

    def take_away(self) -> None:
        """Take it away; raises ``OSError`` if that cannot be."""
        if self._path:
            with suppress(FileNotFoundError):
                said = Path(self._path).read_bytes()
                Path(self._path).unlink()
                self._said = said

    def put_back(self) -> None:
        """Have it as it was."""
        if self._said is not None:
            Path(self._path).write_bytes(self._said)


def _refused(errors: tuple[str, ...]) -> Outcome:
    for error in errors:
        _log.error("upgrade refused: {error}", error=error)
    return Outcome(errors=errors)
