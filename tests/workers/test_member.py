"""A worker is a process and a channel: what it says is heard, and its end is told once, in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.process import reapAllProcesses
from twisted.logger import capturedLogs, formatEvent

from tests.net.loop import Loop, a_loop
from twistedgate.workers.channel import Message, pair
from twistedgate.workers.logs import LONGEST_TEXT
from twistedgate.workers.member import CHANNEL, Member

CHILD = f"""
import os, socket, struct, sys
import orjson
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

def hear():
    told, blob = struct.unpack("!II", read(8))
    fields = orjson.loads(read(told))
    return fields, read(blob)

say("hello", protocol=1, pid=os.getpid())
while True:
    fields, blob = hear()
    if fields["kind"] == "configure":
        say("prepared", revision=fields["revision"], errors=[blob.decode()] if blob else [])
    elif fields["kind"] == "say":
        say("said", variable=os.environ.get("NAME"))
    elif fields["kind"] == "complain":
        os.write(2, fields["text"].encode())
    elif fields["kind"] == "die":
        say("last words")
        os.kill(os.getpid(), fields["signal"]) if "signal" in fields else sys.exit(fields["status"])
"""
COMMAND = [sys.executable, "-c", CHILD]


class Crew:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.endings: list[str] = []

    def heard(self, member: Member, message: Message) -> None:
        self.said.append(message)

    def ended(self, member: Member, how: str) -> None:
        self.endings.append(how)


class Scene:
    """A reactor, a crew, and workers."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.crew = Crew()

    def spawn(self, **environment: str) -> Member:
        """Start a worker."""
        member = Member(1, 2, self.crew)
        with open(os.devnull, "rb") as scoreboard:  # noqa: PTH123
            member.spawn(self.loop.reactor, COMMAND, scoreboard.fileno(), {**os.environ, **environment})
        return member

    def until(self, is_so: Any) -> None:
        """Turn the reactor until something is so."""

        def look() -> Any:
            reapAllProcesses()
            return is_so()

        self.loop.until(look)

    def end(self, member: Member, **how: Any) -> list[str]:
        """Have a worker die, and return what is told of it."""
        member.tell("die", **how)
        self.until(lambda: self.crew.endings)
        return self.crew.endings


@pytest.fixture
def scene() -> Iterator[Scene]:
    with a_loop() as loop:
        yield Scene(loop)


def test_is_asked_and_answers(scene: Scene) -> None:
    member = scene.spawn()
    yes, no = (member.ask("configure", revision, blob, ()) for revision, blob in ((1, b""), (2, b"bad")))
    answers: list[list[str]] = []
    yes.addCallback(answers.append)
    no.addCallback(answers.append)
    scene.until(lambda: len(answers) == 2)
    assert answers == [[], ["bad"]]
    assert scene.end(member, status=0) == ["ended with status 0"]


def test_has_the_environment_that_it_is_given(scene: Scene) -> None:
    member = scene.spawn(NAME="value")
    member.tell("say")
    scene.until(lambda: [message for message in scene.crew.said if message.kind == "said"])
    assert scene.crew.said[-1].fields == {"variable": "value"}
    scene.end(member, status=0)


@contextmanager
def unheard() -> Iterator[None]:
    """Have standard error lead nowhere, as that of a daemon in the background does."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def test_where_standard_error_leads_nowhere_it_is_logged(scene: Scene) -> None:
    with unheard():
        member = scene.spawn()
    with capturedLogs() as logged:
        member.tell("complain", text="Fatal Python error: no more\n\nStack:")
        scene.end(member, status=3)
        scene.until(lambda: len(logged) == 2)
    told = [formatEvent(event) for event in logged]
    assert told == ["worker 2: Fatal Python error: no more", "worker 2: Stack:"]
    assert [event["log_namespace"] for event in logged] == ["stderr"] * 2


def test_a_line_without_an_end_is_logged_in_pieces(scene: Scene) -> None:
    with unheard():
        member = scene.spawn()
    with capturedLogs() as logged:
        member.tell("complain", text="x" * 100_000)
        scene.end(member, status=3)
        scene.until(lambda: sum(event["text"].count("x") for event in logged) == 100_000)
    assert max(len(event["text"]) for event in logged) <= 6 * LONGEST_TEXT


def test_its_last_words_are_heard_before_its_end(scene: Scene) -> None:
    member = scene.spawn()
    assert scene.end(member, signal=int(signal.SIGSEGV)) == ["killed by SIGSEGV"]
    assert scene.crew.said[-1].kind == "last words"
    assert member.is_over


def test_one_that_goes_before_it_answers_does_not_object(scene: Scene) -> None:
    member = scene.spawn()
    member.tell("die", status=3)
    answers: list[list[str]] = []
    member.ask("configure", 7, b"", ()).addCallback(answers.append)
    scene.until(lambda: scene.crew.endings)
    member.ask("configure", 8, b"", ()).addCallback(answers.append)
    assert answers == [[], []]
    assert scene.crew.endings == ["ended with status 3"]


def test_one_that_does_not_answer_may_be_answered_for(scene: Scene) -> None:
    member = scene.spawn()
    answers: list[list[str]] = []
    member.ask("unknown", 7, b"", ()).addCallback(answers.append)
    member.give_up_waiting(7, "no answer")
    member.give_up_waiting(7, "once more")
    assert answers == [["no answer"]]
    scene.end(member, status=0)


def test_can_be_killed_whatever_it_does(scene: Scene) -> None:
    member = scene.spawn()
    os.kill(member.pid, signal.SIGSTOP)
    member.kill()
    scene.until(lambda: scene.crew.endings)
    member.kill()
    assert scene.crew.endings == ["killed by SIGKILL"]


def test_one_that_closes_its_channel_is_of_no_use(scene: Scene) -> None:
    member = Member(1, 2, scene.crew)
    closing = f"import os, signal; os.close({CHANNEL}); signal.pause()"
    with open(os.devnull, "rb") as scoreboard:  # noqa: PTH123
        member.spawn(scene.loop.reactor, [sys.executable, "-c", closing], scoreboard.fileno(), os.environ)

    def is_over() -> bool:
        member.check()
        return member.is_over

    scene.until(is_over)
    assert scene.crew.endings == ["killed by SIGKILL"]


def test_one_that_cannot_be_started_leaves_nothing_behind(scene: Scene) -> None:
    member = Member(1, 2, scene.crew)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 -- names only
    with pytest.raises(OSError, match="Bad file descriptor"):
        member.spawn(scene.loop.reactor, COMMAND, 9999, os.environ)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_one_whose_channel_cannot_be_had_does_not_stay(scene: Scene) -> None:
    member = Member(1, 2, scene.crew)
    reactor: Any = scene.loop.reactor
    adopt, before = reactor.adoptStreamConnection, os.listdir("/proc/self/fd")  # noqa: PTH208

    def fail(*arguments: object) -> None:
        raise OSError("Too many open files")

    reactor.adoptStreamConnection = fail
    with open(os.devnull, "rb") as scoreboard, pytest.raises(OSError, match="Too many"):  # noqa: PTH123
        member.spawn(scene.loop.reactor, COMMAND, scoreboard.fileno(), os.environ)
    reactor.adoptStreamConnection = adopt
    scene.until(lambda: member._process.pid is None)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_a_worker_of_an_earlier_program_is_minded_like_any_other(scene: Scene) -> None:
    ours, theirs = pair()
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.dup2({theirs}, {CHANNEL})\n{CHILD}"], pass_fds=[theirs]
    )
    os.close(theirs)
    member = Member(4, 5, scene.crew)
    member.inherit(scene.loop.reactor, child.pid, ours, b"")
    scene.until(lambda: scene.crew.said)
    member.tell("die", signal=int(signal.SIGTERM))

    def is_over() -> bool:
        member.check()
        return member.is_over

    scene.until(is_over)
    child.returncode = 0
    assert scene.crew.endings == ["killed by SIGTERM"]
    assert repr(member) == f"<worker 5 pid={child.pid} row=5 over>"
