"""What the end-to-end tests share: one recording upstream and one gateway in front of it.

A test that needs a configuration of its own starts a daemon by ``start``; most ask the shared one, each under
a path of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import everything_to, ini, route
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.jobs import SHARED, STORES, Place, make_place
from tests.end_to_end.harness.recorder import Recorder

Start = Callable[..., Daemon]
Begin = Callable[..., Daemon]


def reload(daemon: Daemon, *sections: str) -> None:
    """Write a new configuration, ask for it, and wait until the daemon says that it is in use."""
    mark = daemon.mark()
    daemon.reload(ini(*sections))
    daemon.wait_for_log("reloaded", mark)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> None:
    """Take the place of the check that looks for Deferreds after each test: there is no reactor here."""


@pytest.fixture(scope="session")
def shared_recorder() -> Iterator[Recorder]:
    """The upstream of the shared gateway."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway with every default, which sends everything to one upstream."""
    with Daemon(tmp_path_factory.mktemp("shared"), ini(everything_to(shared_recorder.port))) as daemon:
        yield daemon
        daemon.wait_until_empty()


@pytest.fixture
def recorder(shared_recorder: Recorder) -> Iterator[Recorder]:
    """The shared upstream; whatever reaches it unclean fails the test."""
    shared_recorder.complaints.clear()
    yield shared_recorder
    assert shared_recorder.complaints == []


@pytest.fixture
def gateway(shared_gateway: Daemon, recorder: Recorder) -> Daemon:
    """The shared gateway."""
    assert shared_gateway.process.poll() is None, "the shared gateway has ended"
    return shared_gateway


@pytest.fixture
def client(gateway: Daemon) -> Iterator[Client]:
    """A connection to the shared gateway."""
    with gateway.connect() as connected:
        yield connected


@pytest.fixture
def own_recorder() -> Iterator[Recorder]:
    """A recording upstream for one test."""
    with Recorder() as recorder:
        yield recorder
    assert recorder.complaints == []


@pytest.fixture
def slow_held(own_recorder: Recorder) -> Iterator[Held]:
    """What calls of ``/slow/held`` wait for."""
    held = Held()
    own_recorder.on("/slow/held", held)
    yield held
    held.go_on.set()


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place where jobs may be kept."""
    with ExitStack() as stack:
        yield make_place(request.param, tmp_path, stack)


@pytest.fixture(params=SHARED)
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place that outlives the processes."""
    with ExitStack() as stack:
        yield make_place(request.param, tmp_path, stack)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Place]:
    """A Redis that can be stopped."""
    with ExitStack() as stack:
        yield make_place("redis", tmp_path, stack)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a gateway for one test: the sections of its configuration, and how to launch it."""
    with ExitStack() as running:

        def begin(*sections: str, launch: Launch | None = None) -> Daemon:
            return running.enter_context(Daemon(tmp_path, ini(*sections), launch))

        yield begin


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A gateway that is given one configuration after the other."""
    with Daemon(tmp_path_factory.mktemp("running"), ini(route("nothing", "*", respond="404"))) as daemon:
        yield daemon
        daemon.wait_until_empty()


@pytest.fixture
def begin(_running: Daemon) -> Begin:
    """Have a gateway that runs already take a configuration: half a second less than a start."""
    assert _running.process.poll() is None, "the gateway has ended"

    def take(*sections: str) -> Daemon:
        reload(_running, *sections)
        return _running

    return take
