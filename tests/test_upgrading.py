"""A program is replaced when nothing is in the way, and goes on as it was if that cannot be."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.running import WORD
from tests.workers.pretending import Theatre, a_theatre, descriptors
from twistedgate.admin.view import Outcome
from twistedgate.upgrading import AGAIN, NO_PROGRAM, TOLD_WITHIN, TRIES, Pidfile, Program, Upgrading
from twistedgate.workers.handover import HELD_BACK, VARIABLE, take, withdraw

LONG = TOLD_WITHIN + AGAIN * (TRIES + 2)


class Scene:
    """A supervisor with workers, and a program that can be replaced."""

    def __init__(self, theatre: Theatre, program: Program) -> None:
        self.theatre = theatre
        theatre.open(WORD.format("here"))
        self.began: list[bool] = []
        self.replaced: list[list[str]] = []
        self.hindrance = ""
        self.error: OSError | None = None
        self.on_replace: list[object] = []
        self.upgrading = Upgrading(
            theatre.reactor,
            str(theatre.folder / "twistedgate.ini"),
            theatre.supervisor,
            program,
            self.began.append,
        )
        self.upgrading.hindrance = lambda: self.hindrance
        self.upgrading._replace = self._replace

    def _replace(self, arguments: list[str], environment: MutableMapping[str, str]) -> None:
        """Do not replace this program, but the next one's beginning."""
        self.replaced.append(arguments)
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.on_replace.append((set(HELD_BACK) <= held, os.getcwd(), VARIABLE in environment))  # noqa: PTH109
        if self.error is not None:
            raise self.error
        # what is left is looked at, and taken back: this program is still here
        environ = dict(environment)
        left = take(environ)
        assert left is not None
        del environment[VARIABLE]
        withdraw(left, environment)
        self.members = left.members

    def ask(self) -> Outcome:
        """Ask for an upgrade, and return what is said."""
        outcomes: list[Outcome] = []
        self.upgrading.ask().addCallback(outcomes.append)

        def look() -> bool:
            from twisted.internet.process import reapAllProcesses

            reapAllProcesses()
            return bool(outcomes)

        self.theatre.loop.until(look)
        return outcomes[0]

    def wait(self, seconds: float = TOLD_WITHIN + AGAIN) -> None:
        """Let time pass, as far as that may be needed in small steps."""
        until = self.theatre.now + seconds
        while self.theatre.now < until:
            self.theatre.now += AGAIN
            for actor in self.theatre.present:
                self.theatre.beat(actor)
            self.theatre.loop.turn(1)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "gate.pid").write_text("123")
    monkeypatch.chdir(tmp_path / "etc")
    program = Program(("python", "twistd"), True, str(tmp_path / "gate.pid"), str(tmp_path))
    # the successor is a real process, and looks for the package where this one was found
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
    with a_theatre(tmp_path) as theatre:
        # real processes, too
        spawn = type(theatre.reactor).spawnProcess
        pretend = theatre.reactor.spawnProcess

        def spawn_either(watch: Any, path: str, *arguments: Any, **named: Any) -> Any:
            if path == "python":
                return pretend(watch, path, *arguments, **named)
            return spawn(theatre.reactor, watch, path, *arguments, **named)

        theatre.reactor.spawnProcess = spawn_either
        yield Scene(theatre, program)


def failed(outcome: Outcome) -> str:
    """Return the one thing that is wrong."""
    (error,) = outcome.errors
    return error


def test_new_code_takes_over_after_whoever_asked_was_told(scene: Scene, tmp_path: Path) -> None:
    before = descriptors()
    outcome = scene.ask()
    assert outcome.is_done
    assert "takes over" in outcome.said
    assert scene.replaced == []
    scene.wait()
    assert scene.replaced == [["python", "twistd"]]
    assert scene.began == [True]
    assert scene.on_replace == [(True, str(tmp_path), True)]
    assert [member.pid for member in scene.members] == [actor.pid for actor in scene.theatre.actors]
    assert not (tmp_path / "gate.pid").exists()
    assert descriptors() == before


def test_a_second_one_waits_for_the_first(scene: Scene) -> None:
    assert scene.ask().is_done
    assert failed(scene.ask()) == "an upgrade is under way"


def test_refused_code_changes_nothing(scene: Scene) -> None:
    file = scene.theatre.folder / "twistedgate.ini"
    text = file.read_text()
    file.write_text(text + "[route:broken]\npath = broken\n")
    assert any("[route:broken] path" in error for error in scene.ask().errors)
    scene.wait(LONG)
    assert (scene.replaced, scene.began) == ([], [])
    file.write_text(text.replace("workers = 2", "workers = 4"))
    assert "workers: it wants a restart" in failed(scene.ask())
    file.write_text(text)
    assert scene.ask().is_done


def test_where_no_process_can_be_started_nothing_is_under_way(scene: Scene, logged_failures: Any) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError("Resource temporarily unavailable")

    spawn, scene.theatre.reactor.spawnProcess = scene.theatre.reactor.spawnProcess, fail
    assert "could not be asked" in failed(scene.ask())
    assert len(logged_failures.flush()) == 1
    scene.theatre.reactor.spawnProcess = spawn
    assert scene.ask().is_done


def test_what_is_in_the_way_is_told_before_anything_is_done(scene: Scene) -> None:
    scene.hindrance = "the gateway is shutting down"
    assert failed(scene.ask()) == "the gateway is shutting down"
    scene.hindrance = ""
    scene.theatre.are_willing = False
    scene.theatre.actors[0].end(signal.SIGKILL)
    scene.theatre.turn()
    assert "not all workers serve yet" in failed(scene.ask())


def test_a_program_in_the_background_is_not_replaced(scene: Scene) -> None:
    upgrading = Upgrading(
        scene.theatre.reactor, "file", scene.theatre.supervisor, NO_PROGRAM, lambda begins: 0
    )
    outcomes: list[Outcome] = []
    upgrading.ask().addCallback(outcomes.append)
    assert "start it with -n" in failed(outcomes[0])


def test_what_comes_in_between_is_waited_for(scene: Scene) -> None:
    assert scene.ask().is_done
    scene.hindrance = "a reload is under way"
    scene.wait(1.0)
    assert scene.replaced == []
    scene.hindrance = ""
    scene.wait()
    assert len(scene.replaced) == 1


def test_what_does_not_go_away_ends_the_upgrade(scene: Scene) -> None:
    assert scene.ask().is_done
    scene.hindrance = "the gateway is shutting down"
    with capturedLogs() as logged:
        scene.wait(LONG)
    assert formatEvent(logged[-1]) == "the upgrade is given up: the gateway is shutting down"
    assert (scene.replaced, scene.began) == ([], [])
    assert scene.theatre.reactor.threadCallQueue == []
    scene.hindrance = ""
    assert scene.ask().is_done


def test_a_worker_that_does_not_listen_is_waited_for(scene: Scene) -> None:
    actor = scene.theatre.actors[0]
    actor.channel.transport.stopReading()
    scene.theatre.supervisor.crew.members[actor.row].tell("more", b" " * 4_000_000)
    assert scene.ask().is_done
    scene.wait(0.5)
    assert scene.replaced == []
    actor.channel.transport.startReading()
    scene.theatre.loop.until(lambda: scene.theatre.supervisor.unsettled == "")
    scene.wait()
    assert len(scene.replaced) == 1


def test_a_signal_that_comes_at_that_moment_is_this_programs(scene: Scene) -> None:
    heard: list[int] = []

    def receive(number: int, frame: object) -> None:
        scene.theatre.reactor.callFromThread(heard.append, number)

    before = signal.signal(signal.SIGUSR2, receive)

    def hindrance() -> str:
        if not heard:
            # it is held back here, and delivered when it is released
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
            assert heard == []
            return "for once"
        return ""

    try:
        assert scene.ask().is_done
        scene.upgrading.hindrance = hindrance
        scene.wait()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == [signal.SIGUSR2]
    scene.wait()
    assert len(scene.replaced) == 1


def test_what_a_signal_has_asked_for_is_done_first(scene: Scene) -> None:
    assert scene.ask().is_done
    scene.theatre.reactor.callFromThread(setattr, scene, "hindrance", "the gateway is shutting down")
    scene.upgrading._take_over(1)
    scene.wait(LONG)
    assert scene.replaced == []


def test_a_program_that_cannot_be_replaced_goes_on_as_it_was(scene: Scene, tmp_path: Path) -> None:
    before = descriptors()
    scene.error = OSError("no such program")
    assert scene.ask().is_done
    with capturedLogs() as logged:
        scene.wait()
    assert formatEvent(logged[-1]) == "the upgrade is given up: no such program"
    assert scene.began == [True, False]
    assert (tmp_path / "gate.pid").read_text() == "123"
    assert Path.cwd() == tmp_path / "etc"
    assert VARIABLE not in os.environ
    assert descriptors() == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(HELD_BACK)
    assert scene.theatre.supervisor.unready_to_leave == ""
    assert all(
        not os.get_inheritable(member.channel.descriptor) for member in scene.theatre.supervisor.crew.present
    )
    scene.error = None
    assert scene.ask().is_done
    scene.wait()
    assert len(scene.replaced) == 2


def test_without_its_pidfile_gone_the_next_program_would_not_start(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "gate.pid").unlink()
    (tmp_path / "gate.pid").mkdir()
    assert scene.ask().is_done
    scene.wait()
    assert (scene.replaced, scene.began) == ([], [True, False])


def test_a_pidfile_may_be_missing(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "gate.pid")):
        pidfile = Pidfile(path)
        pidfile.take_away()
        pidfile.put_back()
    assert list(tmp_path.iterdir()) == []


def test_this_program_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = Program.of_this_process(True, "gate.pid")
    assert program.arguments[0].endswith(("python", "python3")) or "python" in program.arguments[0]
    assert (program.is_foreground, program.pidfile, program.folder) == (True, "gate.pid", str(tmp_path))
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Program.of_this_process(False, "").folder == "."
