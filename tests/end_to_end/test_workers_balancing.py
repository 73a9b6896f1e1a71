"""Several workers are one gateway: they balance, judge and limit as one, and what one learns all know."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.conftest import reload
from tests.end_to_end.harness.answers import Cut
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.harness.configuration import everything_to, ini, route, upstream
from tests.end_to_end.harness.daemon import Daemon, in_flight
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.targets import wait_until
from tests.end_to_end.harness.waiting import PATIENCE, until
from tests.end_to_end.harness.workers import carrier, in_each, serving, several
from tests.end_to_end.test_health import CHECKED, Patient

Groups = dict[int, list[Client]]
BeginSeveral = Callable[..., Daemon]


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A gateway with two workers that is given one configuration after the other."""
    text = ini(several(), route("nothing", "*", respond="404"))
    with Daemon(tmp_path_factory.mktemp("several"), text) as daemon:
        yield daemon
        daemon.wait_until_empty()


@pytest.fixture
def begin(_running: Daemon) -> BeginSeveral:
    """Have that gateway take a configuration."""
    assert _running.process.poll() is None, "the gateway has ended"

    def take(*sections: str) -> Daemon:
        reload(_running, several(), *sections)
        _running.wait_until_empty()
        return _running

    return take


@pytest.fixture
def three() -> Iterator[list[Patient]]:
    """Three upstreams that say who they are."""
    with ExitStack() as stack:
        yield [Patient(b"%d" % number, stack.enter_context(Recorder())) for number in range(3)]


def each(groups: Groups) -> list[Client]:
    """Return one connection to each worker."""
    return [clients[0] for clients in groups.values()]


def answered_by(client: Client, times: int = 6) -> set[bytes]:
    """Return who answers some requests in a row, all of them well."""
    answers = [client.get("/x") for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return {answer.body for answer in answers}


def knows(client: Client, *names: bytes) -> None:
    """Return when a worker sends requests to these targets and no others."""
    until(lambda: answered_by(client) == set(names), f"the worker asks {names}")


# least connections


def test_the_target_with_least_to_do_is_that_of_all_workers_together(
    begin: BeginSeveral, three: list[Patient]
) -> None:
    ports = [patient.port for patient in three]
    daemon = begin(upstream("main", *ports, balance="least-connections"), route("main", "*"))
    held = Held()
    for patient in three:
        patient.recorder.on("/held", held)
    with in_each(daemon, 2) as groups:
        holding = [clients[1] for clients in groups.values()]
        for number, client in enumerate(holding, 1):
            client.send(get("/held"))
            _wait_for_visits(three, number)
        busy = {patient.name for patient in three if patient.recorder.visits_to("/held")}
        assert len(busy) == 2, "the second worker has picked the target that the first keeps busy"
        for client in each(groups):
            until(lambda: in_flight_at(daemon) == 2, "nothing else is in flight")
            assert answered_by(client, 10) == {patient.name for patient in three} - busy
        held.go_on.set()
        assert [client.answer().status for client in holding] == [200, 200]


def test_many_held_requests_are_spread_evenly_whoever_sends_them(
    begin: BeginSeveral, three: list[Patient]
) -> None:
    ports = [patient.port for patient in three]
    daemon = begin(upstream("main", *ports, balance="least-connections"), route("main", "*"))
    held = Held()
    for patient in three:
        patient.recorder.on("/held", held)
    with in_each(daemon, 6) as groups:
        first, second = groups.values()
        clients = [*first, *second]
        for number, client in enumerate(clients, 1):
            client.send(get("/held"))
            _wait_for_visits(three, number)
        assert [len(patient.recorder.visits_to("/held")) for patient in three] == [4, 4, 4]
        held.go_on.set()
        assert {client.answer().status for client in clients} == {200}


def in_flight_at(daemon: Daemon) -> int:
    """Return what is in flight to the targets of ``main``."""
    return in_flight(daemon.status()["upstreams"]["main"]["targets"])


def _wait_for_visits(patients: list[Patient], count: int) -> None:
    """Return when so many requests are held, wherever."""
    until(
        lambda: sum(len(patient.recorder.visits_to("/held")) for patient in patients) == count,
        f"{count} requests are held",
    )


def test_one_key_meets_the_same_target_from_every_worker(begin: BeginSeveral, three: list[Patient]) -> None:
    ports = [patient.port for patient in three]
    daemon = begin(
        upstream("main", *ports, balance="consistent-hash", hash_key="query:user"), route("main", "*")
    )
    with in_each(daemon, 1) as groups:
        first, second = (
            [client.get(f"/x?user={number}").body for number in range(40)] for client in each(groups)
        )
    assert first == second
    assert set(first) == {b"0", b"1", b"2"}


# health


def test_a_target_that_one_worker_finds_broken_is_avoided_by_all(
    begin: BeginSeveral, three: list[Patient]
) -> None:
    sick, well, _ = three
    daemon = begin(
        upstream("main", sick.port, well.port, eject_after=2, eject_for="5m", retry_budget="100%"),
        route("main", "*"),
    )
    with in_each(daemon, 1) as groups:
        finder, other = each(groups)
        sick.breaks.set()
        until(lambda: answered_by(finder, 4) and _state(daemon, sick) == "ejected", "the target is ejected")
        knows(other, well.name)
        assert _asked(sick, other, 20) == _asked(sick, finder, 20) == 0


def _state(daemon: Daemon, patient: Patient) -> str:
    targets = daemon.status()["upstreams"]["main"]["targets"]
    (state,) = [str(one["state"]) for one in targets if one["name"].endswith(f":{patient.port}")]
    return state


def _asked(patient: Patient, client: Client, times: int) -> int:
    """Return how many of some requests came to that target."""
    before = len(patient.recorder.visits_to("/x"))
    answered_by(client, times)
    return len(patient.recorder.visits_to("/x")) - before


def test_failures_that_several_workers_see_count_together(begin: BeginSeveral, three: list[Patient]) -> None:
    """Each of them alone would not have had enough."""
    sick, well, _ = three
    daemon = begin(
        upstream("main", sick.port, well.port, eject_after=4, eject_for="5m", retries=0), route("main", "*")
    )
    sick.breaks.set()
    with in_each(daemon, 1) as groups:
        for client in each(groups):
            statuses = [client.get("/x").status for _ in range(4)]
            assert sorted(statuses) == [200, 200, 502, 502]
        until(lambda: _state(daemon, sick) == "ejected", "the target is ejected")
        for client in each(groups):
            knows(client, well.name)


def test_a_target_that_fails_its_checks_is_avoided_by_all_and_used_by_all_again(
    begin: BeginSeveral, three: list[Patient]
) -> None:
    sick, well, _ = three
    daemon = begin(upstream("main", sick.port, well.port, **CHECKED), route("main", "*"))
    with in_each(daemon, 1) as groups:
        for state, status, expected in (
            ("up", 200, {b"0", b"1"}),
            ("down", 503, {b"1"}),
            ("up", 200, {b"0", b"1"}),
        ):
            sick.status = status
            wait_until(daemon, "main", sick.port, state)
            for client in each(groups):
                knows(client, *expected)


class Trials:
    """A target that broke, and keeps whoever tries it again waiting; requests go on in each worker."""

    def __init__(self, daemon: Daemon, sick: Patient) -> None:
        self.held = Held(sick.name)
        self._daemon = daemon
        self._sick = sick
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answered = 0
        self.lost = 0

    def begin(self, groups: Groups) -> None:
        """Have the target fail once, and be tried from then on."""
        self._sick.breaks.set()
        client = each(groups)[0]
        until(
            lambda: answered_by(client, 2) and _state(self._daemon, self._sick) != "up",
            "the target is ejected",
        )
        self._sick.recorder.otherwise(self.held)
        for clients in groups.values():
            for client in clients:
                thread = threading.Thread(target=self._run, args=[client])
                self._threads.append(thread)
                thread.start()

    def end(self) -> None:
        """Let everything end."""
        self.held.go_on.set()
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_for(self, count: int) -> None:
        """Return when the target is tried so often, and others were asked long enough since."""
        until(lambda: self._tried() >= count, f"trial {count} begins")
        before = self.answered
        until(lambda: self.answered > before + 50, "others are asked meanwhile")
        assert self._tried() == count

    def _tried(self) -> int:
        return sum(1 for visit in self._sick.recorder.visits_to("/trial"))

    def _run(self, client: Client) -> None:
        try:
            while not self._stop.is_set():
                assert client.get("/trial").status == 200
                self.answered += 1
        except (Cut, OSError):
            self.lost += 1


def test_there_is_one_trial_and_not_one_for_each_worker(begin: BeginSeveral, three: list[Patient]) -> None:
    sick, well, _ = three
    options = {"eject_after": 1, "eject_for": "200ms", "retry_budget": "100%"}
    daemon = begin(upstream("main", sick.port, well.port, **options), route("main", "*"))
    trials = Trials(daemon, sick)
    with in_each(daemon, 3) as groups:
        trials.begin(groups)
        try:
            trials.wait_for(1)
        finally:
            trials.end()
        assert trials.lost == 0
        wait_until(daemon, "main", sick.port, "up")
        for client in each(groups):
            knows(client, sick.name, well.name)


def test_a_trial_that_dies_with_its_worker_is_made_by_another(
    begin: BeginSeveral, three: list[Patient]
) -> None:
    sick, well, _ = three
    options = {"eject_after": 1, "eject_for": "200ms", "retry_budget": "100%"}
    daemon = begin(upstream("main", sick.port, well.port, **options), route("main", "*"))
    trials = Trials(daemon, sick)
    with in_each(daemon, 3) as groups:
        trials.begin(groups)
        try:
            trials.wait_for(1)
            visit = sick.recorder.visit("/trial")
            killed = carrier(daemon, visit.link.socket.getpeername()[1], sick.port)
            os.kill(killed, signal.SIGKILL)
            trials.wait_for(2)
        finally:
            trials.end()
        assert trials.lost == 3
    serving(daemon, killed)
    wait_until(daemon, "main", sick.port, "up")


# limits


@pytest.mark.parametrize("of", ["upstream", "route"])
def test_a_limit_holds_for_all_workers_together(begin: BeginSeveral, three: list[Patient], of: str) -> None:
    limits = {of: {"max_requests": 3}}
    port = three[0].port
    daemon = begin(
        upstream("main", port, **limits.get("upstream", {})), route("main", "*", **limits.get("route", {}))
    )
    held = Held()
    three[0].recorder.on("/held", held)
    with in_each(daemon, 3) as groups:
        first, second = groups.values()
        inside = [first[0], first[1], second[0]]
        for number, client in enumerate(inside):
            client.send(get("/held"))
            three[0].recorder.visit("/held", number)
        assert [clients[2].get("/held").status for clients in (first, second)] == [503, 503]
        assert second[1].get("/held").status == 503
        held.go_on.set()
        assert [client.answer().status for client in inside] == [200] * 3
        until(lambda: in_flight(daemon.status()) == 0, "nothing is in flight")
        assert [client.get("/held").status for client in (*first, *second)] == [200] * 6
    assert held.most == 3


@pytest.mark.parametrize("of", ["upstream", "route"])
def test_a_limit_is_never_passed_however_many_come_at_once(
    begin: BeginSeveral, three: list[Patient], of: str
) -> None:
    limits = {of: {"max_requests": 3}}
    port = three[0].port
    daemon = begin(
        upstream("main", port, **limits.get("upstream", {})), route("main", "*", **limits.get("route", {}))
    )
    held = Held()
    held.go_on.set()
    three[0].recorder.on("/quick", held)
    with in_each(daemon, 6) as groups:
        clients = [client for group in groups.values() for client in group]
        statuses = set()
        for _ in range(60):
            for client in clients:
                client.send(get("/quick"))
            statuses |= {client.answer().status for client in clients}
    assert held.most <= 3
    assert statuses == {200, 503}
    daemon.wait_until_empty()


def test_what_a_dead_worker_had_inside_is_given_back(begin: BeginSeveral, three: list[Patient]) -> None:
    daemon = begin(everything_to(three[0].port, max_requests=2, retries=0))
    held = Held()
    three[0].recorder.on("/held", held)
    with in_each(daemon, 2) as groups:
        killed, clients = next(iter(groups.items()))
        for number, client in enumerate(clients):
            client.send(get("/held"))
            three[0].recorder.visit("/held", number)
        os.kill(killed, signal.SIGKILL)
        for client in clients:
            client.cut()
        held.go_on.set()
    serving(daemon, killed)
    daemon.wait_until_idle()
    with in_each(daemon, 1) as groups:
        assert [client.get("/x").status for client in each(groups)] == [200, 200]
