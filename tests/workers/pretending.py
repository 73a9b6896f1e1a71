"""A supervisor whose workers are the test's: no processes, but real channels, sockets and shared memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.net.loop import Loop, a_loop
from tests.upstream.network import Names, Probe
from twistedgate.config.model import Configuration
from twistedgate.serving import TLSOf
from twistedgate.stores.memory import MemoryStore
from twistedgate.units import Units
from twistedgate.upstream.judging import Watching
from twistedgate.upstream.prober import Probing
from twistedgate.upstream.resolver import Resolver
from twistedgate.upstream.witness import Witness
from twistedgate.workers.channel import HELLO, Channel, Message, adopt
from twistedgate.workers.crew import Launch
from twistedgate.workers.handover import Handover
from twistedgate.workers.material import unpack
from twistedgate.workers.member import CHANNEL
from twistedgate.workers.supervisor import Means, Supervisor

GATEWAY = """\
[gateway]
access_log = off
drain_timeout = 5s
workers = 2
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
"""

STEP = 0.25


class Actor:
    """A worker in the test's hands: what it hears, and what it says."""

    def __init__(self, theatre: Theatre, watch: ProcessProtocol, pid: int, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.slot, self.row, self.parent = map(int, arguments[-3:])
        self.heard: list[Message] = []
        self.is_over = False
        self.is_ready = False
        self.channel = Channel(self._received, lambda: None)
        self._theatre = theatre
        self._watch = watch

    @property
    def told(self) -> list[str]:
        """What it was told to do, each with its revision, if it has one."""
        told = []
        for message in self.heard:
            revision = message.fields.get("revision", "")
            told.append(f"{message.kind} {revision}".strip())
        return told

    def last(self, kind: str) -> Message:
        """Return the last message of a kind."""
        return [message for message in self.heard if message.kind == kind][-1]

    def _received(self, message: Message) -> None:
        if message.kind == HELLO:
            return
        self.heard.append(message)
        theatre = self._theatre
        if theatre.commit_by_themselves if message.kind == "commit" else theatre.are_willing:
            self.act(message)

    def act(self, message: Message) -> None:
        """Do what a worker would do."""
        if message.kind == "configure":
            configuration, _ = unpack(message.blob)
            self.prepared(message.fields["revision"], *self._theatre.objections(configuration))
        elif message.kind == "commit":
            self.committed(message.fields["revision"])
        elif message.kind == "drain":
            self.end()

    def prepared(self, revision: int, *errors: str) -> None:
        """Say whether it can serve."""
        self.channel.send("prepared", revision=revision, errors=list(errors))

    def committed(self, revision: int) -> None:
        """Say that it serves by a configuration, and if it is the first, that it is ready."""
        self.channel.send("committed", revision=revision)
        if not self.is_ready:
            self.is_ready = True
            self.channel.send("ready")

    def signalProcess(self, name: str) -> None:
        """Die in a moment, as a process does."""
        self._theatre.reactor.callLater(0, self.end, signal.Signals[f"SIG{name}"])

    def end(self, number: int | None = None) -> None:
        """Be gone, by itself or by a signal."""
        if not self.is_over:
            self.is_over = True
            self.channel.close() if number is None else self.channel.abort()
            reason = ProcessDone(0) if number is None else ProcessTerminated(None, number)
            self._theatre.reactor.callLater(0, self._watch.processExited, Failure(reason))


class Theatre:
    """A reactor with the test's clock, a supervisor, and every worker that it has started."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.loop = loop
        self.reactor: Any = loop.reactor
        vars(loop.reactor).update(seconds=self._now, spawnProcess=self._spawn)
        self.now = 1000.0
        self.folder = folder
        self.actors: list[Actor] = []
        self.are_willing = True
        """Whether workers do by themselves what they are told, but for ``commit``."""
        self.commit_by_themselves = True
        self.objections: Callable[[Configuration], Sequence[str]] = lambda configuration: ()
        self.supervisor = self.make()

    def make(self, left: Handover | None = None, workers: int = 2) -> Supervisor:
        """Make a supervisor."""
        means = Means(Launch(["python"], {"A": "b"}), self._watching, MemoryStore("supervisor", 1 << 20))
        return Supervisor(self.reactor, workers, means, left)

    def _watching(self, tls: TLSOf, witness: Witness) -> Watching:
        names, probing = Names(), Probing(self.reactor, self._now, lambda: 0.5, Probe())
        return Watching(self._now, Resolver(self.reactor, names), probing, tls, witness)

    def _now(self) -> float:
        return self.now

    def _spawn(
        self, watch: ProcessProtocol, path: str, arguments: Sequence[str], env: Any, childFDs: Any
    ) -> Actor:
        actor = Actor(self, watch, 10_000_000 + len(self.actors), arguments)
        adopt(self.reactor, os.dup(childFDs[CHANNEL]), actor.channel)
        self.actors.append(actor)
        return actor

    # what the test does

    def read(self, *sections: str, front: str = GATEWAY) -> Configuration:
        """Return the configuration of a file."""
        file = self.folder / "twistedgate.ini"
        file.write_text("".join((front, *sections)))
        return Units().load(str(file))

    def turn(self) -> None:
        """Let everything arrive."""
        self.loop.turn(30)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + STEP, until)
            for actor in self.present:
                self.beat(actor)
            self.loop.turn(6)

    def beat(self, actor: Actor) -> None:
        """Let a worker show that it is alive."""
        self.supervisor.board.row(actor.row).set(0, int(self.now * 1e9))

    def reload(self, *sections: str, front: str = GATEWAY) -> list[object]:
        """Begin a reload; returns where ``True``, or what was wrong, is put."""
        outcome: list[object] = []

        done = self.supervisor.prepare(self.read(*sections, front=front))
        done.addCallback(self.supervisor.commit).addCallback(lambda _: outcome.append(True))
        done.addErrback(lambda failure: outcome.append(failure.value))
        self.turn()
        return outcome

    def open(self, *sections: str, front: str = GATEWAY) -> list[Actor]:
        """Start, and let clients in; returns the workers."""
        self.reload(*sections, front=front)
        self.supervisor.start()
        self.turn()
        self.supervisor.resume_accepting()
        self.turn()
        return self.present

    def is_over(self) -> bool:
        """Tell whether every worker is gone, once that was looked at."""
        for actor in self.present:
            actor.end(signal.SIGKILL)
        for member in self.supervisor.crew.present:
            member.check()
        return not self.supervisor.crew.members

    @property
    def present(self) -> list[Actor]:
        """The workers that live."""
        return [actor for actor in self.actors if not actor.is_over]


def rows_in_use(supervisor: Supervisor) -> list[int]:
    """Return which rows of the scoreboard are somebody's."""
    return supervisor.board._rows_in_use()


def descriptors() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names only


@contextmanager
def a_theatre(folder: Path) -> Iterator[Theatre]:
    """Give one, and clear it away."""
    with a_loop() as loop:
        theatre = Theatre(loop, folder)
        yield theatre
        theatre.supervisor.stop()
        loop.until(theatre.is_over)
        theatre.supervisor.board.close()
