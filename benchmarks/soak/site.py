"""A gateway under trial: its configuration, its ports, its process, and what its admin listener says."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from benchmarks.gateway import daemon
from benchmarks.processes import Launch, Program, cores, free_port, wait_for_port

SETTINGS = """
[gateway]
access_log = {folder}/access.log
max_connections = 15000
drain_timeout = 2s
workers = {workers}
{options}

[listener:public]
endpoint = tcp:{public}:interface=127.0.0.1

[listener:admin]
endpoint = tcp:{admin}:interface=127.0.0.1
serve = admin
"""

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "upstream.py"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a gateway runs, besides what its configuration says of upstreams and routes."""

    descriptors: int | None = None
    """As many as it may have, if they are bounded."""
    workers: int = 1
    options: str = ""
    """Further lines of ``[gateway]``."""


ALONE = Setting()


class Site:
    """A gateway that runs with a configuration of its own."""

    def __init__(self, folder: Path, sections: str, setting: Setting = ALONE) -> None:
        self._folder = folder
        self._setting = setting
        self.public, self.admin = free_port(), free_port()
        self._settings = folder / "gateway.ini"
        self.configure(sections)
        self.gateway = self.start()

    def start(self) -> Program:
        """Start the gateway, and return it when it is ready."""
        launch = daemon(self._settings)
        if self._setting.descriptors is not None:
            bounded = f'ulimit -n {self._setting.descriptors}; exec "$@"'
            launch = Launch(["bash", "-c", bounded, "gateway", *launch.command])
        # several workers may have every core: that is what they are for
        core = cores()[0] if self._setting.workers == 1 else None
        self.gateway = Program("gateway", launch, self._folder, core)
        try:
            wait_for_port(self.public, self.gateway)
            self._wait_until_ready()
        except (RuntimeError, OSError):
            self.gateway.kill()
            raise
        return self.gateway

    def _wait_until_ready(self) -> None:
        """Return once the daemon says so: from then on it knows what a SIGHUP means."""
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready", timeout=10).close()
            except URLError:  # refuses as yet, or says that it is not
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("the gateway does not become ready")

    def configure(self, sections: str) -> None:
        """Write the configuration: the listeners, and what the scenario wants besides."""
        head = SETTINGS.format(
            folder=self._folder,
            public=self.public,
            admin=self.admin,
            workers=self._setting.workers,
            options=self._setting.options,
        )
        self._settings.write_text(head + sections)

    def reload(self, sections: str) -> None:
        """Write a new configuration and have it read."""
        self.configure(sections)
        self.gateway.send(signal.SIGHUP)

    def status(self) -> dict[str, Any]:
        """What ``/status`` says."""
        said: dict[str, Any] = json.loads(self._asked("status"))
        return said

    def metrics(self) -> str:
        """What ``/metrics`` says."""
        return self._asked("metrics").decode()

    def _asked(self, name: str) -> bytes:
        """Ask the admin listener; an upgrade ends its connections, so again where one of them ended."""
        url = f"http://127.0.0.1:{self.admin}/{name}"
        for _ in range(3):
            ended = suppress(ConnectionResetError, TimeoutError)
            with ended, urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        raise RuntimeError(f"{url} does not answer")

    def states(self, upstream: str) -> dict[str, str]:
        """The state of each target of an upstream."""
        targets = self.status()["upstreams"][upstream]["targets"]
        return {target["name"]: target["state"] for target in targets}

    def in_flight(self) -> int:
        """Requests under way to all targets of all upstreams."""
        upstreams = self.status()["upstreams"].values()
        return sum(target["in_flight"] for one in upstreams for target in one["targets"])

    def clients(self) -> int:
        """Connections of clients."""
        clients: int = self.status()["listeners"]["public"]["connections"]
        return clients

    def busy_connections(self) -> int:
        """Connections to targets that are not idle."""
        return sum(
            one["connections"] - one["idle_connections"] for one in self.status()["upstreams"].values()
        )

    async def until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait until it ``is_so``, looking ten times a second; ``False`` if it never was."""
        for _ in range(int(seconds * 10)):
            if is_so():
                return True
            await asyncio.sleep(0.1)
        return False


@contextmanager
def site(folder: Path, sections: str, setting: Setting = ALONE) -> Iterator[Site]:
    """Run a gateway for as long as the block lasts; raises ``RuntimeError`` if it ended by itself."""
    running = Site(folder, sections, setting)
    try:
        yield running
    finally:
        was_running = running.gateway.is_running
        status = running.gateway.stop()
        if not was_running:
            raise RuntimeError(f"the gateway ended with {status}:\n{running.gateway.last_output()}")


def start_sample(name: str, port: int, folder: Path) -> Program:
    """Start a sample server and wait until it accepts."""
    command: Sequence[str] = [sys.executable, str(SAMPLE), "--name", name, "--port", str(port)]
    program = Program(name, Launch(command), folder, cores()[1])
    wait_for_port(port, program)
    return program


def upstream(name: str, ports: Sequence[int], options: str = "") -> str:
    """Return an upstream of loopback ports and a route that sends everything to it."""
    targets = ", ".join(f"http://127.0.0.1:{port}" for port in ports)
    return f"""
[upstream:{name}]
targets = {targets}
{options}

[route:everything]
path = *
upstream = {name}
max_body = 0
"""
