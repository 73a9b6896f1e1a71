"""Asks newly installed code, in a process of its own, whether it could take the place of this program.

``python -m twistedgate.workers.successor FILE`` loads the configuration as the daemon would and prints what
it has to have in common with the program before: how the scoreboard is laid out, what its cells stand for,
what is said over channels, and how a handover is written.  With another answer an upgrade is refused, and a
restart is the way.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from twistedgate import __version__
from twistedgate.config.errors import ConfigurationErrors
from twistedgate.observers import cells
from twistedgate.workers import channel, handover, scoreboard

MODULE = "twistedgate.workers.successor"


def in_common() -> dict[str, int]:
    """Return what this code and its successor must agree on."""
    return {
        "scoreboard": scoreboard.LAYOUT,
        "cells": cells.LAYOUT,
        "channel": channel.PROTOCOL,
        "handover": handover.FORM,
    }


class NoSuccessor(Exception):
    """The code on disk cannot take over; ``errors`` say why."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


def ask(reactor: object, path: str, environment: Mapping[str, str]) -> Deferred[str]:
    """Return the version of the code on disk, once it has said that it can; fails with ``NoSuccessor``."""
    asked: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
        sys.executable, ["-m", MODULE, path], dict(environment), reactor=reactor
    )
    return asked.addCallback(_judge)


def _judge(answer: tuple[bytes, bytes, int]) -> str:
    told, errors, status = answer
    if status:
        lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
        raise NoSuccessor(lines[-50:] or [f"the code on disk ended with status {status}"])
    answered = orjson.loads(told)
    ours = in_common()
    differing = sorted(name for name in ours if answered["in_common"].get(name) != ours[name])
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

    (path,) = arguments
    try:
        all_units().load(path)
    except ConfigurationErrors as errors:
        for error in errors.errors:
            sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(orjson.dumps({"version": __version__, "in_common": in_common()}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
