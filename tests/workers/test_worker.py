"""A worker does what it is told over its channel, and ends when nobody tells it anything any more."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LoggedFailures
from tests.net.loop import Loop, a_loop
from tests.running import WORD, orders
from tests.workers.pretending import descriptors
from twistedgate.balancing.health import State
from twistedgate.config.model import Configuration
from twistedgate.net.opened import Opened, open_listening
from twistedgate.serving import CANNOT_BE_MADE, Server
from twistedgate.units import Units
from twistedgate.upstream.judging import Standing
from twistedgate.workers.channel import HELLO, Channel, Message, adopt, pair
from twistedgate.workers.material import collect, pack
from twistedgate.workers.member import CHANNEL, SCOREBOARD
from twistedgate.workers.nudges import standing_row
from twistedgate.workers.places import Places
from twistedgate.workers.scoreboard import ACCEPTING, CONNECTIONS, HEARTBEAT, PID, SUPERVISOR, Scoreboard
from twistedgate.workers.worker import Worker

FRONT = """\
[gateway]
access_log = {log}
drain_timeout = 10s
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
"""
MORE = "[listener:more]\nendpoint = tcp:0:interface=127.0.0.1\n"
OLD, NEW = WORD.format("old"), WORD.format("new")


class Light(Worker):
    """A worker that leaves what the tests have loaded out of the collector's sight."""

    def _make_server(self, configuration: Configuration) -> Server:
        server = super()._make_server(configuration)
        server.committed = lambda: None
        return server


class Scene:
    """A worker, the supervisor's end of its channel, and clients."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.loop = loop
        self.stops: list[bool] = []
        vars(loop.reactor).update(stop=lambda: self.stops.append(True))
        self.folder = folder
        self.log = "off"
        self.board = Scoreboard.create()
        self.row = self.board.row(self.board.take_row())
        self.places = Places(self.board, self.board.row(SUPERVISOR))
        self.places.join(self.row.number)
        self.worker = Light(loop.reactor, Units(), self.row)
        self.said: list[Message] = []
        self.boss = Channel(self.said.append, lambda: None)
        ours, theirs = pair()
        adopt(loop.reactor, ours, self.boss)
        adopt(loop.reactor, theirs, self.worker.channel)
        self.worker.start()
        self.sockets: dict[str, Opened] = {}
        self.revision = 0
        self.configuration: Configuration

    def close(self) -> None:
        """Close everything."""
        self.boss.close()
        self.loop.until(lambda: self.stops)
        if self.worker._server is not None:
            stopped = self.worker._server.stop()
            self.loop.until(lambda: stopped.called)
            # its last call may still be about to wake a reactor that is gone by then
            thread = self.worker._server.access_log._writer._thread
            if thread is not None:
                thread.join()
        if self.worker._beating.running:
            self.worker._beating.stop()
        for opened in self.sockets.values():
            opened.close()
        self.loop.turn()
        self.board.close()

    # the supervisor

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something to the worker, and let it hear."""
        self.boss.send(kind, **fields, **self.places.told(self.row.number))
        self.loop.turn(12)

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """Return what the worker has said of a kind."""
        return [message.fields for message in self.said if message.kind == kind]

    def configure(self, *sections: str) -> list[str]:
        """Have it prepare a configuration, and return what is wrong."""
        file = self.folder / "twistedgate.ini"
        file.write_text("".join((FRONT.format(log=self.log), *sections)))
        self.configuration = Units().load(str(file))
        self.revision += 1
        for name, config in self.configuration.listeners.items():
            if name not in self.sockets:
                self.sockets[name] = open_listening(config)
        names = list(self.configuration.listeners)
        self.places.prepare(self.configuration)
        self.boss.send(
            "configure",
            pack(self.configuration, collect(self.configuration)),
            [self.sockets[name].socket.fileno() for name in names],
            revision=self.revision,
            listeners=names,
            **self.places.told(self.row.number),
        )
        self.loop.until(lambda: [one for one in self.heard("prepared") if one["revision"] == self.revision])
        errors: list[str] = self.heard("prepared")[-1]["errors"]
        return errors

    def commit(self, accepting: bool = True, **standings: list[Any]) -> None:
        """Have it serve what it has prepared."""
        self.places.commit(self.configuration)
        for upstream, rows in standings.items():
            self.places.find_targets(upstream, [row[0] for row in rows])
        self.tell("commit", revision=self.revision, standings=standings, accepting=accepting)

    def serve(self, *sections: str, **standings: list[Any]) -> None:
        """Have it serve."""
        assert self.configure(*sections) == []
        self.commit(True, **standings)

    # a client

    def connect(self, name: str = "public") -> socket.socket:
        """Connect to a listener."""
        return self.loop.connect(self.sockets[name].port)

    def ask(self, client: socket.socket, path: str = "/word") -> bytes:
        """Send a request, and return the first piece of its answer, or nothing if there is none."""
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return self.receive(client)

    def receive(self, client: socket.socket) -> bytes:
        """Return the next piece that comes."""
        client.setblocking(False)
        pieces: list[bytes] = []

        def look() -> bool:
            try:
                pieces.append(client.recv(65536))
            except BlockingIOError:
                return False
            except ConnectionResetError:
                pieces.append(b"")
            return True

        self.loop.until(look)
        return pieces[0]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with a_loop() as loop:
        scene = Scene(loop, tmp_path)
        yield scene
        scene.close()


def standing(name: str, state: State = State.UP, place: int = 0) -> list[Any]:
    """Return the row of how a target stands."""
    is_up = state is State.UP
    return standing_row(
        Standing(name, name.partition(":")[0], place, state, 1.0, is_up, False, False, 0.0, "")
    )


# a configuration


def test_prepares_and_serves_when_it_is_told_to(scene: Scene) -> None:
    assert scene.configure(OLD) == []
    assert scene.heard("ready") == []
    scene.commit()
    assert scene.heard("ready") == [{}]
    assert scene.ask(scene.connect()).endswith(b"old")


def test_accepts_nobody_before_the_names_are_known(scene: Scene) -> None:
    scene.configure(OLD)
    scene.commit(accepting=False)
    client = scene.connect()
    client.sendall(b"GET /word HTTP/1.1\r\nHost: here\r\n\r\n")
    scene.loop.turn(20)
    assert scene.row.get(CONNECTIONS) == 0
    scene.tell("accept")
    assert scene.receive(client).endswith(b"old")


def test_a_reload_keeps_connections_and_is_said_to_be_ready_once(scene: Scene) -> None:
    scene.serve(OLD)
    client = scene.connect()
    assert scene.ask(client).endswith(b"old")
    scene.serve(NEW, MORE)
    assert scene.ask(client).endswith(b"new")
    assert scene.ask(scene.connect("more")).endswith(b"new")
    assert scene.heard("ready") == [{}]


def test_what_is_abandoned_leaves_nothing_behind(scene: Scene) -> None:
    scene.serve(OLD)
    client = scene.connect()
    scene.ask(client)
    before = descriptors()
    assert scene.configure(NEW, MORE) == []
    assert descriptors() > before
    scene.tell("abandon", revision=scene.revision)
    scene.sockets.pop("more").close()
    scene.loop.turn()
    assert descriptors() == before
    assert scene.ask(client).endswith(b"old")
    scene.tell("abandon", revision=99)
    scene.serve(NEW)
    assert scene.ask(client).endswith(b"new")


def test_what_nobody_expected_is_logged_and_told_without_its_text(
    scene: Scene, logged_failures: LoggedFailures
) -> None:
    scene.serve(OLD)
    scene.revision += 1
    scene.boss.send("configure", b"no pickle", revision=scene.revision, listeners=[])
    scene.loop.until(lambda: len(scene.heard("prepared")) == 2)
    assert scene.heard("prepared")[-1]["errors"] == [CANNOT_BE_MADE]
    assert len(logged_failures.flush()) == 1
    assert scene.ask(scene.connect()).endswith(b"old")


def test_an_address_that_cannot_be_had_is_told_and_changes_nothing(scene: Scene) -> None:
    scene.serve(OLD)
    # the material lacks it, as if the supervisor had sent another configuration
    scene.revision += 1
    broken = replace(scene.configuration.listeners["public"], name="new", tls_certificate="/c", tls_key="/k")
    configuration = replace(scene.configuration, listeners={"new": broken})
    before = descriptors()
    scene.boss.send(
        "configure",
        pack(configuration, collect(scene.configuration)),
        [scene.sockets["public"].socket.fileno()],
        revision=scene.revision,
        listeners=["new"],
    )
    scene.loop.until(lambda: len(scene.heard("prepared")) == 2)
    (error,) = scene.heard("prepared")[-1]["errors"]
    assert error.startswith("[listener:new] endpoint: ")
    assert "the file '/c' was not given to this worker" in error
    scene.loop.turn()
    assert descriptors() == before
    assert scene.ask(scene.connect()).endswith(b"old")


def test_the_same_again_and_again_leaves_no_descriptor(scene: Scene) -> None:
    scene.serve(OLD)
    scene.serve(NEW)
    before = descriptors()
    for number in range(6):
        scene.serve(OLD if number % 2 else NEW)
    assert descriptors() == before


# targets


def test_knows_targets_from_the_commit_on_and_hears_what_changes(scene: Scene) -> None:
    first, second = "127.0.0.1:1", "127.0.0.1:2"
    scene.serve(orders(f"http://{first}, http://{second}"), orders=[standing(first)])
    server: Any = scene.worker._server
    targets = server.upstreams.upstreams["orders"].targets
    assert targets.by_name.keys() == {first}
    scene.places.find_targets("orders", [first, second])
    scene.tell("standings", upstream="orders", rows=[standing(first, State.DOWN), standing(second, place=1)])
    assert targets.by_name.keys() == {first, second}
    targets.by_name[second].take()
    gauge = scene.places.gauge(f"target:orders/{second}")
    assert gauge is not None
    assert scene.board.gauge_total(gauge) == 1


def test_what_comes_too_early_or_is_not_known_is_ignored(scene: Scene) -> None:
    scene.tell("standings", upstream="orders", rows=[standing("127.0.0.1:1")])
    scene.tell("accept")
    scene.tell("reopen")
    scene.tell("abandon", revision=7)
    scene.tell("sing")
    scene.serve(OLD)
    scene.tell("standings", upstream="gone", rows=[standing("127.0.0.1:1")])
    assert scene.ask(scene.connect()).endswith(b"old")


def test_what_became_of_requests_is_told_once_a_turn(scene: Scene) -> None:
    scene.serve(orders("http://127.0.0.1:1"), orders=[standing("127.0.0.1:1")])
    assert b" 502 " in scene.ask(scene.connect(), "/orders/1")
    scene.loop.turn()
    told = [row[:3] for fields in scene.heard("outcomes") for row in fields["rows"]]
    assert told
    assert all(row == ["orders", "127.0.0.1:1", "failed"] for row in told)


# what others see


def test_its_heart_beats_and_its_connections_are_shown(scene: Scene) -> None:
    scene.serve(OLD)
    scene.ask(scene.connect())
    assert scene.row.get(PID) == os.getpid()
    assert [scene.row.get(CONNECTIONS), scene.row.get(ACCEPTING)] == [1, 1]
    before = scene.row.get(HEARTBEAT)
    scene.worker._beat()
    assert scene.row.get(HEARTBEAT) > before > 0
    gauge = scene.places.gauge("listener:public")
    assert gauge is not None
    assert scene.row.get(gauge) == 1
    start = scene.places.measures.starts["route:word"]
    assert sum(scene.board.total(start, 100)) > 0


def test_says_what_it_counts_in_no_more(scene: Scene) -> None:
    scene.serve(OLD, orders("http://127.0.0.1:1"), orders=[standing("127.0.0.1:1")])
    scene.worker._beat()
    scene.serve(OLD)
    scene.worker._beat()
    scene.loop.turn(12)
    scene.places.acknowledge(scene.row.number, **scene.heard("placed")[-1])
    gauge = scene.places.gauge("upstream:orders")
    assert gauge is None
    assert scene.places.record()["gauges"]["leaving"] == ()


def test_its_log_is_the_supervisors(scene: Scene) -> None:
    assert scene.worker.log(level="info", namespace="here", text="hello")
    scene.loop.turn()
    assert scene.heard("log") == [{"level": "info", "namespace": "here", "text": "hello"}]


def test_the_access_log_is_opened_anew_when_it_is_told_to(scene: Scene) -> None:
    log = scene.folder / "access.log"
    scene.log = str(log)
    scene.serve(OLD)
    scene.loop.until(log.exists)
    log.rename(scene.folder / "access.log.1")
    scene.tell("reopen")
    scene.loop.until(log.exists)


# the end


def test_drains_closes_its_channel_and_stops(scene: Scene) -> None:
    scene.serve(OLD)
    client = scene.connect()
    scene.ask(client)
    scene.tell("drain", timeout=10.0, gently=False)
    assert scene.receive(client) == b""
    scene.loop.until(lambda: scene.stops and not scene.boss.is_open)
    assert scene.heard("leaving") == []


def test_cuts_what_takes_too_long(scene: Scene) -> None:
    scene.serve(OLD)
    client = scene.connect()
    client.sendall(b"GET /word HTTP/1.1\r\n")
    scene.loop.until(lambda: scene.row.get(CONNECTIONS))
    scene.tell("drain", timeout=0.2, gently=True)
    assert scene.receive(client) == b""
    scene.loop.until(lambda: scene.stops)


def test_one_that_is_told_by_somebody_else_says_that_it_leaves(scene: Scene) -> None:
    scene.serve(OLD)
    client = scene.connect()
    client.sendall(b"GET /word HTTP/1.1\r\n")
    scene.loop.until(lambda: scene.row.get(CONNECTIONS))
    scene.worker.leave()
    scene.worker.leave()
    scene.tell("drain", timeout=0.0, gently=True)
    assert scene.heard("leaving") == [{}]
    client.sendall(b"Host: here\r\n\r\n")
    assert b"Connection: close" in scene.receive(client)
    scene.loop.until(lambda: scene.stops)


def test_one_that_drains_takes_no_other_configuration(scene: Scene) -> None:
    scene.serve(OLD)
    client = scene.connect()
    client.sendall(b"GET /word HTTP/1.1\r\n")
    scene.loop.until(lambda: scene.row.get(CONNECTIONS))
    scene.configure(NEW, MORE)
    scene.tell("drain", timeout=10.0, gently=True)
    scene.commit()
    scene.sockets.pop("more").close()
    server: Any = scene.worker._server
    assert server.listeners.addresses.keys() == {"public"}
    assert server.configuration.listeners.keys() == {"public"}
    client.sendall(b"Host: here\r\n\r\n")
    assert scene.receive(client).endswith(b"old")


def test_one_that_serves_nobody_yet_ends_at_once(scene: Scene) -> None:
    scene.tell("drain", timeout=10.0, gently=False)
    scene.loop.until(lambda: scene.stops)


def test_ends_with_the_channel(scene: Scene) -> None:
    scene.serve(OLD)
    scene.boss.abort()
    scene.loop.until(lambda: scene.stops)
    assert not scene.worker.log(level="info", namespace="here", text="to nobody")


# the process


def run(parent: int) -> subprocess.Popen[bytes]:
    """Start the program of a worker whose channel is closed already."""
    board = Scoreboard.create()
    row = board.take_row()
    ours, theirs = pair()
    move = f"os.dup2({theirs}, 60); os.dup2({board.fd}, {SCOREBOARD}); os.dup2(60, {CHANNEL})"
    program = f"import os, runpy, sys; {move}; sys.argv[1:] = ['0', '{row}', '{parent}']; "
    program += "runpy.run_module('twistedgate.workers.worker', run_name='__main__')"
    child = subprocess.Popen([sys.executable, "-c", program], pass_fds=[theirs, board.fd])
    os.close(theirs)
    os.close(ours)
    board.close()
    return child


def test_a_process_that_nobody_looks_after_ends(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(1).wait(60) == 1
    assert run(os.getpid()).wait(60) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_says_hello_first(scene: Scene) -> None:
    scene.loop.turn()
    assert scene.said[0].kind == HELLO
