"""What a request costs, in numbers that no other load on the machine can move."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.process import resident
from tests.end_to_end.harness.recorder import Recorder

PLUGIN = """\
from twistedgate.published import PublishedPolicy

call_count = PublishedPolicy("call-count", "call_counting.rules")
"""

RULES = '''\
"""Counts the calls of Python functions in the daemon's main thread, and tells them in X-Calls."""

import sys
from dataclasses import dataclass

from twistedgate.policy import Policy


class CallCount(Policy):
    """Tells how many functions were called so far."""

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str

    def __init__(self, config, runtime):
        super().__init__(config, runtime)
        self._calls = 0
        sys.setprofile(self._count)

    def _count(self, frame, event, argument):
        if event == "call":
            self._calls += 1

    def on_response(self, exchange, response):
        response.headers.set(b"X-Calls", b"%d" % self._calls)
'''

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=0123456789abcdef; theme=dark",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Cache-Control: no-cache",
)


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway that counts its own function calls."""
    folder = tmp_path_factory.mktemp("counting")
    _distribute(folder / "elsewhere")
    text = ini(
        upstream("main", shared_recorder.port),
        route("main", "*", policies="call-count:all"),
        section("call-count:all"),
    )
    launch = Launch(environment={"PYTHONPATH": str(folder / "elsewhere")})
    with Daemon(folder, text, launch) as daemon:
        yield daemon


def _distribute(root: Path) -> None:
    plugins = root / "twisted" / "plugins"
    package = root / "call_counting"
    plugins.mkdir(parents=True)
    package.mkdir()
    (plugins / "call_count_plugin.py").write_text(PLUGIN)
    (package / "__init__.py").write_text("")
    (package / "rules.py").write_text(RULES)


def calls_each(client: Client, *fields: str) -> float:
    """Return how many functions one request calls; the median does not see a sweep in between."""
    counts = [int(client.get("/cost", *fields).value("X-Calls") or 0) for _ in range(120)]
    return statistics.median(after - before for before, after in itertools.pairwise(counts[20:]))


def test_a_small_request_calls_few_functions(counting: Daemon) -> None:
    with counting.connect() as client:
        assert calls_each(client) <= 120


def test_the_fields_of_a_browser_cost_no_call_each(counting: Daemon) -> None:
    with counting.connect() as client:
        assert calls_each(client, *BROWSER) <= calls_each(client) + 15


def test_a_half_sent_head_costs_little_memory(gateway: Daemon) -> None:
    """Ten kibibytes sent must not cost a mebibyte held, a hundred times over."""
    with gateway.connect() as client:
        client.get("/warm")
    servers = gateway.servers
    before = sum(map(resident, servers))
    clients = [gateway.connect() for _ in range(100)]
    try:
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX-A: " + b"x" * 10000)
        assert clients[0].socket is not None
        with gateway.connect() as client:
            assert client.get("/probe").status == 200
        assert sum(map(resident, servers)) - before < 20 * 1024 * 1024
    finally:
        for client in clients:
            client.close()
