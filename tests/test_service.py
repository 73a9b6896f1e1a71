from __future__ import annotations

import gc
import signal
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.logger import LogEvent, capturedLogs, formatEvent

from tests.certificates import Authority
from tests.conftest import LoggedFailures
from tests.running import ADMIN, FRONT, WORD, Running, orders
from tests.upstream.conversation import OK
from tests.weather import HAPPENINGS, Weather
from twistedgate.net.opened import User
from twistedgate.net.signals import install_signals
from twistedgate.policy import Policy
from twistedgate.runtime import Runtime
from twistedgate.units import Units
from twistedgate.upstream.resolver import FIRST_LOOKUP
from twistedgate.view import View

Make = Callable[..., Running]


class Unmakeable(Policy):
    """A policy whose constructor fails."""

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    def __init__(self, config: Config, runtime: Runtime) -> None:
        raise RuntimeError("out of luck")


class Taker(User):
    """Whom the process becomes: remembers what it is given."""

    def __init__(self, refusal: OSError | None = None) -> None:
        super().__init__(-1, -1)
        vars(self).update(taken=[], refusal=refusal)

    taken: list[str]
    refusal: OSError | None

    def take(self, path: str) -> None:
        """Take a path, or not."""
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(path)


class WithUnmakeable(Units):
    """Knows it."""

    def find(self, kind: str) -> type[Policy] | None:
        """Return the class of a kind."""
        return Unmakeable if kind == "unmakeable" else super().find(kind)

    def names(self) -> list[str]:
        """Return every kind."""
        return [*super().names(), "unmakeable"]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a gateway that runs; it is stopped, and leaves nothing behind."""
    made: list[Running] = []

    def run(*sections: str, **known: tuple[str, ...]) -> Running:
        running = Running(tmp_path, *(sections or (FRONT, WORD.format("old"))), **known)
        made.append(running)
        running.privilegedStartService()
        running.startService()
        running.reactor.run(but=install_signals)
        return running

    threshold = gc.get_threshold()
    yield run
    for running in made:
        if running.running:
            assert running.stopService().called
        assert running.numbers() == []
    gc.set_threshold(*threshold)


def lines(logged: Sequence[LogEvent]) -> str:
    """Return the lines of the log."""
    return "\n".join(formatEvent(event) or "" for event in logged)


# start


def test_binds_while_it_may_and_accepts_when_it_runs(tmp_path: Path) -> None:
    running = Running(tmp_path, FRONT, ADMIN, WORD.format("here"))
    running.privilegedStartService()
    assert running.numbers() == [8080, 9000]
    running.startService()
    accepting = [running.accepting()]
    running.reactor.run(but=install_signals)
    assert [*accepting, running.accepting()] == [[], [8080, 9000]]
    assert b"here" in running.ask("/word")
    running.stopService()


def test_an_address_that_cannot_be_had_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "[listener:other]\nendpoint = tcp:8081:interface=127.0.0.1\n"
    running = Running(tmp_path, FRONT, other, WORD.format("here"))
    running.reactor.listenTCP(8081, Strangers(), 50, "127.0.0.1")
    with pytest.raises(SystemExit) as end:
        running.privilegedStartService()
    assert end.value.code == 1
    assert "[listener:other] endpoint: tcp:8081:interface=127.0.0.1: " in capsys.readouterr().err
    assert running.numbers() == [8081]


def test_unix_sockets_are_for_whom_the_process_becomes(tmp_path: Path) -> None:
    path = tmp_path / "local.sock"
    running = Running(tmp_path, FRONT, f"[listener:local]\nendpoint = unix:{path}\n", WORD.format("here"))
    running._user = Taker()
    running.privilegedStartService()
    assert running._user.taken == [str(path)]


def test_one_that_cannot_be_given_away_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "local.sock"
    running = Running(tmp_path, FRONT, f"[listener:local]\nendpoint = unix:{path}\n", WORD.format("here"))
    running._user = Taker(PermissionError("not yours"))
    with pytest.raises(SystemExit) as end:
        running.privilegedStartService()
    assert end.value.code == 1
    assert capsys.readouterr().err == f"[listener:local] endpoint: unix:{path}: not yours\n"


def test_a_policy_that_cannot_be_made_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logged_failures: LoggedFailures
) -> None:
    running = Running(tmp_path, FRONT, WORD.format("here"))
    running._units = running.server._assembler._units = WithUnmakeable()
    running.write(FRONT, "[unmakeable:it]\n", WORD.format("here"))
    running.configuration = running._units.load(str(running.file))
    with pytest.raises(SystemExit) as end:
        running.privilegedStartService()
    assert end.value.code == 1
    assert capsys.readouterr().err == "[unmakeable:it] cannot be made: RuntimeError: out of luck\n"
    assert "out of luck" in logged_failures.flush(RuntimeError)[0].getTraceback()
    assert running.numbers() == []


def test_signals_are_those_an_operator_sends(tmp_path: Path) -> None:
    running = Running(tmp_path, FRONT, WORD.format("here"))
    running.privilegedStartService()
    running.startService()
    _, calls = running.reactor.run(but=install_signals)
    assert calls == {
        signal.SIGTERM: running.shut_down,
        signal.SIGINT: running.shut_down,
        signal.SIGHUP: running.reload,
        signal.SIGUSR1: running.reopen_logs,
        signal.SIGUSR2: running._upgrade_by_signal,
    }
    running.stopService()


def test_no_other_program_takes_over_while_it_reloads_or_shuts_down(make: Make) -> None:
    running = make(FRONT, WORD.format("here"))
    hindrances = [running._why_no_upgrade()]
    running.reload_with(FRONT, orders("http://slow.test"))
    hindrances.append(running._why_no_upgrade())
    running.shut_down()
    hindrances.append(running._why_no_upgrade())
    assert hindrances == [
        "",
        "a reload is under way; try again when it is done",
        "the gateway is shutting down",
    ]


def test_accepts_once_its_targets_are_found(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    accepting = [running.accepting()]
    running.names.answer("name.test", "192.0.2.1")
    assert [*accepting, running.accepting()] == [[], [8080]]
    assert running.is_accepting


def test_or_cannot_be_found_in_time(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    running.reactor.advance(FIRST_LOOKUP)
    assert running.accepting() == [8080]
    assert b"503" in running.ask("/orders/7")


def test_or_do_not_exist(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    accepting = [running.accepting()]
    running.names.answer("name.test")
    assert [*accepting, running.accepting()] == [[], [8080]]


def test_the_operator_need_not_wait_for_that(make: Make) -> None:
    running = make(FRONT, ADMIN, orders("http://name.test"))
    assert running.accepting() == [9000]
    assert View(running).unready_reasons()[0] == "the targets are being looked up"
    running.names.answer("name.test", "192.0.2.1")
    assert running.accepting() == [8080, 9000]
    assert View(running).unready_reasons() == []


def test_a_reload_before_that_brings_other_targets(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    running.reload_with(FRONT, orders("http://other.test"))
    accepting = [running.accepting()]
    running.names.answer("other.test", "192.0.2.1")
    assert [*accepting, running.accepting()] == [[], [8080]]


def test_or_it_waits_for_what_is_looked_up_already(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    running.reload_with(FRONT, orders("http://name.test", retries=3))
    accepting = [running.accepting()]
    running.names.answer("name.test", "192.0.2.1")
    assert [*accepting, running.accepting()] == [[], [8080]]
    assert running.names.asked == ["name.test"]
    assert running.configuration.upstreams["orders"].retries == 3


def test_carries_requests(make: Make) -> None:
    running = make(FRONT, orders())
    line = running.connect()
    running.ask("/orders/7", line)
    connection = running.reactor.attempts[-1].succeed()
    assert running.reactor.attempts[-1].wire.sent.startswith(b"GET /orders/7 HTTP/1.1\r\n")
    connection.dataReceived(OK)
    assert line.received.endswith(b"ok")
    assert running.server.upstreams.open_count == 1


# reload


class Strangers:
    """Somebody else's listener."""

    def doStart(self) -> None:
        """The address is bound."""

    def doStop(self) -> None:
        """It is closed."""


def test_the_next_request_of_a_connection_meets_the_new_configuration(make: Make) -> None:
    running = make()
    line = running.connect()
    assert running.ask("/word", line).endswith(b"old")
    running.reload_with(FRONT, WORD.format("new"))
    assert running.ask("/word", line).endswith(b"new")
    assert running.accepting() == [8080]


def kept(running: Running) -> tuple[object, ...]:
    """Return everything that a reload may change."""
    serving = running.server._serving
    return (
        running.configuration,
        serving.gateway,
        serving.forwarder,
        running.server.access_log,
        running.server._tls,
        running.server.upstreams.upstreams,
        list(running.server.listeners.bound),
        dict(running.server.listeners.addresses),
        running.numbers(),
        running.accepting(),
        {name: (gate.limit, gate.under_way) for name, gate in running.server.gates._gates.items()},
        running.server.capacity.max_connections,
        len(running.reactor.getDelayedCalls()),
    )


def test_a_file_with_errors_changes_nothing_and_each_is_told(make: Make) -> None:
    running = make(FRONT, WORD.format("old"), orders(max_requests=5))
    before = kept(running)
    with capturedLogs() as logged:
        running.reload_with(FRONT, "[route:x]\npath = x\nrespond = 700 text\n")
    told = lines(logged)
    assert "twistedgate.ini:7: [route:x] path" in told
    assert "twistedgate.ini:8: [route:x] respond" in told
    assert "the configuration stays as it was: 2 errors" in told
    assert kept(running) == before
    assert running.ask("/word").endswith(b"old")


def test_a_file_that_is_gone_changes_nothing(make: Make) -> None:
    running = make()
    before = kept(running)
    running.file.unlink()
    running.reload()
    assert kept(running) == before


def test_an_address_that_cannot_be_had_leaves_nothing_behind(make: Make, tmp_path: Path) -> None:
    running = make(FRONT, WORD.format("old"), orders(max_requests=5), name=("192.0.2.1",))
    running.reactor.listenTCP(8082, Strangers(), 50, "127.0.0.1")
    before = kept(running)
    changed = FRONT.replace("access_log = off", f"access_log = {tmp_path}/access.log\nmax_connections = 7")
    more = "".join(f"[listener:l{n}]\nendpoint = tcp:808{n}:interface=127.0.0.1\n" for n in (1, 2))
    fresh = WORD.format("new").replace(":word", ":fresh")
    with capturedLogs() as logged:
        running.reload_with(
            changed,
            more,
            fresh,
            orders("http://name.test", max_requests=1, health_path="/x"),
        )
    assert "reload refused: [listener:l2] endpoint: tcp:8082:interface=127.0.0.1: " in lines(logged)
    assert kept(running) == before
    assert running.names.asked == ["name.test"]
    assert running.probe.asked == []
    assert not (tmp_path / "access.log").exists()
    assert running.ask("/word").endswith(b"old")
    running.port(8082).stopListening()


def test_a_policy_that_cannot_be_made_changes_nothing(make: Make, logged_failures: LoggedFailures) -> None:
    running = make()
    before = kept(running)
    running._units = WithUnmakeable()
    running.server._assembler._units = running._units
    unmakeable = "[unmakeable:x]\n[route:x]\npath = /x\nrespond = 204\npolicies = unmakeable:x\n"
    running.reload_with(FRONT, WORD.format("new"), unmakeable)
    assert kept(running)[:-3] == before[:-3]
    assert len(logged_failures.flush(RuntimeError)) == 1
    assert running.ask("/word").endswith(b"old")


def test_an_upstream_that_did_not_change_is_the_same(make: Make) -> None:
    running = make(FRONT, orders(), WORD.format("old"))
    upstream = running.server.upstreams.upstreams["orders"]
    running.reload_with(FRONT, orders(), WORD.format("new"))
    assert running.server.upstreams.upstreams["orders"] is upstream
    running.reload_with(FRONT, orders(retries=3), WORD.format("new"))
    changed = running.server.upstreams.upstreams["orders"]
    assert changed is not upstream
    assert list(changed.targets.by_name.values()) == list(upstream.targets.by_name.values())


def test_an_exchange_under_way_ends_by_what_it_began_with(make: Make) -> None:
    running = make(FRONT, orders(max_requests=1))
    line = running.connect()
    running.ask("/orders/7", line)
    running.reload_with(FRONT, orders("http://192.0.2.9:80", max_requests=1))
    assert b" 503 " in running.ask("/orders/8")
    running.reactor.attempts[-1].succeed().dataReceived(OK)
    assert line.received.endswith(b"ok")
    running.ask("/orders/9", line)
    assert [attempt.place for attempt in running.reactor.attempts] == ["192.0.2.1:80", "192.0.2.9:80"]


def test_a_route_that_is_gone_takes_its_upstream_along_when_it_is_done(make: Make) -> None:
    running = make(FRONT, orders(), WORD.format("old"))
    line = running.connect()
    running.ask("/orders/7", line)
    connection = running.reactor.attempts[-1].succeed()
    running.reload_with(FRONT, WORD.format("new"))
    assert b" 404 " in running.ask("/orders/8")
    connection.dataReceived(OK)
    assert line.received.endswith(b"ok")
    running.reactor.attempts[-1].lose(ConnectionLost())
    running.server._sweep()
    assert running.server.upstreams.open_count == 0
    assert running.server.upstreams._leaving == []


def test_a_new_address_opens_and_one_that_is_gone_drains(make: Make) -> None:
    running = make(FRONT, orders(), WORD.format("old"))
    busy, idle = running.connect(), running.connect()
    running.ask("/orders/7", busy)
    running.ask("/word", idle)
    running.reload_with(FRONT.replace("8080", "8090"), orders(), WORD.format("new"))
    running.settle(busy, idle)
    assert running.accepting() == [8090]
    assert idle.is_over
    assert not busy.is_over
    running.reactor.attempts[-1].succeed().dataReceived(OK)
    assert busy.received.endswith(b"ok")
    assert b"Connection: close" in busy.received
    assert running.ask("/word", running.connect(8090)).endswith(b"new")


def test_what_drains_is_cut_when_its_time_is_over(make: Make) -> None:
    running = make(FRONT, orders())
    busy = running.connect()
    running.ask("/orders/7", busy)
    running.reactor.attempts[-1].succeed()
    running.reload_with(FRONT.replace("8080", "8090"), orders())
    over = []
    for seconds in (4.9, 0.1):
        running.reactor.advance(seconds)
        over.append(busy.is_over)
    assert over == [False, True]


def test_new_limits_hold_at_once(make: Make) -> None:
    running = make()
    running.connect()
    running.reload_with(FRONT.replace("[listener", "max_connections = 1\n[listener"), WORD.format("new"))
    assert running.accepting() == []
    running.reload_with(FRONT, WORD.format("new"))
    assert running.accepting() == [8080]


def test_proof_is_asked_for_as_the_configuration_of_now_says(make: Make, tmp_path: Path) -> None:
    first, second = (Authority(tmp_path, name) for name in ("first", "second"))
    secure = f"https://192.0.2.1:443\ntls_ca = {first.path}"
    running = make(FRONT, orders(secure))
    upstream = running.server.upstreams.upstreams["orders"]
    (target,) = upstream.config.targets
    before = running.server.tls_of(upstream.config, target)
    assert running.server.tls_of(upstream.config, target) is before
    Path(first.path).write_bytes(Path(second.path).read_bytes())
    running.reload()
    assert running.server.upstreams.upstreams["orders"] is upstream
    assert running.server.tls_of(upstream.config, target) is not before


def test_many_reloads_leave_nothing_behind(make: Make) -> None:
    """What is frozen against the collector is looked at again, or each reload would leave its cycles."""
    running = make(FRONT, orders(health_path="/0"))
    before: list[weakref.ref[Any]] = []
    for number in range(1, 5):
        upstream = running.server.upstreams.upstreams["orders"]
        parts = (upstream, upstream.targets, upstream.pool, running.server._serving.gateway)
        before += [weakref.ref(part) for part in parts]
        del upstream, parts
        running.reload_with(FRONT, orders(health_path=f"/{number}"))
        running.server._sweep()
    running.reload()
    assert [reference() for reference in before] == [None] * 16


# names that a reload brings

NEW = (FRONT, WORD.format("new"), orders("http://name.test"))


def new_names(make: Make, *sections: str) -> Running:
    """Return a gateway that was asked for a configuration with a name it has not seen, and waits."""
    running = make(FRONT, WORD.format("old"))
    running.reload_with(*(sections or NEW))
    assert running.ask("/word").endswith(b"old")
    return running


def test_a_name_not_seen_before_is_looked_up_before_the_reload_takes_effect(make: Make) -> None:
    running = new_names(make)
    running.names.answer("name.test", "192.0.2.1")
    assert running.ask("/word").endswith(b"new")
    running.ask("/orders/7")
    assert [attempt.place for attempt in running.reactor.attempts] == ["192.0.2.1:80"]
    assert running.names.asked == ["name.test"]


@pytest.mark.parametrize(
    "come_to_nothing",
    [
        lambda running: running.names.answer("name.test"),
        lambda running: running.reactor.advance(FIRST_LOOKUP),
    ],
    ids=["does not exist", "too late"],
)
def test_but_one_that_is_not_found_does_not_keep_it(
    come_to_nothing: Callable[[Running], None], make: Make
) -> None:
    running = new_names(make)
    come_to_nothing(running)
    assert running.ask("/word").endswith(b"new")
    assert b" 503 " in running.ask("/orders/7")


def test_names_that_are_known_are_not_waited_for(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"), WORD.format("old"), name=("192.0.2.1",))
    running.reload_with(FRONT, orders("http://name.test", retries=3), WORD.format("new"))
    assert running.ask("/word").endswith(b"new")


def test_nor_are_those_that_were_looked_up_in_vain_before(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"), WORD.format("old"))
    running.reactor.advance(FIRST_LOOKUP)
    running.reload_with(FRONT, orders("http://name.test", retries=3), WORD.format("new"))
    assert running.ask("/word").endswith(b"new")


def test_the_later_of_two_reloads_counts(make: Make) -> None:
    running = new_names(make)
    running.reload_with(FRONT, WORD.format("newer"), orders("http://other.test"))
    running.reactor.advance(FIRST_LOOKUP / 2)
    assert running.ask("/word").endswith(b"old")
    running.names.answer("other.test", "192.0.2.1")
    assert running.ask("/word").endswith(b"newer")
    running.reactor.advance(FIRST_LOOKUP)
    assert running.ask("/word").endswith(b"newer")
    assert repr(running.server.upstreams.upstreams) == repr(
        {"orders": running.server.upstreams.upstreams["orders"]}
    )


def test_also_when_it_waits_for_nothing_or_is_refused(make: Make) -> None:
    running = new_names(make)
    running.reload_with(FRONT, WORD.format("newer"))
    assert running.ask("/word").endswith(b"newer")
    running.reload_with(*NEW)
    running.reload_with(FRONT, "[route:x]\npath = x\n")
    running.reactor.advance(FIRST_LOOKUP)
    assert running.ask("/word").endswith(b"newer")


def test_what_is_wrong_with_it_may_show_only_then(make: Make) -> None:
    other = "[listener:other]\nendpoint = tcp:8082:interface=127.0.0.1\n"
    running = new_names(make, *NEW, other)
    running.reactor.listenTCP(8082, Strangers(), 50, "127.0.0.1")
    with capturedLogs() as logged:
        running.names.answer("name.test", "192.0.2.1")
    assert "reload refused: [listener:other]" in lines(logged)
    assert running.ask("/word").endswith(b"old")
    running.port(8082).stopListening()
    assert repr(running._reloading).endswith("waits for nothing>")


def test_a_stop_ends_a_reload_that_waits(make: Make) -> None:
    running = new_names(make, *NEW, ADMIN)
    with capturedLogs() as logged:
        running.shut_down()
    assert "given up: the gateway is shutting down" in lines(logged)
    running.reactor.advance(FIRST_LOOKUP)
    assert running.numbers() == []
    assert running.server.upstreams.upstreams == {}
    assert repr(running._reloading).endswith("waits for nothing>")


# logs


def test_an_access_log_that_stays_is_not_opened_anew(make: Make) -> None:
    running = make()
    log = running.server.access_log
    running.reload_with(FRONT, WORD.format("new"))
    assert running.server.access_log is log


def test_another_access_log_takes_over_and_the_old_one_is_whole(make: Make, tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first.log", "second.log"))
    running = make(FRONT.replace("= off", f"= {first}"), WORD.format("old"))
    before = running.server.access_log
    running.ask("/word?first")
    running.reload_with(FRONT.replace("= off", f"= {second}"), WORD.format("new"))
    assert running.server.access_log is not before
    running.ask("/word?second")
    stopped = running.stopService()
    for log in (before, running.server.access_log):
        assert log._writer._thread is not None
        log._writer._thread.join()
    running.reactor.advance(0)
    assert stopped.called
    assert first.read_text().count('"path":"/word') == second.read_text().count('"path":"/word') == 1


def test_logs_are_opened_anew_when_asked(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    running = make(FRONT.replace("= off", f"= {log}"), WORD.format("old"))
    running.ask("/word")
    running.reopen_logs()
    running.stopService()
    assert running.server.access_log._writer._thread is not None
    running.server.access_log._writer._thread.join()
    assert log.read_text().count("\n") == 1


# jobs


@pytest.mark.parametrize("is_used", [True, False])
def test_jobs_of_a_route_that_is_about_to_be_there_are_not_ended(make: Make, is_used: bool) -> None:
    running = make()
    configuration = running.configuration
    running.write(FRONT, WORD.format("new"), "async = always\n")
    serving = running.server.prepare(Units().load(running.path))
    runner = running.server.jobs.runner
    assert runner._coming == {"word"}
    if is_used:
        running.server.commit(serving)
    else:
        running.server.abandon(serving)
    assert runner._coming == set()
    assert runner._rooms == ({"word": 10} if is_used else {})
    assert running.configuration is configuration


# deadlines


# the end


def test_stops_in_order(make: Make) -> None:
    """No longer ready at once, then closed to new clients, then done when what is under way is."""
    front = FRONT.replace("[listener", "drain_delay = 2s\n[listener")
    running = make(front, ADMIN, orders(), WORD.format("here"))
    busy, idle = running.connect(), running.connect()
    running.ask("/orders/7", busy)
    target = running.reactor.attempts[-1].succeed()
    running.ask("/word", idle)
    running.shut_down()
    assert running.is_draining
    running.reactor.advance(1.9)
    assert running.accepting() == [8080, 9000]
    assert running.ask("/word", idle).endswith(b"here")
    running.reactor.advance(0.1)
    assert running.accepting() == [9000]
    assert [line.is_over for line in (idle, busy)] == [True, False]
    running.settle(idle)
    running.reactor.pump([0.05] * 20)
    stops = [running.reactor.stops]
    target.dataReceived(OK)
    assert b"Connection: close" in busy.received
    running.settle(busy)
    running.reactor.pump([0.05] * 2)
    assert [*stops, running.reactor.stops] == [0, 1]
    assert running.accepting() == [9000]


def test_what_takes_too_long_is_cut(make: Make) -> None:
    running = make(FRONT, orders())
    busy = running.connect()
    running.ask("/orders/7", busy)
    running.reactor.attempts[-1].succeed()
    running.shut_down()
    stops = []
    with capturedLogs() as logged:
        for polls in (99, 3):
            running.reactor.pump([0.05] * polls)
            stops.append(running.reactor.stops)
    assert stops == [0, 1]
    assert "cutting 1 connections" in lines(logged)
    running.stopService()
    assert busy.is_over


def test_an_idle_gateway_stops_at_once(make: Make) -> None:
    running = make()
    running.shut_down()
    running.reactor.advance(0)
    assert running.reactor.stops == 1


def test_a_second_signal_does_not_wait(make: Make) -> None:
    running = make(FRONT, orders())
    running.ask("/orders/7")
    running.shut_down()
    running.reactor.advance(0)
    for stops in (1, 2):
        running.shut_down()
        assert running.reactor.stops == stops


def test_a_reload_comes_too_late(make: Make) -> None:
    running = make()
    running.shut_down()
    before = kept(running)
    running.reload_with(FRONT, WORD.format("new"))
    assert kept(running) == before


def test_targets_that_are_found_while_it_stops_open_nothing(make: Make) -> None:
    running = make(FRONT, orders("http://name.test"))
    running.shut_down()
    running.names.answer("name.test", "192.0.2.1")
    assert running.accepting() == []


def test_the_end_closes_and_cuts_everything(make: Make) -> None:
    running = make(FRONT, ADMIN, orders("http://name.test, http://192.0.2.1", health_path="/health"))
    line = running.port(8080).connect()
    assert line is not None
    running.ask("/orders/7", line)
    running.reactor.attempts[-1].succeed()
    running.ask("/orders/8")
    running.stopService()
    assert line.is_over
    assert running.numbers() == []
    assert all(attempt.wire.is_over or attempt.is_given_up for attempt in running.reactor.attempts)
    assert running.probe.under_way == set()
    assert not running.reactor.getDelayedCalls()


# whatever happens


@settings(max_examples=40)
@given(happenings=st.lists(st.sampled_from(sorted(HAPPENINGS)), max_size=40))
def test_whatever_happens_everything_is_given_back(happenings: list[str]) -> None:
    with TemporaryDirectory() as folder:
        both = orders("http://192.0.2.1, http://192.0.2.2", eject_after=2)
        running = Running(Path(folder), FRONT, both, WORD.format("old"))
        running.privilegedStartService()
        running.startService()
        running.reactor.run(but=install_signals)
        weather = Weather(running)
        for happening in happenings:
            HAPPENINGS[happening](weather)
        weather.settle()
        upstream = running.server.upstreams.upstreams["orders"]
        assert upstream.gate.under_way == 0
        assert [target.in_flight for target in upstream.targets.by_name.values()] == [0, 0]
        assert [target.trial for target in upstream.targets.by_name.values()] == [None, None]
        assert {name: gate.under_way for name, gate in running.server.gates._gates.items()} == {
            "orders": 0,
            "word": 0,
        }
        assert (running.server.upstreams.open_count, running.server.upstreams._leaving) == (0, [])
        assert (running.server.capacity.open_count, running.server.listeners.open_count) == (0, 0)
        running.stopService()
        assert not running.reactor.getDelayedCalls()
