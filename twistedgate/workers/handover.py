"""What a program leaves to the next one of the same process: sockets, workers, counts, targets.

``execve`` keeps the process: its pid, its children, and the descriptors that are not closed on exec.  What
they are is written into an anonymous file, whose descriptor an environment variable names.  Signals that
come in between are blocked, and wait for the new program; a blocked signal is not lost, an unhandled SIGHUP
would be the end.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from twistedgate.net.opened import Opened

VARIABLE = "TWISTEDGATE_HANDOVER"
FORM = 2
"""Counts how this is written; another program that writes otherwise is not understood."""

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class NotUnderstood(Exception):
    """The program before wrote something that this one cannot read."""


@dataclass(frozen=True, slots=True)
class LeftMember:
    """A worker, and the descriptor of the channel to it."""

    slot: int
    row: int
    pid: int
    channel: int
    unread: str
    """Bytes that were read already and are no whole message yet, one character each."""
    is_draining: bool = False
    upstreams: str = ""
    """Tells one configuration of upstreams from another: the one that it serves."""


@dataclass(frozen=True, slots=True)
class LeftSocket:
    """A listening socket; ``path`` is that of a unix socket which the process made."""

    descriptor: int
    path: str


@dataclass(frozen=True, slots=True)
class Handover:
    """All of it."""

    scoreboard: int
    opened: float
    """When the first program began to serve, in seconds since the epoch."""
    sockets: dict[str, LeftSocket] = field(default_factory=dict)
    members: tuple[LeftMember, ...] = ()
    places: dict[str, dict[str, object]] = field(default_factory=dict)
    """Where everybody counts."""
    judged: dict[str, Any] = field(default_factory=lambda: {"names": {}, "upstreams": {}})
    """What is known of names and targets."""

    def opened_sockets(self) -> dict[str, Opened]:
        """Return the sockets, by where they listen."""
        found = {}
        for name, left in self.sockets.items():
            os.set_inheritable(left.descriptor, False)
            found[name] = Opened(socket.socket(fileno=left.descriptor), left.path)
        return found

    def descriptors(self) -> list[int]:
        """Return every descriptor that the next program needs."""
        sockets = [left.descriptor for left in self.sockets.values()]
        return [self.scoreboard, *sockets, *(member.channel for member in self.members)]


def leave(handover: Handover, environment: MutableMapping[str, str]) -> None:
    """Write it where the next program finds it, and let its descriptors stay open.

    Raises ``OSError`` if that cannot be, and nothing is left then.
    """
    written = os.memfd_create("twistedgate-handover")
    environment[VARIABLE] = str(written)
    try:
        os.write(written, orjson.dumps({"form": FORM, **asdict(handover)}))
        for descriptor in (written, *handover.descriptors()):
            os.set_inheritable(descriptor, True)
    except OSError:
        withdraw(handover, environment)
        raise


def withdraw(handover: Handover, environment: MutableMapping[str, str]) -> None:
    """Undo ``leave``, if it was done: the next program could not be started."""
    number = environment.pop(VARIABLE, "")
    if number:
        os.close(int(number))
    for descriptor in handover.descriptors():
        with suppress(OSError):
            os.set_inheritable(descriptor, False)


def take(environment: MutableMapping[str, str]) -> Handover | None:
    """Return what the program before has left, if there was one; raises ``NotUnderstood``."""
    number = environment.pop(VARIABLE, "")
    if not number:
        return None
    with open(int(number), "rb") as written:  # noqa: PTH123 -- a descriptor
        written.seek(0)
        told = orjson.loads(written.read())
    if told.pop("form") != FORM:
        raise NotUnderstood("the program before wrote down what it leaves in another form")
    told["sockets"] = {name: LeftSocket(**left) for name, left in told["sockets"].items()}
    told["members"] = tuple(LeftMember(**left) for left in told["members"])
    handover = Handover(**told)
    for descriptor in handover.descriptors():
        os.set_inheritable(descriptor, False)
    return handover


def replace_program(
    arguments: list[str],
    environment: MutableMapping[str, str],
    execute: Callable[[str, list[str], MutableMapping[str, str]], object] = os.execve,
) -> None:
    """Run ``arguments`` in place of this program; raises ``OSError`` if that cannot be, and goes on."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    hold_signals()
    try:
        execute(arguments[0], arguments, environment)
    finally:
        release_signals()


def hold_signals() -> None:
    """Have signals wait, for this program or the one that takes its place."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def release_signals() -> None:
    """Let the signals through that were held back while the program was replaced."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
