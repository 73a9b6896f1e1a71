"""Several workers: who serves, what dies with one of them, and how all end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start, reload
from tests.end_to_end.harness.client import ask_over, get
from tests.end_to_end.harness.configuration import everything_to, ini, section
from tests.end_to_end.harness.daemon import Daemon, Launch, NotStarted, environment
from tests.end_to_end.harness.distribution import distribute
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.processes import children, is_alive, open_files
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import accepts, free_port
from tests.end_to_end.harness.waiting import PATIENCE, until
from tests.end_to_end.harness.workers import alive, carrier, counted, gone_back, in_each, serving, several
from tests.end_to_end.test_stopping import begin_to_stop

DEADLY = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")

SHY = '''\
"""A policy that ends the process which serves by it."""

import os
import sys
from dataclasses import dataclass

from twistedgate.policy import Policy, Stage


class Shy(Policy):
    """Ends a worker, and nobody else."""

    stage = Stage.LIMIT

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    def __init__(self, config, runtime):
        super().__init__(config, runtime)
        if "twistedgate.workers.worker" in sys.orig_argv:
            os._exit(3)
'''


@pytest.fixture
def held(own_recorder: Recorder) -> Iterator[Held]:
    """What ``/held`` of the upstream waits for."""
    held = Held()
    own_recorder.on("/held", held)
    yield held
    held.go_on.set()


# who serves


def test_connections_are_spread_over_the_workers(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    with ExitStack() as stack:
        clients = [stack.enter_context(daemon.connect()) for _ in range(64)]
        assert {client.get("/x").status for client in clients} == {200}
        shares = [row["connections"] for row in daemon.status()["workers"]]
        carriers = Counter(carrier(daemon, daemon.port, client.port) for client in clients)
    assert sum(shares) == 64
    assert max(shares) <= 0.6 * 64
    assert sorted(shares) == sorted(carriers.values())
    assert carriers.keys() == set(serving(daemon))


def test_the_supervisor_serves_nobody(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    assert daemon.pid not in serving(daemon)
    assert set(serving(daemon)) <= children(daemon.pid)
    for number, pid in enumerate(serving(daemon), 1):
        daemon.wait_for_log(rf"worker {number} serves \(process {pid}\)")


def test_no_two_requests_have_the_same_id(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 2) as groups:
        clients = [client for group in groups.values() for client in group]
        ids = [client.get("/x").value("X-Request-Id") for client in clients for _ in range(5)]
    assert len(set(ids)) == len(ids) == 20


def test_what_all_have_counted_is_told_as_one(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        for (client,) in groups.values():
            for _ in range(3):
                assert client.get("/x").status == 200
    until(lambda: daemon.status()["requests"] == 6, "all six requests are counted")
    until(lambda: daemon.status()["upstreams"]["main"]["requests"] == 6, "and those of the upstream")
    assert sorted(row["requests"] for row in daemon.status()["workers"]) == [3, 3]


# one of them dies


def test_with_a_killed_worker_goes_only_what_it_carried(
    start: Start, own_recorder: Recorder, held: Held
) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 3) as groups:
        (killed, lost), (other, kept) = groups.items()
        for client in (*lost, *kept):
            assert client.get("/x").status == 200
            client.send(get("/held"))
        own_recorder.visit("/held", 5)
        until(lambda: daemon.status()["requests"] == 6, "what was answered is counted")
        before = counted(daemon)
        os.kill(killed, signal.SIGKILL)
        for client in lost:
            client.cut()
        for _ in range(10):
            with daemon.connect() as new:
                assert new.get("/x").status == 200
        held.go_on.set()
        assert [client.answer().body for client in kept] == [b"in peace"] * 3
    daemon.wait_for_log(rf"worker \d \(process {killed}\) killed by SIGKILL")
    assert other in serving(daemon, killed)
    daemon.wait_until_empty()
    assert gone_back(before, counted(daemon)) == {}
    until(lambda: daemon.status()["requests"] == 19, "what the dead worker had counted is kept")


def test_whatever_kills_a_worker_another_takes_its_place(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    for place, name in enumerate(DEADLY):
        pid = serving(daemon)[place % 2]
        os.kill(pid, signal.Signals[name])
        daemon.wait_for_log(rf"worker \d \(process {pid}\) killed by {name}")
        serving(daemon, pid)
        with in_each(daemon, 1) as groups:
            assert [client.get("/x").status for (client,) in groups.values()] == [200, 200]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE"])
def test_a_signal_that_is_meant_for_the_daemon_costs_no_request(
    start: Start, own_recorder: Recorder, held: Held, name: str
) -> None:
    """A terminal and systemd may send them to all processes: what they mean is the supervisor's to say."""
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        for pid, (client,) in groups.items():
            client.send(get("/held"))
            own_recorder.visit("/held", list(groups).index(pid))
            os.kill(pid, signal.Signals[name])
        with daemon.connect() as new:
            assert new.get("/x").status == 200
        held.go_on.set()
        assert [client.answer().body for (client,) in groups.values()] == [b"in peace"] * 2
    serving(daemon)


def test_one_that_dies_again_and_again_is_given_up_loudly_until_a_reload(
    start: Start, own_recorder: Recorder
) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    first, other = serving(daemon)
    for pid in _reborn(daemon, first, other):
        os.kill(pid, signal.SIGKILL)
    daemon.wait_for_log("worker 1 is given up")
    with daemon.connect() as client:
        assert client.get("/x").status == 200
        assert carrier(daemon, daemon.port, client.port) == other
    reload(daemon, several(), everything_to(own_recorder.port))
    assert other in serving(daemon, first)


def _reborn(daemon: Daemon, pid: int, other: int) -> list[int]:
    """Kill a worker and its successors, and return the fifth of them."""
    for _ in range(4):
        os.kill(pid, signal.SIGKILL)
        pid = next(one for one in serving(daemon, pid) if one != other)
    return [pid]


def test_where_no_worker_can_live_the_daemon_ends_and_says_so(tmp_path: Path, own_recorder: Recorder) -> None:
    distribute(tmp_path / "elsewhere", "shy", SHY)
    launch = Launch(environment={"PYTHONPATH": str(tmp_path / "elsewhere")})
    text = ini(several(), everything_to(own_recorder.port) + "policies = shy:one\n", "[shy:one]\n")
    daemon = Daemon(tmp_path, text, launch)
    try:
        with pytest.raises(NotStarted):
            daemon.wait_until_ready()
        assert daemon.wait() != 0
        assert "worker 1 is given up" in "\n".join(daemon.log)
    finally:
        daemon.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_policy_that_cannot_be_made_ends_the_start_at_once(
    tmp_path: Path, own_recorder: Recorder, workers: int
) -> None:
    raises = SHY.replace('if "twistedgate.workers.worker" in sys.orig_argv', "if name := config.name")
    raises = raises.replace("os._exit(3)", "raise LookupError(f'no shell for {name}')")
    distribute(tmp_path / "elsewhere", "shy", raises)
    launch = Launch(environment={"PYTHONPATH": str(tmp_path / "elsewhere")})
    gateway, sections = several(workers=workers), everything_to(own_recorder.port) + "policies = shy:one\n"
    daemon = Daemon(tmp_path, ini(gateway, sections, "[shy:one]\n"), launch)
    try:
        assert daemon.wait() == 1
        log = "\n".join(daemon.log)
    finally:
        daemon.end()
    assert "[shy:one] cannot be made" in log
    assert "no shell" in log
    assert log.count("(most recent call last)") <= 2 * workers
    assert "is given up" not in log


def test_what_ends_a_worker_is_in_the_log_of_a_daemon_in_the_background(
    tmp_path: Path, own_recorder: Recorder
) -> None:
    fatal = SHY.replace("os._exit(3)", "os.write(2, b'Fatal: no shell left\\n'), os._exit(3)")
    distribute(tmp_path / "elsewhere", "shy", fatal)
    file, log, pidfile = (tmp_path / name for name in ("twistedgate.ini", "log", "pid"))
    file.write_text(ini(several(), everything_to(own_recorder.port) + "policies = shy:one\n", "[shy:one]\n"))
    twistd = [str(Path(sys.executable).with_name("twistd")), f"--logfile={log}", f"--pidfile={pidfile}"]
    subprocess.run(
        [*twistd, "twistedgate", "--config", str(file)],
        env=environment({"PYTHONPATH": str(tmp_path / "elsewhere")}),
        cwd=tmp_path,
        check=True,
        timeout=PATIENCE,
    )
    pid = int(pidfile.read_text())
    until(lambda: "worker 1: Fatal: no shell left" in log.read_text(), "it is logged")
    until(lambda: not is_alive(pid), "the daemon has ended")
    assert not pidfile.exists()


# the supervisor dies


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_with_a_killed_supervisor_go_its_workers_and_all_sockets(
    start: Start, tmp_path: Path, own_recorder: Recorder, held: Held, number: signal.Signals
) -> None:
    path = tmp_path / "public.sock"
    sections = (
        several(),
        everything_to(own_recorder.port),
        section("listener:public", endpoint=f"tcp:{free_port()}:interface=127.0.0.1"),
        section("listener:local", endpoint=f"unix:{path}"),
    )
    daemon = start(*sections)
    with in_each(daemon, 1) as groups:
        for (client,) in groups.values():
            client.send(get("/held"))
        own_recorder.visit("/held", 1)
        daemon.signal(number)
        assert daemon.wait() == -number
        for (client,) in groups.values():
            client.cut()
        until(lambda: not alive(list(groups)), "no worker is left")
    assert not accepts(daemon.port)
    again = start(*sections)
    with again.connect() as client:
        assert client.get("/x").status == 200
    assert ask_over(socket.AF_UNIX, str(path), "/x") == 200


# the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_the_end_every_worker_lets_its_exchanges_end(
    start: Start, own_recorder: Recorder, held: Held, number: signal.Signals
) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    with in_each(daemon, 2) as groups:
        for client, idle in groups.values():
            assert idle.get("/x").status == 200
            client.send(get("/held"))
        own_recorder.visit("/held", 1)
        daemon.signal(number)
        until(lambda: not accepts(daemon.port), "the daemon accepts no more")
        for _, idle in groups.values():
            assert idle.rest() == b""
        held.go_on.set()
        for client, _ in groups.values():
            answer = client.answer()
            assert (answer.body, answer.closes) == (b"in peace", True)
            assert client.ends()
    assert daemon.wait() == 0
    assert alive(list(groups)) == []
    assert [record["status"] for record in daemon.all_records(2, path="/held")] == [200, 200]


def test_what_does_not_end_is_cut_in_every_worker(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/for-ever", lambda visit: visit.link.wait_for_end())
    daemon = start(several(drain_timeout="200ms"), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        for (client,) in groups.values():
            client.send(get("/for-ever"))
        own_recorder.visit("/for-ever", 1)
        daemon.signal(signal.SIGTERM)
        for (client,) in groups.values():
            assert b" 200 " not in client.rest()
    assert daemon.wait() == 0
    assert alive(list(groups)) == []


def test_a_second_signal_ends_all_of_them_at_once(start: Start, own_recorder: Recorder) -> None:
    own_recorder.on("/for-ever", lambda visit: visit.link.wait_for_end())
    daemon = start(several(drain_timeout="7d"), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        for (client,) in groups.values():
            client.send(get("/for-ever"))
        own_recorder.visit("/for-ever", 1)
        begin_to_stop(daemon)
        daemon.signal(signal.SIGTERM)
        for (client,) in groups.values():
            assert b" 200 " not in client.rest()
    assert daemon.wait() in (0, 1)
    until(lambda: not alive(list(groups)), "no worker is left")


def test_the_file_of_a_unix_socket_goes_at_the_end_and_not_before(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    path = tmp_path / "local.sock"
    daemon = start(
        several(), everything_to(own_recorder.port), section("listener:local", endpoint=f"unix:{path}")
    )
    killed = serving(daemon)[0]
    os.kill(killed, signal.SIGKILL)
    serving(daemon, killed)
    for _ in range(10):
        assert ask_over(socket.AF_UNIX, str(path), "/x") == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not path.exists()


# what they write


def test_what_a_worker_logs_stands_in_the_log_of_the_daemon(start: Start, own_recorder: Recorder) -> None:
    daemon = start(several(), everything_to(own_recorder.port))
    mark = daemon.mark()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    for number in (1, 2):
        daemon.wait_for_log(rf"worker {number}: draining \d+ connections", mark)


@pytest.mark.parametrize("where", ["a pipe", "a file"])
def test_lines_of_the_access_log_are_whole_whoever_writes_them(
    start: Start, tmp_path: Path, own_recorder: Recorder, where: str
) -> None:
    """Longer than a pipe takes at once, and many at the same time."""
    file = tmp_path / "access.log"
    daemon = start(several(access_log="-" if where == "a pipe" else file), everything_to(own_recorder.port))
    queries = [f"{number}-" + "q" * 6000 for number in range(120)]
    with in_each(daemon, 1) as groups:
        clients = [client for (client,) in groups.values()]
        for place, client in enumerate(clients):
            client.send(b"".join(get(f"/long?{query}") for query in queries[place::2]))
        for place, client in enumerate(clients):
            assert {client.answer().status for _ in queries[place::2]} == {200}
    if where == "a pipe":
        records = daemon.all_records(len(queries), path="/long")
    else:
        until(lambda: len(file.read_text().splitlines()) == len(queries), "every line is written")
        records = [json.loads(line) for line in file.read_text().splitlines()]
    assert Counter(record["query"] for record in records) == Counter(queries)
    assert not [line for line in daemon.log if "qqq" in line]


def test_every_worker_opens_the_access_log_anew(start: Start, tmp_path: Path, own_recorder: Recorder) -> None:
    file = tmp_path / "access.log"
    daemon = start(several(access_log=file), everything_to(own_recorder.port))
    with in_each(daemon, 1) as groups:
        clients = [client for (client,) in groups.values()]
        for client in clients:
            client.get("/before")
        until(lambda: _paths(file) == ["/before"] * 2, "both have written")
        moved = file.rename(tmp_path / "access.log.1")
        daemon.signal(signal.SIGUSR1)
        until(lambda: set(groups) == _writers(file, groups), "both have opened it anew")
        for client in clients:
            client.get("/after")
        until(lambda: _paths(file) == ["/after"] * 2, "both write there")
    assert _paths(moved) == ["/before"] * 2


def _paths(file: Path) -> list[str]:
    return [json.loads(line)["path"] for line in file.read_text().splitlines()] if file.exists() else []


def _writers(file: Path, pids: Iterable[int]) -> set[int]:
    """Return which processes have a file open."""
    return {pid for pid in pids if str(file) in open_files(pid)}
