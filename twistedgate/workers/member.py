"""One worker as the supervisor sees it: a process, the channel to it, and what it has answered.

A worker is gone when its process has ended.  What it said before that is heard first.  A worker that an
earlier program of this process spawned is still its child: nobody but us reaps it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from twistedgate.net.streams import inherited_streams, is_heard
from twistedgate.workers.channel import Channel, Message, adopt, adopt_again, pair
from twistedgate.workers.logs import LONGEST_TEXT, relog

ERROR = 2
"""The descriptor of standard error."""

CHANNEL = 3
"""The descriptor of a worker's channel."""

SCOREBOARD = 4
"""The descriptor of the scoreboard."""


class Minder(Protocol):
    """Whoever minds the workers."""

    def heard(self, member: Member, message: Message) -> None:
        """A worker said something."""

    def ended(self, member: Member, how: str) -> None:
        """A worker's process is gone; ``how`` says so in words, such as ``killed by SIGKILL``."""


class Member:
    """One worker."""

    def __init__(self, slot: int, row: int, minder: Minder) -> None:
        """``slot`` is one of those that the roster keeps, ``row`` its own of the scoreboard."""
        self.slot = slot
        self.row = row
        self.pid = 0
        self.is_ready = False
        self.is_draining = False
        self.upstreams = ""
        """Tells one configuration of upstreams from another: the one that it serves, empty for none."""
        self.channel = Channel(self._received, self._lost)
        self._minder = minder
        self._process: Any = None
        self._answers: dict[int, Deferred[list[str]]] = {}
        self._how = ""
        """How the process ended, empty while it has not."""
        self._is_silent = False
        """Whether everything that it said was heard."""
        self.is_over = False

    def __repr__(self) -> str:
        state = (
            "over"
            if self.is_over
            else "draining"
            if self.is_draining
            else "ready"
            if self.is_ready
            else "starting"
        )
        return f"<worker {self.number} pid={self.pid} row={self.row} {state}>"

    @property
    def number(self) -> int:
        """As people count."""
        return self.slot + 1

    @property
    def is_ours(self) -> bool:
        """Whether it was started by this program, and runs the same code."""
        return self._process is not None

    # how it comes to be

    def spawn(
        self, reactor: Any, command: Sequence[str], scoreboard: int, environment: Mapping[str, str]
    ) -> None:
        """Start the process; raises ``OSError`` where there can be none."""
        ours, theirs = pair()
        try:
            self._process = reactor.spawnProcess(
                _Watch(self._exited, self._complained),
                command[0],
                command,
                env=environment,
                childFDs={**_streams(), CHANNEL: theirs, SCOREBOARD: scoreboard},
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self.pid = self._process.pid
        try:
            adopt(reactor, ours, self.channel)
        except OSError:
            # no descriptor is left for the channel: one that can be told nothing would stay for ever
            self.kill()
            raise

    def inherit(self, reactor: Any, pid: int, descriptor: int, unread: bytes) -> None:
        """Take over a worker of an earlier program of this process."""
        self.pid = pid
        adopt_again(reactor, descriptor, self.channel, unread)

    # what it is told

    def tell(self, kind: str, blob: bytes = b"", descriptors: tuple[int, ...] = (), **fields: Any) -> None:
        """Say something to it; one that is going does not hear it."""
        self.channel.send(kind, blob, descriptors, **fields)

    def ask(
        self, kind: str, revision: int, blob: bytes = b"", descriptors: tuple[int, ...] = (), **fields: Any
    ) -> Deferred[list[str]]:
        """Have it prepare or commit; fires with what is wrong, empty for done, also if it goes first."""
        answer: Deferred[list[str]] = Deferred()
        self._answers[revision] = answer
        if not self.channel.send(kind, blob, descriptors, revision=revision, **fields):
            self._answer(revision, [])
        return answer

    def _answer(self, revision: int, errors: list[str]) -> None:
        answer = self._answers.pop(revision, None)
        if answer is not None:
            answer.callback(errors)

    def give_up_waiting(self, revision: int, error: str) -> None:
        """Answer in its place."""
        self._answer(revision, [error])

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._how:
            return
        with suppress(ProcessExitedAlready, ProcessLookupError):
            if self._process is not None:
                self._process.signalProcess("KILL")
            else:
                os.kill(self.pid, signal.SIGKILL)

    # what it says, and how it ends

    def _received(self, message: Message) -> None:
        if message.kind in {"prepared", "committed"}:
            self._answer(message.fields["revision"], message.fields.get("errors", []))
        else:
            self._minder.heard(self, message)

    def _lost(self) -> None:
        self._is_silent = True
        self._reap()
        self._end()

    def _exited(self, how: str) -> None:
        self._how = how
        self._end()

    def _complained(self, line: str) -> None:
        """Log what an interpreter says that cannot go on: nobody else would hear it."""
        relog({"namespace": "stderr", "level": "error", "text": line}, self.number)

    def check(self) -> None:
        """Look after it, once in a while: one without a channel can be told nothing, and has had its time."""
        self._reap()
        if self._is_silent:
            self.kill()

    def _reap(self) -> None:
        """Look whether an inherited worker has ended; Twisted looks after those that were spawned here."""
        if self._process is not None or self._how:
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self._exited("gone")
            return
        if pid:
            self._exited(_told(os.waitstatus_to_exitcode(status)))

    def _end(self) -> None:
        """Tell once, when the process is gone and everything that it said was heard."""
        if not self._how or not self._is_silent or self.is_over:
            return
        self.is_over = True
        for revision in list(self._answers):
            self._answer(revision, [])
        self._minder.ended(self, self._how)


class _Watch(ProcessProtocol):
    """Waits for the end of a process, and hears its standard error where that is ours."""

    def __init__(self, exited: Callable[[str], None], complained: Callable[[str], None]) -> None:
        self._exited = exited
        self._complained = complained
        self._line = ""

    def errReceived(self, data: bytes) -> None:
        """Tell each line, and a long one in pieces."""
        *lines, self._line = (self._line + data.decode(errors="backslashreplace")).split("\n")
        if len(self._line) > LONGEST_TEXT:
            lines.append(self._line)
            self._line = ""
        for line in filter(str.strip, lines):
            self._complained(line)

    def processEnded(self, reason: Failure) -> None:
        """Tell what was said last: whoever a worker had started may have gone on speaking for it."""
        self.errReceived(b"\n")

    def processExited(self, reason: Failure) -> None:
        """Tell how."""
        if reason.check(ProcessDone):
            self._exited(_told(0))
        else:
            value: Any = reason.value
            self._exited(_told(value.exitCode if value.signal is None else -value.signal))


def _streams() -> dict[int, int | str]:
    """Return what a worker is given of standard input, output and error."""
    streams: dict[int, int | str] = {**inherited_streams()}
    if ERROR in streams and not is_heard(ERROR):
        streams[ERROR] = "r"
    return streams


def _told(status: int) -> str:
    """Say in words how a process ended; a signal's number is negative."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
