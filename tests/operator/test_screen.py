from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from twistedgate.operator.screen import Screen


class Terminal:
    """A terminal whose user is the test."""

    def __init__(self) -> None:
        self.user, inside = os.openpty()
        self.file: TextIO = os.fdopen(inside, "w")
        self.keys: TextIO = os.fdopen(os.dup(inside))

    def shown(self, end: str) -> str:
        """Return what is written up to ``end``; the kernel hands it over in pieces, and in its own time."""
        seen = b""
        while not seen.endswith(end.encode()):
            seen += os.read(self.user, 1)
        return seen.decode()

    def mode(self) -> list[Any]:
        return termios.tcgetattr(self.keys)

    def close(self) -> None:
        for end in (self.file, self.keys):
            end.close()
        os.close(self.user)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def test_what_was_there_comes_back(terminal: Terminal) -> None:
    before = terminal.mode()
    modes = []

    def interrupted() -> None:
        with Screen(terminal.file, terminal.keys) as screen:
            modes.append(terminal.mode())
            screen.draw("page")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    shown = terminal.shown("\x1b[?25h\x1b[?1049l")
    assert shown.startswith("\x1b[?1049h\x1b[?25l")
    assert "page" in shown
    assert modes[0] != before
    assert terminal.mode() == before


def test_a_page_is_drawn_over_the_one_before_and_no_larger_than_there_is_room(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "4")
    monkeypatch.setenv("LINES", "3")
    with Screen(terminal.file, terminal.keys) as screen:
        terminal.shown("\x1b[?25l")
        screen.draw("a long line\nb\nc\nd")
        assert terminal.shown("\x1b[J") == "\x1b[Ha lo\x1b[K\r\nb\x1b[K\x1b[J"


@pytest.mark.parametrize("key", [b"q", b"Q", b"xyq"])
def test_q_ends_the_waiting(terminal: Terminal, key: bytes) -> None:
    with Screen(terminal.file, terminal.keys) as screen:
        os.write(terminal.user, key)
        assert screen.wait(30.0)


def test_other_keys_do_not(terminal: Terminal) -> None:
    with Screen(terminal.file, terminal.keys) as screen:
        os.write(terminal.user, b"x")
        assert not screen.wait(0.01)


def test_without_a_keyboard_it_just_waits(terminal: Terminal) -> None:
    with Path(os.devnull).open() as nothing, Screen(terminal.file, nothing) as screen:
        assert not screen.wait(0.0)
