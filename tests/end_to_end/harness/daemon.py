"""The installed daemon as a process of its own: started, listened to, told to stop.

Rules: what it writes is read line by line as it comes, a JSON object being a record of the access log and
anything else a line of the log; readiness is what it says about itself; nothing here waits for time.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.waiting import PATIENCE, until

Record = dict[str, Any]
"""One line of the access log."""

_LISTENING = re.compile(r"listening on (?:tcp6?:.*?:(\d+)|unix:\S+) \(listener ([\w.-]+)\)")
_READY = re.compile(r"\bready\b")
_FAULT = re.compile(r"Traceback \(most recent call last\)|Unhandled|Unexpected error|unraisable")


class NotStarted(AssertionError):
    """The daemon ended before it was ready."""


@dataclass(frozen=True)
class Launch:
    """How the process is started, besides its configuration."""

    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def command(*arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return the command line that runs the daemon; ``options`` are twistd's own."""
    twistd = Path(sys.executable).with_name("twistd")
    return [str(twistd), "-n", "--pidfile=", *options, "twistedgate", *arguments]


class Daemon:
    """A gateway that runs; ``ports`` tells where each listener is."""

    def __init__(self, folder: Path, text: str, launch: Launch | None = None) -> None:
        launch = launch or Launch()
        self.folder = folder
        self.file = folder / "twistedgate.ini"
        self.file.write_text(text)
        self.log: list[str] = []
        self.records: list[Record] = []
        self.ports: dict[str, int] = {}
        self._changed = threading.Condition()
        self._has_ended = False
        self._is_deaf = False
        self._forgiven: list[str] = []
        self.process = subprocess.Popen(
            [*launch.prefix, *command("--config", str(self.file), options=launch.options)],
            cwd=folder,
            env=environment(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Daemon:
        try:
            self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if error is None:
            assert self.faults() == [], self.faults()

    @property
    def port(self) -> int:
        """Where the listener ``public`` is."""
        return self.ports["public"]

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    @property
    def servers(self) -> list[int]:
        """The processes that serve clients."""
        return [row["pid"] for row in self.status()["workers"]]

    @property
    def everybody(self) -> set[int]:
        """All processes of the daemon."""
        return {self.pid, *self.servers}

    def wait_until_ready(self) -> None:
        """Return when every listener listens."""
        self.wait_for_log(_READY.pattern)

    def connect(self, **options: Any) -> Client:
        """Open a connection to the listener ``public``."""
        return Client(self.port, **options)

    def mark(self) -> int:
        """Return how much has been logged, for ``wait_for_log``."""
        return len(self.log)

    def wait_for_log(self, pattern: str, since: int = 0) -> re.Match[str]:
        """Return the first match of ``pattern`` in the log after the mark ``since``."""
        wanted = re.compile(pattern)
        with self._changed:
            found = self._changed.wait_for(lambda: self._search(wanted, since) or self._has_ended, PATIENCE)
            match = self._search(wanted, since)
        if match is None:
            why = "has ended" if found else "did not say so in time"
            raise NotStarted(f"no {pattern!r}: the daemon {why}\n" + "\n".join(self.log[-60:]))
        return match

    def record(self, **wanted: object) -> Record:
        """Return the first record of the access log with these members, waiting for it."""
        return self.all_records(1, **wanted)[0]

    def all_records(self, count: int, **wanted: object) -> list[Record]:
        """Return the records of the access log with these members, waiting for ``count`` of them."""

        def look() -> list[Record]:
            return [record for record in self.records if wanted.items() <= record.items()]

        with self._changed:
            if not self._changed.wait_for(lambda: len(look()) >= count, PATIENCE):
                raise TimeoutError(f"no {count} records with {wanted}; the last: {self.records[-3:]}")
            return look()

    def status(self) -> Any:
        """Return what the admin listener's ``/status`` says."""
        return json.loads(self.admin("/status").body)

    def admin(self, path: str, method: str = "GET") -> Any:
        """Return the admin listener's answer."""
        with Client(self.ports["admin"]) as client:
            return client.ask(method, path, f"Host: 127.0.0.1:{self.ports['admin']}", "Connection: close")

    def stop_listening(self) -> threading.Thread:
        """Have the other end of the daemon's output closed after its next line, when the thread ends."""
        self._is_deaf = True
        return self._thread

    def wait_until_idle(self) -> None:
        """Return when the admin listener counts nothing in flight."""
        until(lambda: in_flight(self.status()) == 0, "nothing is in flight")

    def wait_until_empty(self) -> None:
        """Return when no client is counted, and nothing in flight: all that was taken has been given back."""
        self.wait_until_idle()
        until(lambda: self.status()["connections"] == 0, "every connection is counted out")

    def reload(self, text: str | None = None) -> None:
        """Write a new configuration, if one is given, and ask for a reload."""
        if text is not None:
            self.file.write_text(text)
        self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the process to end and return its exit code."""
        code = self.process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        return code

    def end(self) -> None:
        """End the process, with force if it will not go."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            # a second one before that would be one with the first
            with self._changed:
                mark = re.compile("shutting down")
                self._changed.wait_for(lambda: self._search(mark, 0) or self._has_ended, PATIENCE)
            self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()

    def faults(self) -> list[str]:
        """Return the lines of the log that a daemon in good health never writes, with what follows."""
        at = [number for number, line in enumerate(self.log) if _FAULT.search(line)]
        told = ["\n".join(self.log[number : number + 25]) for number in at]
        return [one for one in told if not any(words in one for words in self._forgiven)][:3]

    def forgive(self, words: str) -> None:
        """Let a fault pass that says so: the test has caused it."""
        self._forgiven.append(words)

    def _search(self, wanted: re.Pattern[str], since: int) -> re.Match[str] | None:
        return next((match for line in self.log[since:] if (match := wanted.search(line))), None)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            with self._changed:
                self._keep(line)
                self._changed.notify_all()
            if self._is_deaf:
                self.process.stdout.close()
                break
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _keep(self, line: str) -> None:
        if line.startswith("{"):
            self.records.append(json.loads(line))
            return
        self.log.append(line)
        if match := _LISTENING.search(line):
            self.ports[match[2]] = int(match[1] or 0)


def in_flight(status: Any) -> int:
    """Return the sum of everything that a status calls in flight, wherever it stands."""
    if isinstance(status, dict):
        own = status.get("in_flight", 0)
        return int(own if isinstance(own, int) else 0) + sum(in_flight(value) for value in status.values())
    if isinstance(status, list):
        return sum(in_flight(member) for member in status)
    return 0


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return a small environment: nothing of the tests' own may leak into the daemon."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **more}
