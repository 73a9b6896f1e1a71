"""New code takes over at the same addresses: the process stays, its workers are replaced, nobody notices."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start, reload
from tests.end_to_end.harness.client import ask_over, get
from tests.end_to_end.harness.configuration import everything_to, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.distribution import distribute
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.process import descriptors
from tests.end_to_end.harness.processes import is_alive
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import accepts
from tests.end_to_end.harness.steady import Steady
from tests.end_to_end.harness.waiting import until
from tests.end_to_end.harness.workers import WORKERS, alive, counted, gone_back, in_each, serving, several
from tests.end_to_end.test_upgrade import echo_bytes, handshake, opened
from tests.end_to_end.test_workers_reload import words

SAYING = '''\
"""A policy that says which edition of its code runs."""

from dataclasses import dataclass

from twistedgate.policy import Policy, Stage


class Saying(Policy):
    """Adds a field to each answer."""

    stage = Stage.TRANSFORM

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    def on_response(self, exchange, response):
        """Say it."""
        response.headers.add(b"X-Edition", b"EDITION")
'''


@pytest.fixture
def held(own_recorder: Recorder) -> Iterator[Held]:
    """What ``/held`` of the upstream waits for."""
    held = Held()
    own_recorder.on("/held", held)
    yield held
    held.go_on.set()


def upgrade(daemon: Daemon) -> list[int]:
    """Ask for an upgrade, and return the new workers once all of them serve."""
    until(lambda: len(daemon.status()["workers"]) == WORKERS, "no worker is about to end")
    old, mark = serving(daemon), daemon.mark()
    daemon.signal(signal.SIGUSR2)
    # until then it may be the program before that is asked, and the connection ends with it
    daemon.wait_for_log(r"\bready\b", mark)
    return serving(daemon, *old)


def wait_for_end(pids: list[int]) -> None:
    """Return when none of the processes runs."""
    until(lambda: not alive(pids), f"none of {pids} runs")


def test_the_process_stays_and_its_workers_are_replaced(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    old = serving(daemon)
    new = upgrade(daemon)
    assert not set(old) & set(new)
    assert is_alive(daemon.pid)
    wait_for_end(old)
    with in_each(daemon, 1) as groups:
        assert [client.get("/x").status for (client,) in groups.values()] == [200, 200]


def test_code_that_was_installed_meanwhile_runs(start: Start, tmp_path: Path, own_recorder: Recorder) -> None:
    rules = distribute(tmp_path / "elsewhere", "saying", SAYING.replace("EDITION", "first"))
    launch = Launch(environment={"PYTHONPATH": str(tmp_path / "elsewhere")})
    sections = several(), everything_to(own_recorder.port) + "policies = saying:it\n[saying:it]\n"
    daemon = start(*sections, launch=launch)
    with daemon.connect() as client:
        assert client.get("/x").value("X-Edition") == "first"
    rules.write_text(SAYING.replace("EDITION", "the second one"))
    upgrade(daemon)
    with in_each(daemon, 1) as groups:
        editions = [client.get("/x").value("X-Edition") for (client,) in groups.values()]
    assert editions == ["the second one"] * 2


def test_what_is_under_way_ends_in_the_old_workers(start: Start, own_recorder: Recorder, held: Held) -> None:
    own_recorder.on("/ws", opened(echo_bytes))
    daemon = start(several(drain_timeout="7d"), everything_to(own_recorder.port))
    with in_each(daemon, 2) as groups:
        for waiting, tunnel in groups.values():
            waiting.send(get("/held"))
            tunnel.send(handshake("/ws"))
            assert tunnel.answer().status == 101
        own_recorder.visit("/held", 1)
        upgrade(daemon)
        assert alive(list(groups)) == list(groups)
        held.go_on.set()
        for waiting, tunnel in groups.values():
            answer = waiting.answer()
            assert (answer.body, answer.closes) == (b"in peace", True)
            tunnel.send(b"still here")
            assert tunnel.reader.take(10) == b"still here"
    wait_for_end(list(groups))
    daemon.wait_until_empty()


def test_old_workers_are_not_waited_for_for_ever(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/ws", opened(echo_bytes))
    daemon = start(several(drain_timeout="200ms"), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        for (tunnel,) in groups.values():
            tunnel.send(handshake("/ws"))
            assert tunnel.answer().status == 101
        upgrade(daemon)
        for (tunnel,) in groups.values():
            assert tunnel.rest() == b""
    wait_for_end(list(groups))


def test_upgrades_under_load_cost_no_request_its_answer(start: Start, own_recorder: Recorder) -> None:
    """And what was counted before is counted still."""
    daemon = start(several(), everything_to(own_recorder.port))
    with Steady(daemon, 4) as clients:
        for _ in range(2):
            before = counted(daemon)
            upgrade(daemon)
            clients.go_on()
            assert gone_back(before, counted(daemon)) == {}
    total = sum(clients.served)
    daemon.wait_until_empty()
    assert daemon.status()["requests"] == total


def test_what_an_operator_has_drained_stays_drained(start: Start, own_recorder: Recorder) -> None:
    with Recorder() as other:
        daemon = start(
            several(), upstream("main", own_recorder.port, other.port, retries=0), route("main", "*")
        )
        drained = f"127.0.0.1:{own_recorder.port}"
        assert daemon.admin(f"/upstreams/main/targets/{drained}/drain", "POST").status == 200
        with Steady(daemon, 2) as clients:
            asked = len(own_recorder.visits)
            upgrade(daemon)
            clients.go_on()
        targets = daemon.status()["upstreams"]["main"]["targets"]
        assert [target["state"] for target in targets] == ["drained", "up"]
        assert len(own_recorder.visits) == asked


def test_it_can_be_reloaded_and_stopped_afterwards(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    path = tmp_path / "local.sock"
    sections = several(), everything_to(own_recorder.port), section("listener:local", endpoint=f"unix:{path}")
    daemon = start(*sections)
    pids = upgrade(daemon)
    assert ask_over(socket.AF_UNIX, str(path), "/x") == 200
    reload(daemon, *sections, route("word", "/word", respond='200 "new"'))
    with in_each(daemon, 1) as groups:
        until(lambda: words(groups) == [b"new"] * 2, "every worker has taken it")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert alive(pids) == []
    assert not path.exists()


def test_a_worker_that_dies_afterwards_is_replaced(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    killed, _ = upgrade(daemon)
    os.kill(killed, signal.SIGKILL)
    daemon.wait_for_log(rf"worker \d \(process {killed}\) killed by SIGKILL")
    serving(daemon, killed)


def test_with_a_supervisor_that_is_killed_afterwards_go_its_workers_old_and_new(
    start: Start, own_recorder: Recorder, held: Held
) -> None:
    daemon = start(several(drain_timeout="7d"), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        for (client,) in groups.values():
            client.send(get("/held"))
        own_recorder.visit("/held", 1)
        new = upgrade(daemon)
        assert alive(list(groups)) == list(groups)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        wait_for_end([*groups, *new])
    assert not accepts(daemon.port)


def test_upgrades_leave_no_descriptor_behind(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    counts = []
    for _ in range(3):
        old = serving(daemon)
        upgrade(daemon)
        wait_for_end(old)
        counts.append([descriptors(daemon.pid), max(map(descriptors, serving(daemon)))])
    until(lambda: descriptors(daemon.pid) <= counts[0][0] + 1, "the supervisor keeps no descriptor")
    assert counts[-1][1] <= counts[0][1] + 1


# refused


def test_one_process_alone_cannot_be_replaced_and_says_what_to_do(
    start: Start, own_recorder: Recorder
) -> None:
    daemon = start(several(workers=1), everything_to(own_recorder.port))
    mark = daemon.mark()
    daemon.signal(signal.SIGUSR2)
    daemon.wait_for_log(r"upgrade.*workers = 1", mark)
    with daemon.connect() as client:
        assert client.get("/x").status == 200


def test_with_a_broken_configuration_nothing_happens_and_the_log_says_why(
    start: Start, own_recorder: Recorder
) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    pids = serving(daemon)
    with in_each(daemon, 1) as groups:
        mark = daemon.mark()
        daemon.file.write_text(daemon.file.read_text() + "[route:broken]\npath = broken\n")
        daemon.signal(signal.SIGUSR2)
        daemon.wait_for_log(r"twistedgate\.ini:\d+: \[route:broken\] path", mark)
        daemon.wait_for_log("upgrade refused", mark)
        assert [client.get("/x").status for (client,) in groups.values()] == [200, 200]
    assert serving(daemon) == pids


def test_with_broken_code_nothing_happens_and_the_log_says_why(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    rules = distribute(tmp_path / "elsewhere", "saying", SAYING)
    launch = Launch(environment={"PYTHONPATH": str(tmp_path / "elsewhere")})
    sections = several(), everything_to(own_recorder.port) + "policies = saying:it\n[saying:it]\n"
    daemon = start(*sections, launch=launch)
    pids = serving(daemon)
    rules.write_text("raise NotImplementedError('half installed')\n")
    mark = daemon.mark()
    daemon.signal(signal.SIGUSR2)
    daemon.wait_for_log("half installed", mark)
    daemon.wait_for_log("upgrade refused", mark)
    assert serving(daemon) == pids
    with daemon.connect() as client:
        assert client.get("/x").value("X-Edition") == "EDITION"
    daemon.forgive("upgrade refused: Traceback")
