"""There are as many workers as are wanted; what becomes of them is told, and counted for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.process import reapAllProcesses
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from tests.net.loop import Loop, a_loop
from twistedgate.workers.channel import Message, pair
from twistedgate.workers.crew import Crew, Launch
from twistedgate.workers.handover import LeftMember
from twistedgate.workers.member import CHANNEL, SCOREBOARD, Member
from twistedgate.workers.roster import EARLY, MOST_EARLY_DEATHS, Stage
from twistedgate.workers.scoreboard import FIRST_WORKER, ROWS, Scoreboard

CHILD = f"""
import os, socket, struct, sys
import orjson
from twistedgate.workers.scoreboard import Scoreboard
board = Scoreboard.attach({SCOREBOARD})
board.row(int(sys.argv[2])).counters[7] += 1
channel = socket.socket(fileno={CHANNEL})
channel.setblocking(True)

def say(kind, **fields):
    told = orjson.dumps({{**fields, "kind": kind, "descriptors": 0}})
    channel.sendall(struct.pack("!II", len(told), 0) + told)

def read(count):
    piece = b""
    while len(piece) < count:
        piece += channel.recv(count - len(piece)) or sys.exit(9)
    return piece

say("hello", protocol=1, pid=os.getpid())
while True:
    told, blob = struct.unpack("!II", read(8))
    fields = orjson.loads(read(told))
    if fields["kind"] == "serve":
        say("ready")
    elif fields["kind"] == "drain":
        sys.exit(0)
    elif fields["kind"] == "say":
        say("said", arguments=sys.argv[1:])
"""


class Captain:
    """Has workers serve at once, and remembers what becomes of them."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.lost_rows: list[int] = []
        self.is_deserted = False

    def welcome(self, member: Member) -> None:
        member.tell("serve")

    def heard(self, member: Member, message: Message) -> None:
        self.said.append(message.fields)

    def dismiss(self, member: Member) -> None:
        member.tell("drain")

    def lost(self, member: Member) -> None:
        self.lost_rows.append(member.row)

    def deserted(self) -> None:
        self.is_deserted = True


class Scene:
    """A reactor, a captain, and a crew of two."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.captain = Captain()
        self.board = Scoreboard.create()
        self.crew = self.make()

    def make(self) -> Crew:
        """Make a crew on the scoreboard."""
        launch = Launch([sys.executable, "-c", CHILD], os.environ)
        return Crew(self.loop.reactor, self.board, 2, launch, self.captain)

    def until(self, is_so: Callable[[], object]) -> None:
        """Turn the reactor until something is so."""

        def look() -> object:
            reapAllProcesses()
            for member in list(self.crew.members.values()):
                member.check()
            return is_so()

        self.loop.until(look)

    def serve(self, pids: frozenset[int] = frozenset()) -> list[int]:
        """Wait until two workers serve that are none of ``pids``; return theirs."""
        self.until(lambda: len({member.pid for member in self.crew.serving} - pids) == 2)
        return [member.pid for member in self.crew.serving]


@pytest.fixture
def scene() -> Iterator[Scene]:
    with a_loop() as loop:
        scene = Scene(loop)
        yield scene
        scene.crew.cut()
        scene.until(lambda: not scene.crew.members)
        scene.board.close()


def test_as_many_serve_as_are_wanted(scene: Scene) -> None:
    told = [scene.crew.when_serving().called]
    serving = scene.crew.when_serving()
    scene.crew.start()
    scene.serve()
    assert [*told, serving.called, scene.crew.when_serving().called] == [False, True, True]
    assert [member.row for member in scene.crew.serving] == [FIRST_WORKER, FIRST_WORKER + 1]
    assert {scene.crew.stage(member) for member in scene.crew.present} == {Stage.READY}
    assert scene.crew.is_well()
    scene.crew.serving[1].tell("say")
    scene.until(lambda: scene.captain.said)
    assert scene.captain.said == [{"arguments": ["1", str(FIRST_WORKER + 1), str(os.getpid())]}]


def test_one_that_dies_is_replaced_and_what_it_counted_is_kept(scene: Scene) -> None:
    scene.crew.start()
    first, second = scene.serve()
    with capturedLogs() as logged:
        os.kill(first, signal.SIGKILL)
        scene.until(lambda: scene.captain.lost_rows)
    pids = scene.serve(frozenset([first]))
    assert second in pids
    assert scene.captain.lost_rows == [FIRST_WORKER]
    assert scene.board.total(7, 1) == [3]
    assert f"worker 1 (process {first}) killed by SIGKILL" in [formatEvent(event) for event in logged]


def test_all_can_be_renewed_without_a_gap(scene: Scene) -> None:
    scene.crew.start()
    before = frozenset(scene.serve())
    scene.crew.renew()
    serving: list[int] = []

    def is_renewed() -> bool:
        serving.append(len(scene.crew.serving))
        return (
            not before & {member.pid for member in scene.crew.members.values()}
            and not scene.crew.roster.is_renewing
        )

    scene.until(is_renewed)
    assert min(serving) == 2
    assert len(scene.crew.members) == 2


def test_a_shutdown_is_over_when_all_are_gone(scene: Scene) -> None:
    scene.crew.start()
    scene.serve()
    over: list[None] = []
    scene.crew.shut_down().addCallback(over.append)
    assert scene.crew.serving == []
    scene.until(lambda: over)
    assert scene.crew.members == {}
    assert scene.board.total(7, 1) == [2]


def test_a_shutdown_before_the_start_has_nothing_to_wait_for(scene: Scene) -> None:
    assert scene.crew.shut_down().called


def test_who_is_cut_has_no_successor(scene: Scene) -> None:
    scene.crew.start()
    scene.serve()
    # they have served so long that others would be started at once
    for worker in scene.crew.roster.workers.values():
        worker.since -= 2 * EARLY
    gone = scene.crew.cut()
    assert not gone.called
    scene.until(lambda: gone.called)
    assert sorted(scene.captain.lost_rows) == [FIRST_WORKER, FIRST_WORKER + 1]
    assert scene.crew.members == {}


def test_one_whose_time_is_over_is_killed(scene: Scene) -> None:
    scene.crew.start()
    first, _ = scene.serve()
    os.kill(first, signal.SIGSTOP)
    (member,) = (member for member in scene.crew.serving if member.pid == first)
    scene.crew.drain_until(member, scene.loop.reactor.seconds())
    scene.until(lambda: scene.captain.lost_rows == [FIRST_WORKER])
    scene.serve()


def test_one_that_drained_before_is_killed_in_time_and_nobody_is_started_for_it(scene: Scene) -> None:
    ours, theirs = pair()
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[theirs])
    os.close(theirs)
    row = scene.board.take_row(9)
    scene.crew.inherit(LeftMember(7, row, child.pid, ours, "", True), scene.loop.reactor.seconds())
    assert [repr(member) for member in scene.crew.present] == [f"<worker 8 pid={child.pid} row=9 draining>"]
    scene.crew.start()
    scene.until(lambda: scene.captain.lost_rows == [9])
    child.returncode = 0
    assert len(scene.crew.members) == 2


def test_who_has_something_wrong_does_not_end_the_looks(scene: Scene) -> None:
    scene.crew.start()
    (first, _) = scene.crew.members.values()

    def check() -> None:
        raise ValueError("something")

    first.check = check  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="something"):
        scene.crew._look()
    del first.check
    assert scene.crew._next is not None
    assert scene.crew._next.active()


def test_workers_of_an_earlier_program_go_on(scene: Scene) -> None:
    ours, theirs = pair()
    row = scene.board.take_row(9)
    move = (
        f"import os; os.dup2({theirs}, 50); os.dup2({scene.board.fd}, {SCOREBOARD}); os.dup2(50, {CHANNEL})"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"{move}\n{CHILD}", "1", str(row)], pass_fds=[theirs, scene.board.fd]
    )
    os.close(theirs)
    scene.crew.inherit(LeftMember(1, row, child.pid, ours, ""))
    scene.crew.start()
    assert child.pid in scene.serve()
    scene.crew.members[row].tell("say")
    scene.until(lambda: scene.captain.said)
    assert scene.captain.said == [{"arguments": ["1", "9"]}]
    child.kill()
    scene.until(lambda: scene.captain.lost_rows == [9])
    child.returncode = 0


class NoProcess(Clock):
    """A reactor that cannot start a process."""

    tries = 0

    def spawnProcess(self, *arguments: object, **named: object) -> None:
        """Fail."""
        self.tries += 1
        raise OSError("Resource temporarily unavailable")


def test_a_crew_that_cannot_be_had_is_given_up_and_tried_again_when_asked() -> None:
    clock = NoProcess()
    captain = Captain()
    board = Scoreboard.create()
    crew = Crew(clock, board, 2, Launch(["nowhere"], {}), captain)
    with capturedLogs() as logged:
        crew.start()
        clock.pump([0.1] * 400)
    assert clock.tries == 2 * MOST_EARLY_DEATHS
    assert captain.is_deserted
    told = [formatEvent(event) or "" for event in logged]
    assert sum("is given up: it died 5 times in a row" in line for line in told) == 2
    assert told[-1] == "no worker can be had: the gateway ends"
    crew.retry()
    assert clock.tries > 2 * MOST_EARLY_DEATHS
    assert board.reach <= ROWS
    crew.cut()
    assert clock.getDelayedCalls() == []
    board.close()
