"""Newly installed code is asked in a process of its own whether it can take over."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest
from twisted.internet.process import reapAllProcesses

from tests.net.loop import Loop, a_loop
from tests.running import FRONT, WORD
from twistedgate import __version__
from twistedgate.config.model import Configuration
from twistedgate.units import Units
from twistedgate.workers import successor
from twistedgate.workers.successor import NoSuccessor, agreement, main

GOOD = FRONT.replace("tcp:8080", "tcp:0") + WORD.format("here")


@pytest.fixture
def loop() -> Iterator[Loop]:
    with a_loop() as loop:
        yield loop


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "twistedgate.ini"
    file.write_text(GOOD)
    return file


def load(file: Path) -> Configuration:
    """Return what the program before serves."""
    return Units().load(str(file))


def ask(
    loop: Loop,
    file: Path,
    ours: Configuration | None = None,
    environment: Mapping[str, str] = os.environ,
) -> str | NoSuccessor:
    """Ask, and return the answer."""
    answers: list[str | NoSuccessor] = []
    asked = successor.ask(loop.reactor, str(file), environment, ours or load(file), ["public tcp:0"])
    asked.addCallbacks(answers.append, lambda failure: answers.append(failure.value))

    def look() -> bool:
        reapAllProcesses()
        return bool(answers)

    loop.until(look)
    assert loop.reactor.getDelayedCalls() == []
    return answers[0]


def program(folder: Path, text: str) -> dict[str, str]:
    """Return the environment in which another program is found in the place of the code on disk."""
    package = folder / "twistedgate" / "workers"
    package.mkdir(parents=True)
    for place in (package.parent, package):
        (place / "__init__.py").write_text("")
    (package / "successor.py").write_text(text)
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def test_code_that_can_take_over_says_its_version(loop: Loop, file: Path) -> None:
    assert ask(loop, file) == __version__


def test_code_that_cannot_read_the_configuration_says_why(loop: Loop, file: Path) -> None:
    ours = load(file)
    file.write_text(GOOD + "[route:broken]\npath = broken\n[gate]\n")
    answer = ask(loop, file, ours)
    assert isinstance(answer, NoSuccessor)
    assert len(answer.errors) >= 2
    assert any("[route:broken] path" in error for error in answer.errors)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise NotImplementedError('half installed')", "NotImplementedError: half installed"),
        ("import os; os._exit(3)", "the code on disk ended with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "the code on disk was killed"),
    ],
)
def test_code_that_does_not_run_is_none(
    loop: Loop, file: Path, tmp_path: Path, text: str, expected: str
) -> None:
    answer = ask(loop, file, environment=program(tmp_path / "elsewhere", text))
    assert isinstance(answer, NoSuccessor)
    assert answer.errors[-1] == expected


def test_code_that_differs_wants_a_restart(loop: Loop, file: Path, tmp_path: Path) -> None:
    told = {"version": "99.1", "agreement": {**agreement(load(file)), "cells": -1, "channel": -1}}
    environment = program(tmp_path / "elsewhere", f"print('hello'); print({orjson.dumps(told).decode()!r})")
    answer = ask(loop, file, environment=environment)
    assert isinstance(answer, NoSuccessor)
    assert answer.errors == (
        "version 99.1 differs in its cells, channel: it wants a restart instead of an upgrade",
    )


def test_what_only_a_start_can_change_wants_a_restart(loop: Loop, file: Path) -> None:
    ours = load(file)
    file.write_text(GOOD.replace("[gateway]\n", "[gateway]\nworkers = 3\n"))
    answer = ask(loop, file, ours)
    assert isinstance(answer, NoSuccessor)
    assert "differs in its workers" in answer.errors[0]


def test_what_is_imported_may_print(loop: Loop, file: Path, tmp_path: Path) -> None:
    told = {"version": "99.1", "agreement": agreement(load(file))}
    environment = program(tmp_path / "elsewhere", f"print('hello'); print({orjson.dumps(told).decode()!r})")
    assert ask(loop, file, environment=environment) == "99.1"


def test_code_that_says_nothing_is_not_waited_for_for_ever(
    loop: Loop, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(successor, "ANSWER_WITHIN", 0.05)
    answer = ask(loop, file, environment=program(tmp_path / "elsewhere", "import signal; signal.pause()"))
    assert isinstance(answer, NoSuccessor)
    assert answer.errors == ("the code on disk said nothing for 0.05 s",)


def test_where_no_process_can_be_started_that_is_told(
    loop: Loop, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    answer: object
    try:
        answer = ask(loop, file)
    except OSError as error:
        answer = error
    assert isinstance(answer, OSError | NoSuccessor)


# what it looks at


def test_an_address_that_cannot_be_had_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(GOOD + f"[listener:more]\nendpoint = tcp:{port}:interface=127.0.0.1\n")
        assert main([str(file)]) == 1
        assert f"[listener:more] endpoint: tcp:{port}:interface=127.0.0.1: " in capsys.readouterr().err
        assert main([str(file), f"tcp:{port}:interface=127.0.0.1"]) == 0


def test_addresses_are_tried_and_left_alone(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "local.sock"
    file.write_text(
        GOOD
        + f"[listener:local]\nendpoint = unix:{path}\n[listener:s]\nendpoint = systemd:domain=INET:index=0\n"
    )
    assert main([str(file)]) == 0
    assert list(tmp_path.iterdir()) == [file]
    told = orjson.loads(capsys.readouterr().out)
    assert told == {"version": __version__, "agreement": agreement(load(file))}


def test_material_that_cannot_be_read_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upstream = "[upstream:orders]\ntargets = https://192.0.2.1:443\ntls_ca = /nowhere/ca.pem\n"
    file.write_text(GOOD + upstream + "[route:orders]\npath = /orders\nupstream = orders\n")
    assert main([str(file)]) == 1
    assert "/nowhere/ca.pem" in capsys.readouterr().err
