"""A new configuration for several workers: all of them take it, or none does."""

from __future__ import annotations

import os
import signal
import ssl
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start, reload
from tests.end_to_end.harness.certificates import new_identity
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.harness.configuration import everything_to, ini, listener, route, section
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.distribution import distribute
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.process import descriptors
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import accepts
from tests.end_to_end.harness.steady import Steady
from tests.end_to_end.harness.waiting import until
from tests.end_to_end.harness.workers import in_each, serving, several
from tests.end_to_end.test_upgrade import echo_bytes, handshake, opened

PICKY = '''\
"""A policy that the second process to come along cannot have."""

import os
from dataclasses import dataclass

from twistedgate.policy import Policy, Stage


class Picky(Policy):
    """Lets the first worker have it, and nobody else."""

    stage = Stage.LIMIT

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    def __init__(self, config, runtime):
        super().__init__(config, runtime)
        try:
            os.close(os.open("taken", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise RuntimeError("one is enough") from None
'''


def word(text: str) -> str:
    return route("word", "/word", respond=f'200 "{text}"')


def words(groups: dict[int, list[Client]]) -> list[bytes]:
    """Return what each worker says over each of its connections."""
    return [client.get("/word").body.strip() for clients in groups.values() for client in clients]


def test_every_worker_takes_a_new_configuration(start: Start) -> None:
    daemon = start(several(), word("old"))
    with in_each(daemon, 2) as groups:
        assert words(groups) == [b"old"] * 4
        reload(daemon, several(), word("new"))
        until(lambda: words(groups) == [b"new"] * 4, "every worker has taken it")
        assert list(groups) == serving(daemon)


@pytest.mark.parametrize("wrong", ["[route:broken]\npath = broken\n", "[gateway]\n"])
def test_no_worker_takes_one_that_is_wrong(start: Start, wrong: str) -> None:
    daemon = start(several(), word("old"))
    with in_each(daemon, 1) as groups:
        mark = daemon.mark()
        daemon.reload(ini(several(), word("new")) + wrong)
        daemon.wait_for_log(r"twistedgate\.ini:\d+: ", mark)
        daemon.wait_for_log("the configuration stays as it was", mark)
        assert words(groups) == [b"old"] * 2


def test_no_worker_takes_one_that_another_cannot_have(start: Start, tmp_path: Path) -> None:
    distribute(tmp_path / "elsewhere", "picky", PICKY)
    launch = Launch(environment={"PYTHONPATH": str(tmp_path / "elsewhere")})
    daemon = start(several(), word("old"), launch=launch)
    picky = word("new") + "policies = picky:one\n[picky:one]\n"
    with in_each(daemon, 2) as groups:
        mark = daemon.mark()
        daemon.reload(ini(several(), picky))
        daemon.wait_for_log("one is enough", mark)
        daemon.wait_for_log("reload refused: \\[picky:one\\] cannot be made", mark)
        daemon.wait_for_log("the configuration stays as it was", mark)
        assert words(groups) == [b"old"] * 4
        assert list(groups) == serving(daemon)
        reload(daemon, several(), word("newer"))
        assert words(groups) == [b"newer"] * 4
    daemon.forgive("one is enough")


def test_no_worker_takes_one_whose_address_is_taken(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), word("old"))
    taken = section("listener:taken", endpoint=f"tcp:{own_recorder.port}:interface=127.0.0.1")
    with in_each(daemon, 1) as groups:
        mark = daemon.mark()
        daemon.reload(ini(several(), word("new"), taken))
        daemon.wait_for_log(f"{own_recorder.port}", mark)
        daemon.wait_for_log("the configuration stays as it was", mark)
        assert words(groups) == [b"old"] * 2


def test_how_many_workers_there_are_wants_a_restart(start: Start) -> None:
    daemon = start(several(), word("old"))
    with in_each(daemon, 1) as groups:
        mark = daemon.mark()
        daemon.reload(ini(several(workers=3), word("new")))
        daemon.wait_for_log(r"reload refused: .*workers.*restart", mark)
        daemon.wait_for_log("the configuration stays as it was", mark)
        assert words(groups) == [b"old"] * 2


def test_listeners_come_and_go_in_every_worker(start: Start) -> None:
    daemon = start(several(), word("x"), listener("second"))
    second = daemon.ports["second"]
    with Client(second) as idle:
        assert idle.get("/word").status == 200
        reload(daemon, several(), word("y"), listener("third"))
        assert idle.rest() == b""
    until(lambda: not accepts(second), "nobody accepts at the old address")
    for _ in range(10):
        with Client(daemon.ports["third"]) as client:
            assert client.get("/word").body.strip() == b"y"


def test_a_websocket_lives_through_reloads(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/ws", opened(echo_bytes))
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        clients = [client for (client,) in groups.values()]
        for client in clients:
            client.send(handshake("/ws"))
            assert client.answer().status == 101
        for number in range(3):
            reload(daemon, several(), everything_to(own_recorder.port), word(f"{number}"))
            for client in clients:
                client.send(b"still here")
                assert client.reader.take(10) == b"still here"
    daemon.wait_until_empty()


def test_an_exchange_under_way_ends_by_the_configuration_it_began_with(
    start: Start, own_recorder: Recorder
) -> None:
    held = Held(b"from the old upstream")
    own_recorder.on("/word", held)
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        clients = [client for (client,) in groups.values()]
        for client in clients:
            client.send(get("/word"))
        own_recorder.visit("/word", 1)
        reload(daemon, several(), word("new"))
        held.go_on.set()
        assert [client.answer().body for client in clients] == [b"from the old upstream"] * 2
        until(lambda: words(groups) == [b"new"] * 2, "every worker has taken it")
    daemon.wait_until_empty()


def test_reloads_under_load_cost_no_request_its_answer(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    with Steady(daemon, 4) as clients:
        for number in range(20):
            reload(daemon, several(), everything_to(own_recorder.port), word(f"{number}"))
        clients.go_on()


def test_reloads_leave_no_descriptor_behind(start: Start, own_recorder: Recorder) -> None:
    sections = several(), everything_to(own_recorder.port)
    daemon = start(*sections)
    pids = [daemon.pid, *serving(daemon)]
    for number in range(3):
        reload(daemon, *sections, listener(f"extra-{number}"))
    before = {pid: descriptors(pid) for pid in pids}
    for number in range(3, 10):
        reload(daemon, *sections, listener(f"extra-{number}"))
    until(
        lambda: all(descriptors(pid) <= count + 2 for pid, count in before.items()),
        "no process keeps a descriptor of a listener that is gone",
    )


# a worker that is replaced


def test_one_that_takes_a_dead_workers_place_serves_what_is_in_use_and_not_what_the_file_says(
    start: Start,
) -> None:
    daemon = start(several(), word("old"))
    daemon.file.write_text("[nonsense]\n")
    killed, _ = serving(daemon)
    os.kill(killed, signal.SIGKILL)
    serving(daemon, killed)
    with in_each(daemon, 1) as groups:
        assert words(groups) == [b"old"] * 2


def test_nor_does_it_look_at_certificates(start: Start, tmp_path: Path) -> None:
    identity = new_identity(tmp_path)
    tls = listener(tls_certificate=identity.certificate, tls_key=identity.key)
    daemon = start(several(), tls, word("x"))
    old = identity.client_side()
    new = new_identity(tmp_path).client_side()
    killed, _ = serving(daemon)
    os.kill(killed, signal.SIGKILL)
    serving(daemon, killed)
    _speaks(daemon, old)
    reload(daemon, several(), tls, word("y"))
    _speaks(daemon, new)


def _speaks(daemon: Daemon, trusted: ssl.SSLContext) -> None:
    """Each worker shows a certificate that this client trusts."""
    with in_each(daemon, 1, tls=trusted) as groups:
        assert all(client.get("/word").status == 200 for (client,) in groups.values())


def test_a_reload_that_meets_a_death_is_there_for_the_successor(start: Start) -> None:
    daemon = start(several(), word("old"))
    killed, _ = serving(daemon)
    mark = daemon.mark()
    os.kill(killed, signal.SIGKILL)
    daemon.reload(ini(several(), word("new")))
    daemon.wait_for_log("reloaded", mark)
    serving(daemon, killed)
    with in_each(daemon, 1) as groups:
        until(lambda: words(groups) == [b"new"] * 2, "every worker has taken it")
