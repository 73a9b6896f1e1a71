"""What one program leaves, the next one finds; and signals in between wait."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.workers.handover import (
    HELD_BACK,
    VARIABLE,
    Handover,
    LeftMember,
    LeftSocket,
    NotUnderstood,
    hold_signals,
    leave,
    release_signals,
    replace_program,
    take,
    withdraw,
)

numbers = st.integers(0, 2**31)
members = st.builds(
    LeftMember,
    slot=numbers,
    row=numbers,
    pid=numbers,
    channel=st.none().map(lambda _: 0),
    unread=st.binary(max_size=20).map(lambda told: told.decode("latin-1")),
)


@given(st.lists(members, max_size=3), st.dictionaries(st.text(max_size=9), st.just({"a": 1}), max_size=4))
def test_what_is_left_is_found(left: list[LeftMember], places: dict[str, dict[str, object]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        handover = Handover(
            scoreboard=opened.fileno(),
            opened=12.5,
            sockets={"public": LeftSocket(opened.fileno(), "/run/gate.sock")},
            members=tuple(LeftMember(m.slot, m.row, m.pid, opened.fileno(), m.unread) for m in left),
            places=places,
        )
        environment: dict[str, str] = {"PATH": "/bin"}
        leave(handover, environment)
        assert os.get_inheritable(opened.fileno())
        assert take(environment) == handover
        assert not os.get_inheritable(opened.fileno())
        assert environment == {"PATH": "/bin"}


def test_most_programs_find_nothing() -> None:
    assert take({}) is None


def test_what_was_left_in_vain_is_taken_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        handover = Handover(scoreboard=opened.fileno(), opened=0.0)
        environment: dict[str, str] = {}
        leave(handover, environment)
        number = int(environment[VARIABLE])
        withdraw(handover, environment)
        assert environment == {}
        assert not os.get_inheritable(opened.fileno())
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_what_cannot_be_left_leaves_nothing() -> None:
    environment: dict[str, str] = {}
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 -- names only
    with pytest.raises(OSError, match="Bad file descriptor"):
        leave(Handover(scoreboard=9999, opened=0.0), environment)
    assert environment == {}
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_nothing_was_left_yet() -> None:
    withdraw(Handover(scoreboard=0, opened=0.0), {})


def test_what_another_version_wrote_is_not_guessed_at() -> None:
    written = os.memfd_create("test")
    os.write(written, b'{"form": 0}')
    with pytest.raises(NotUnderstood):
        take({VARIABLE: str(written)})


def test_signals_are_held_back_until_somebody_asks_for_them() -> None:
    seen: list[set[int]] = []

    def execute(path: str, arguments: list[str], environment: MutableMapping[str, str]) -> None:
        seen.append({int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())})
        raise OSError("no such program")

    with pytest.raises(OSError, match="no such program"):
        replace_program(["/nowhere"], {}, execute)
    assert seen[0] >= set(HELD_BACK)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(HELD_BACK)


SCRIPT = """
import os, signal, socket, sys
from twistedgate.workers.handover import *

left = take(os.environ)
if left is None:
    opened = socket.create_server(("127.0.0.1", 0))
    leave(Handover(opened.fileno(), 7.0, {"public": LeftSocket(opened.fileno(), "")}), os.environ)
    os.environ["FIRST"] = f"{os.getpid()} {opened.getsockname()[1]}"
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    os.kill(os.getpid(), signal.SIGHUP)
    replace_program([sys.executable, "-c", sys.argv[1], sys.argv[1]], os.environ)
heard = []
signal.signal(signal.SIGHUP, lambda *_: heard.append("SIGHUP"))
release_signals()
opened = left.opened_sockets()["public"]
print(os.environ["FIRST"] == f"{os.getpid()} {opened.port}", left.opened, *heard)
"""


def test_sockets_process_and_signals_outlive_the_program() -> None:
    root = str(Path(__file__).resolve().parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert (ran.stdout, ran.stderr) == ("True 7.0 SIGHUP\n", "")


def test_signals_can_be_held_before_anything_else() -> None:
    hold_signals()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= set(HELD_BACK)
    release_signals()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(HELD_BACK)


def test_held_signals_can_be_released_twice() -> None:
    release_signals()
    release_signals()
