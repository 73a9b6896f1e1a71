"""The gateway that the cases are tried on: every default, and a route for each thing they speak of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.safety.bench import Bench

_KEY = "sha256:" + hashlib.sha256(b"a key that no case knows").hexdigest()
_PATHS = ("/", "/case/*", "/CASE/*", "/one", "/two", "/three", "/second", "/follow-up", "/probe", "/status")


def configuration(port: int) -> str:
    """Return a configuration whose routes lead to ``port``."""
    open_routes = [route(f"open-{number}", path, upstream="main") for number, path in enumerate(_PATHS)]
    return ini(
        upstream("main", port, retries=0, eject_after=0),
        *open_routes,
        route("small", "/small/*", upstream="main", max_body=16),
        route("kept", "/kept/*", upstream="main", encoded_slashes="keep"),
        route("read-only", "/read-only/*", upstream="main", methods="GET"),
        route("private", "/private/*", upstream="main", policies="key-auth:keys"),
        route("moved", "/moved/*", redirect="308 https://new.test/"),
        section("key-auth:keys", header="X-API-Key"),
        section("consumer:somebody", keys=_KEY),
    )


@pytest.fixture(scope="session")
def case_upstream() -> Iterator[Recorder]:
    """The upstream of all cases."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def case_gateway(tmp_path_factory: pytest.TempPathFactory, case_upstream: Recorder) -> Iterator[Daemon]:
    """The gateway of all cases."""
    with Daemon(tmp_path_factory.mktemp("cases"), configuration(case_upstream.port)) as daemon:
        yield daemon
        daemon.wait_until_empty()


@pytest.fixture
def bench(case_gateway: Daemon, case_upstream: Recorder) -> Iterator[Bench]:
    """Gateway and upstream, ready for one case; what reaches the upstream unclean fails it."""
    assert case_gateway.process.poll() is None, "the gateway of the cases has ended"
    case_upstream.complaints.clear()
    yield Bench(case_gateway, case_upstream)
    assert case_upstream.complaints == []
