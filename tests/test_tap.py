from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService
from twisted.logger import capturedLogs, formatEvent
from twisted.python.usage import UsageError

from tests.running import FRONT, WORD
from twistedgate.net.opened import User
from twistedgate.service import GatewayService
from twistedgate.tap import Options, install_reactor, makeService
from twistedgate.workers.handover import VARIABLE, Handover, leave
from twistedgate.workers.places import Places
from twistedgate.workers.scoreboard import SUPERVISOR, Scoreboard

GOOD = FRONT + WORD.format("here")
BAD = GOOD + "[route:x]\npath = x\nrespond = 700 text\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.ini"
    path.write_text(GOOD)
    return path


def parsed(*arguments: str) -> Options:
    """Return the options of a command line."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


def in_a_fresh_process(program: str) -> str:
    """Run a program where nothing is imported yet, and return what it says."""
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_loads_the_configuration(file: Path) -> None:
    options = parsed("--config", str(file))
    assert options.path == str(file)
    assert list(options.configuration.routes) == ["word"]


def test_the_flag_may_be_short(file: Path) -> None:
    assert parsed("-c", str(file)).path == str(file)


def test_without_one_the_working_directorys_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "twistedgate.ini").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    options = parsed()
    assert Path(options.path).samefile(tmp_path / "etc" / "twistedgate.ini")
    assert list(options.configuration.routes) == ["word"]


def test_a_configuration_with_errors_ends_it_with_all_of_them(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(BAD)
    with pytest.raises(SystemExit) as end:
        parsed("--config", str(file))
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert f"{file}:10: [route:x] path" in told
    assert f"{file}:11: [route:x] respond" in told


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 1)])
def test_a_check_says_what_it_found_and_ends(file: Path, text: str, code: int) -> None:
    file.write_text(text)
    with pytest.raises(SystemExit) as end:
        parsed("--config", str(file), "--check")
    assert (end.value.code or 0) == code


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UsageError):
        parsed("--colour", "blue")


def test_makes_the_gateway_and_says_what_it_runs_on(file: Path, reactor: Any) -> None:
    options = parsed("--config", str(file))
    with capturedLogs() as logged:
        service = makeService(options)
    assert IService.providedBy(service)
    assert isinstance(service, GatewayService)
    assert not service.running
    assert service.path == str(file)
    assert service.configuration is options.configuration
    assert formatEvent(logged[0]) == f"the reactor is {type(reactor).__name__}"


def test_a_reload_asked_for_too_early_does_not_end_the_process(file: Path) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        options = Options()
        options.parseOptions(["--config", str(file)])
        makeService(options)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_reload_asked_for_in_an_upgrade_is_not_forgotten(file: Path) -> None:
    board = Scoreboard.create()
    places = Places(board, board.row(SUPERVISOR)).record()
    leave(Handover(board.fd, 7.0, places=places), os.environ)
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        # to this thread: another one does not hold it back
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        options = Options()
        options.parseOptions(["--config", str(file)])
        makeService(options)
        assert signal.SIGHUP in signal.sigpending()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        signal.signal(signal.SIGHUP, previous)
        board.close()


def of_twistd(**daemon: object) -> Options:
    """Return options that come with some of twistd's own."""
    options = Options()
    given: Any = daemon
    options.parent = given
    return options


@pytest.mark.parametrize(
    ("uid", "gid", "user"),
    [
        (None, None, None),
        (12345, 23456, User(12345, 23456)),
        (None, 23456, User(-1, 23456)),
        (0, None, User(0, 0)),
    ],
)
def test_whom_twistd_makes_of_the_process_is_known(
    uid: int | None, gid: int | None, user: User | None
) -> None:
    assert of_twistd(uid=uid, gid=gid).user() == user


def test_who_has_become_somebody_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first program was root; the next one in its place is not, and twistd would end it."""
    monkeypatch.setenv(VARIABLE, "7")
    options = of_twistd(uid=12345, gid=23456)
    assert options.user() is None
    assert options.parent == {"uid": None, "gid": None}


def test_a_reactor_that_is_there_stays(reactor: Any) -> None:
    assert install_reactor() == type(reactor).__name__


def test_ours_is_installed_where_none_is() -> None:
    program = "from twistedgate.tap import Options; print(Options().reactor_name)"
    assert in_a_fresh_process(program) == "LeanEPollReactor"


def test_before_a_library_can_install_another() -> None:
    """It imports the global reactor, and would have installed Twisted's own."""
    program = (
        "from twistedgate.tap import Options; options = Options(); import txredisapi; "
        "from twisted.internet import reactor; print(type(reactor).__name__)"
    )
    assert in_a_fresh_process(program) == "LeanEPollReactor"


def test_the_options_alone_cost_no_reactor() -> None:
    """``twistd --help`` imports this module, and installs what ``--reactor`` names only then."""
    program = (
        "import sys, twistedgate.tap; "
        "print([name for name in ('twisted.internet.reactor', 'twistedgate.service') if name in sys.modules])"
    )
    assert in_a_fresh_process(program) == "[]"


def test_help_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parsed("--help")
    assert not end.value.code
    told = capsys.readouterr().out
    assert "--config" in told
    assert "--check" in told
