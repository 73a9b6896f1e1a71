"""Which target gets a request, seen from the targets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.harness.client import get
from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder, Script
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens

HASH_KEYS = {
    "ip": "ip",
    "path": "path",
    "header": "header:X-User",
    "cookie": "cookie:user",
    "query": "query:user",
}


@pytest.fixture(scope="module")
def three() -> Iterator[list[Recorder]]:
    """Three upstreams that say which one they are."""
    with ExitStack() as stack:
        recorders = [stack.enter_context(Recorder()) for _ in range(3)]
        for number, recorder in enumerate(recorders):
            recorder.otherwise(_says(number))
        yield recorders


def _says(number: int) -> Script:
    return lambda visit: visit.answer(200, b"%d" % number)


@pytest.fixture(scope="module")
def balancing(tmp_path_factory: pytest.TempPathFactory, three: list[Recorder]) -> Iterator[Daemon]:
    """A gateway with every balancer in front of the three."""
    ports = [recorder.port for recorder in three]
    weights = ", ".join(
        f"http://127.0.0.1:{port} weight={weight}" for port, weight in zip(ports, (3, 2, 0), strict=True)
    )
    text = ini(
        "[gateway]\naccess_log = -\ntrusted_proxies = 127.0.0.1\n",
        upstream("turns", *ports),
        section("upstream:weights", targets=weights),
        upstream("least", *ports, balance="least-connections"),
        upstream("random", *ports, balance="random-two"),
        *(upstream(kind, *ports, balance="consistent-hash", hash_key=key) for kind, key in HASH_KEYS.items()),
        *(route(name, f"/{name}/*") for name in ("turns", "weights", "least", "random", *HASH_KEYS)),
    )
    with Daemon(tmp_path_factory.mktemp("balancing"), text) as daemon:
        yield daemon


def ask(daemon: Daemon, path: str, times: int, *fields: str) -> list[int]:
    """Send requests one after the other and return who answered."""
    with daemon.connect() as client:
        return [int(client.get(path, *fields).body) for _ in range(times)]


def test_each_target_in_its_turn(balancing: Daemon) -> None:
    answered = ask(balancing, "/turns/x", 9)
    assert sorted(answered[:3]) == [0, 1, 2]
    assert answered == answered[:3] * 3


def test_weights_are_kept_exactly_and_smoothly(balancing: Daemon) -> None:
    answered = ask(balancing, "/weights/x", 50)
    assert Counter(answered) == {0: 30, 1: 20}
    assert [0, 0, 0] not in [answered[at : at + 3] for at in range(48)]


def test_the_one_with_least_to_do(balancing: Daemon, three: list[Recorder]) -> None:
    go_on = threading.Event()

    def held(number: int) -> Script:
        def script(visit: Visit) -> None:
            happens(go_on, "the held request may end")
            visit.answer(200, b"%d" % number)

        return script

    for number, recorder in enumerate(three):
        recorder.on("/least/held", held(number))
    with balancing.connect() as first, balancing.connect() as second:
        for client in (first, second):
            client.send(get("/least/held"))
        while sum(len(recorder.visits_to("/least/held")) for recorder in three) < 2:
            ask(balancing, "/turns/x", 1)
        idle = set(ask(balancing, "/least/x", 10))
        go_on.set()
        busy = {int(first.answer().body), int(second.answer().body)}
    assert len(busy) == 2
    assert idle == {0, 1, 2} - busy


def test_two_at_random_reach_everybody(balancing: Daemon) -> None:
    assert set(ask(balancing, "/random/x", 60)) == {0, 1, 2}


@pytest.mark.parametrize("kind", list(HASH_KEYS))
def test_one_key_always_meets_the_same_target_whatever_else_is_asked(balancing: Daemon, kind: str) -> None:
    by_key = {key: {_answer_to(balancing, kind, key, other) for other in range(6)} for key in range(30)}
    assert all(len(targets) == 1 for targets in by_key.values())
    assert {target for targets in by_key.values() for target in targets} == {0, 1, 2}


def _answer_to(daemon: Daemon, kind: str, key: int, other: int) -> int:
    """Return who answers a request that has ``key`` where that kind looks, and ``other`` everywhere else."""
    said = dict.fromkeys(HASH_KEYS, other) | {kind: key}
    (target,) = ask(
        daemon,
        f"/{kind}/{said['path']}?x=1&user={said['query']}",
        1,
        f"X-Forwarded-For: 192.0.2.{said['ip']}",
        f"X-User: {said['header']}",
        f"Cookie: session=x; user={said['cookie']}",
    )
    return target


def test_without_the_key_the_clients_address_serves(balancing: Daemon) -> None:
    for kind in ("header", "cookie", "query"):
        by_client = [
            set(ask(balancing, f"/{kind}/x", 3, f"X-Forwarded-For: 192.0.2.{number}")) for number in range(30)
        ]
        assert all(len(targets) == 1 for targets in by_client)
        assert set.union(*by_client) == {0, 1, 2}
